//! Every service as a process of its own, with its own user on one nats-server: what a deployment is.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output},
    time::Duration,
};

use regreen_bus::{Bus, connect, rights::Role};
use regreen_testkit::{
    Nats,
    process::{Process, free_port},
    wait_for,
};

use crate::{World, binary, regreen};

/// The services of a domain: two engines, one of everything else.
pub const PARTS: [&str; 6] = ["engine-a", "engine-b", "ingest", "probe", "runner", "notifier"];

/// A domain whose services run apart.
pub struct Fleet {
    /// Files, services, and the command line.
    pub world: World,
    /// The server.
    pub nats: Nats,
    parts: BTreeMap<String, Process>,
    /// `snapshots:` of the engines.
    pub snapshots: String,
    ports: BTreeMap<String, u16>,
}

impl Fleet {
    /// Starts the server with its users, makes the domain, and writes every file. `change` may edit the playbook.
    ///
    /// # Panics
    /// When a part of it fails.
    pub async fn new(change: impl FnOnce(String) -> String) -> Self {
        Self::sized(200, change).await
    }

    /// As [`Fleet::new`], with so many MiB for all streams together.
    ///
    /// # Panics
    /// When a part of it fails.
    pub async fn sized(mib: u32, change: impl FnOnce(String) -> String) -> Self {
        Self::made(mib, &["main"], change).await
    }

    /// As [`Fleet::new`], with a probe `probe-<vantage>` for each of these instead of one that is `main`.
    ///
    /// # Panics
    /// When a part of it fails.
    pub async fn seen_from(vantages: &[&str], change: impl FnOnce(String) -> String) -> Self {
        let mut fleet = Self::made(200, vantages, change).await;
        let url = fleet.nats.url();
        for vantage in vantages {
            fleet.write(&format!("probe-{vantage}"), &url);
        }
        fleet
    }

    async fn made(mib: u32, vantages: &[&str], change: impl FnOnce(String) -> String) -> Self {
        let mut world = World::new(change).await;
        world.size_mib = mib;
        let keys = world.path().join("keys");
        let mut users = Command::new(regreen());
        users.args(["users", "--out"]).arg(&keys);
        for vantage in vantages {
            users.args(["--vantage", vantage]);
        }
        let made = users.output().expect("it starts");
        assert!(made.status.success(), "{made:?}");
        let include = keys.join("authorization.conf");
        let nats = Nats::start_with(|port, store| {
            format!(
                "host: 127.0.0.1\nport: {port}\nmax_payload: 2MB\njetstream {{ store_dir: {store:?}, sync_interval: always, max_file_store: {}MB }}\ninclude {:?}\n",
                2 * mib + 200,
                relative(&include)
            )
        })
        .await;
        world.on_with(&nats.url(), &keys);
        let snapshots = "{every: 1s, audit: 8s}".to_owned();
        let mut fleet = Self { world, nats, parts: BTreeMap::new(), snapshots, ports: BTreeMap::new() };
        let url = fleet.nats.url();
        for part in PARTS {
            fleet.write(part, &url);
        }
        fleet
    }

    /// Writes a service's file, with this address of NATS.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn write(&mut self, part: &str, url: &str) {
        let folder = self.world.path().to_owned();
        let port = *self.ports.entry(part.into()).or_insert_with(free_port);
        let vantage = vantage(part);
        let user = match service(part) {
            "probe" => format!("probe-{vantage}"),
            "runner" => "runner-main".to_owned(),
            service => service.to_owned(),
        };
        let seed = folder.join("keys").join(format!("{user}.seed"));
        let token = folder.join("token");
        let rest = match service(part) {
            "engine" => format!(
                "playbooks: [{:?}]\nsnapshots: {}\njanitor: {{file: {:?}}}\n",
                self.world.set(),
                self.snapshots,
                folder.join("keys").join("janitor.seed")
            ),
            "ingest" => format!(
                "listen: 127.0.0.1:{}\nauth: {{alertmanager: {{bearer: {{file: {token:?}}}}}}}\n",
                self.world.listen
            ),
            "probe" => format!("vantage: {vantage}\n"),
            "runner" => format!(
                "name: main\njournal: {:?}\nsecrets: {{web-token: {{file: {token:?}}}}}\n",
                folder.join("runner.journal")
            ),
            _ => format!("journal: {:?}\n", folder.join("notifier.journal")),
        };
        let text = format!(
            "apiVersion: regreen/v1\nconfig: {part}\nprocess: {{nats: {{url: {url:?}, seed: {{file: {seed:?}}}}}, listen: 127.0.0.1:{port}}}\n{rest}"
        );
        fs::write(self.file(part), text).expect("a writable directory");
    }

    /// Adds to a service's file.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn add(&self, part: &str, text: &str) {
        let file = fs::File::options().append(true).open(self.file(part));
        writeln!(file.expect("the service's file"), "{text}").expect("writable");
    }

    /// Where a service answers `/readyz` and `/metrics`.
    #[must_use]
    pub fn url(&self, part: &str) -> String {
        format!("http://127.0.0.1:{}", self.ports[part])
    }

    fn file(&self, part: &str) -> PathBuf {
        self.world.path().join(format!("{part}.yaml"))
    }

    /// Starts a service, or starts it again.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start(&mut self, part: &str) {
        self.start_by(part, Command::new(binary(&format!("regreen-{}", service(part)))));
    }

    /// As [`Fleet::start`], by a command that takes the binary and its arguments, and becomes it.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start_in(&mut self, part: &str, mut command: Command) {
        command.arg(binary(&format!("regreen-{}", service(part))));
        self.start_by(part, command);
    }

    fn start_by(&mut self, part: &str, mut command: Command) {
        command.arg("--config").arg(self.file(part));
        let log = self.world.path().join(format!("{part}.log"));
        self.parts.insert(part.into(), Process::start(&mut command, &log).expect("it starts"));
    }

    /// Every running process with its id.
    #[must_use]
    pub fn processes(&self) -> Vec<(String, u32)> {
        let parts = self.parts.iter().map(|(part, process)| (part.clone(), process.id()));
        parts.chain(self.nats.id().map(|id| ("nats-server".to_owned(), id))).collect()
    }

    /// What `--check-config` says.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn check(&self, part: &str) -> Output {
        self.say("--check-config", part)
    }

    /// What `--ask-ready` says.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn ask_ready(&self, part: &str) -> Output {
        self.say("--ask-ready", part)
    }

    fn say(&self, flag: &str, part: &str) -> Output {
        let mut command = Command::new(binary(&format!("regreen-{}", service(part))));
        command.arg(flag).arg("--config").arg(self.file(part)).output().expect("it starts")
    }

    /// Starts all of them, the first engine first, and waits until the domain works.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_all(&mut self) {
        self.start("engine-a");
        self.phase("engine-a", "ok").await;
        for part in &PARTS[1..] {
            self.start(part);
        }
        self.works().await;
    }

    /// Waits until the probe's looks have become verdicts, and webhooks are taken in.
    pub async fn works(&self) {
        for check in ["web/one", "web/two"] {
            self.world.verdict(check, "up").await;
        }
        self.takes_in().await;
    }

    /// Waits until webhooks are taken in.
    pub async fn takes_in(&self) {
        let port = self.world.listen;
        wait_for("ingest", Duration::from_secs(20), async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map(|_| ())
        })
        .await;
    }

    /// Waits until `/readyz` of a service says this.
    pub async fn phase(&self, part: &str, wanted: &str) {
        let url = format!("{}/readyz", self.url(part));
        let log = self.world.path().join(format!("{part}.log"));
        wait_for(&format!("{part} to say {wanted}"), Duration::from_secs(40), async || {
            let said = match reqwest::get(&url).await {
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if said.contains(wanted) {
                Ok(())
            } else {
                Err(format!("{said}\n{}", fs::read_to_string(&log).unwrap_or_default()))
            }
        })
        .await;
    }

    /// A connection that may do anything.
    ///
    /// # Panics
    /// When there is none.
    pub async fn admin(&self) -> Bus {
        let seed = fs::read_to_string(self.world.path().join("keys/admin.seed")).expect("a seed");
        let options = connect::Options::of(&Role::Admin, self.nats.url(), "default".into(), Some(seed));
        Bus::connect(&options).await.expect("a connection")
    }

    /// What a service has logged.
    #[must_use]
    pub fn log(&self, part: &str) -> String {
        fs::read_to_string(self.world.path().join(format!("{part}.log"))).unwrap_or_default()
    }

    /// Waits until a service has logged this.
    pub async fn logged(&self, part: &str, words: &str) {
        wait_for(&format!("{part} to log {words}"), Duration::from_secs(60), async || {
            let log = self.log(part);
            if log.contains(words) { Ok(()) } else { Err(log) }
        })
        .await;
    }

    /// The active engine and the one that stands by. Which is which may change on a busy machine: a disk that is slow
    /// for five seconds is a silent log.
    pub async fn engines(&self) -> (&'static str, &'static str) {
        let phase = |part: &str| {
            let log = self.log(part);
            let line = log.lines().rev().find_map(|line| line.split_once("this engine is phase="));
            line.map(|(_, phase)| phase.trim_matches('"').to_owned()).unwrap_or_default()
        };
        wait_for("one active engine and one that stands by", Duration::from_secs(60), async || {
            match (phase("engine-a").as_str(), phase("engine-b").as_str()) {
                ("live", "standby") => Ok(("engine-a", "engine-b")),
                ("standby", "live") => Ok(("engine-b", "engine-a")),
                (a, b) => Err((a.to_owned(), b.to_owned())),
            }
        })
        .await
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When it was not started.
    pub fn kill(&mut self, part: &str) {
        self.parts.remove(part).expect("it runs").kill();
    }

    /// Sends a signal by name.
    pub fn signal(&self, part: &str, name: &str) {
        self.parts[part].signal(name);
    }

    /// Waits for the end of a service that was told to end.
    ///
    /// # Panics
    /// When it can't be waited for.
    pub async fn ended(&mut self, part: &str) -> ExitStatus {
        let mut process = self.parts.remove(part).expect("it runs");
        // Not blocking: what it waits for may run here.
        let ended = tokio::task::spawn_blocking(move || process.wait());
        ended.await.expect("no panic").expect("a child can be waited for")
    }
}

/// The service of a part: `engine-b` is an engine.
fn service(part: &str) -> &str {
    part.split('-').next().unwrap_or(part)
}

/// The vantage of a probe: `probe-ams` looks from `ams`.
fn vantage(part: &str) -> &str {
    part.split_once('-').map_or("main", |(_, vantage)| vantage)
}

/// nats-server takes includes relative to its own file alone; from the root every file is reached.
fn relative(path: &Path) -> String {
    format!("{}{}", "../".repeat(16), path.display().to_string().trim_start_matches('/'))
}
