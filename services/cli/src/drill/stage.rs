//! The processes of a drill, and its folder: started one by one, ended newest first, whatever happens.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use regreen_bus::Bus;
use regreen_decider::State;
use regreen_engine::recover;
use regreen_kit::loopback;
use regreen_schemas::check::Status;
use serde_json::{Value, json};

use crate::{args::Connect, client, programs, up};

/// How long Regreen may take until it is ready and all is seen to be well.
const READY_MAX: Duration = Duration::from_secs(60);
/// How often a condition is looked at that nobody tells of.
pub const PULSE: Duration = Duration::from_millis(200);

/// The processes, oldest first, and where their files are.
pub struct Stage {
    /// Files of everything.
    pub dir: PathBuf,
    /// Where Regreen listens.
    pub listen: u16,
    children: Vec<(&'static str, Child)>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        while let Some((_, mut child)) = self.children.pop() {
            up::terminate(&mut child);
        }
    }
}

impl Stage {
    /// An empty stage in a folder of its own.
    pub fn new() -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("regreen-drill-{}", std::process::id()));
        fs::create_dir_all(&dir).with_context(|| format!("{} can't be made", dir.display()))?;
        Ok(Self { dir, listen: loopback::port()?, children: Vec::new() })
    }

    /// Starts a program; what it says goes into `<name>.log`, which goes on where it was.
    pub fn start(&mut self, name: &'static str, command: &mut Command) -> anyhow::Result<()> {
        let log = self.log(name)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.children.push((name, child.with_context(|| format!("{name} can't be started"))?));
        Ok(())
    }

    /// Starts a program whose first line is JSON that says where it is, and waits for that line.
    pub async fn start_told(
        &mut self,
        name: &'static str,
        command: &mut Command,
        patience: Duration,
    ) -> anyhow::Result<Value> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(self.log(name)?);
        let mut child = command.spawn().with_context(|| format!("{name} can't be started"))?;
        let output = child.stdout.take();
        // From here on it is ended with the stage, also when it says nothing.
        self.children.push((name, child));
        let mut output = BufReader::new(output.context("its output")?);
        let reading = tokio::task::spawn_blocking(move || {
            let mut first = String::new();
            output.read_line(&mut first).map(|_| first)
        });
        let first = tokio::time::timeout(patience, reading).await;
        let first =
            first.with_context(|| format!("{name} said nothing within {patience:?}; see {name}.log"))??;
        serde_json::from_str(&first?).with_context(|| format!("{name} did not start; see {name}.log"))
    }

    fn log(&self, name: &str) -> anyhow::Result<File> {
        let path = self.dir.join(format!("{name}.log"));
        File::options().create(true).append(true).open(&path).with_context(|| format!("{}", path.display()))
    }

    /// The id of a running process.
    pub fn id(&self, name: &str) -> anyhow::Result<u32> {
        let found = self.children.iter().find(|(known, _)| *known == name);
        found.map(|(_, child)| child.id()).with_context(|| format!("{name} is not running"))
    }

    /// Ends a process at once, as a power cut would, and waits until it is gone.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let place = self.children.iter().position(|(known, _)| *known == name);
        let (_, mut child) = self.children.remove(place.with_context(|| format!("{name} is not running"))?);
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// A real Alertmanager that sends to Regreen; returns its address.
    pub fn alertmanager(&mut self) -> anyhow::Result<String> {
        let listen = loopback::port()?;
        let url = format!("http://127.0.0.1:{}/webhooks/alertmanager", self.listen);
        let config = json!({
            "route": {"receiver": "regreen", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"},
            "receivers": [{"name": "regreen", "webhook_configs": [{"url": url, "send_resolved": true}]}],
        });
        fs::write(self.dir.join("alertmanager.yml"), config.to_string())?;
        let mut command = up::child_command()?;
        command
            .arg(programs::find(&["alertmanager", "prometheus-alertmanager"], "run `make tools`")?)
            .arg(format!("--config.file={}", self.dir.join("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", self.dir.join("alertmanager").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{listen}"))
            .arg("--cluster.listen-address=");
        self.start("alertmanager", &mut command)?;
        Ok(format!("http://127.0.0.1:{listen}"))
    }

    /// Writes the set into `set/`.
    pub fn write_set(&self, files: &[(&str, String)]) -> anyhow::Result<()> {
        let set = self.dir.join("set");
        fs::create_dir_all(&set)?;
        for (name, text) in files {
            fs::write(set.join(name), text).with_context(|| format!("{name} can't be written"))?;
        }
        Ok(())
    }

    /// `regreen up` on that set, with what else it is told.
    pub fn up(&mut self, more: &[&str]) -> anyhow::Result<()> {
        let mut command = up::child_command()?;
        command
            .arg(std::env::current_exe()?)
            .args(["up", "--data-dir"])
            .arg(self.dir.join("data"))
            .arg("--playbooks")
            .arg(self.dir.join("set"))
            .arg("--listen")
            .arg(format!("127.0.0.1:{}", self.listen))
            .args(more);
        self.start("up", &mut command)
    }

    /// Another command of Regreen's, as an operator gives it.
    pub fn cli(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).arg("--data-dir").arg(self.dir.join("data")).stdin(Stdio::null());
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "regreen {}: {said}", arguments.join(" "));
        Ok(())
    }

    fn connect(&self) -> Connect {
        Connect {
            data_dir: self.dir.join("data"),
            nats: None,
            creds: None,
            operator: "local".into(),
            domain: "default".into(),
        }
    }

    /// A connection, as soon as there is one.
    pub async fn bus(&self) -> anyhow::Result<Bus> {
        let (connect, began) = (self.connect(), Instant::now());
        loop {
            // The address that an earlier server left behind leads nowhere, until it is written anew.
            match client::connect(&connect).await {
                Ok(connected) if recover::recover(&connected.bus).await.is_ok() => return Ok(connected.bus),
                Err(error) if began.elapsed() > READY_MAX => return Err(error),
                Ok(_) if began.elapsed() > READY_MAX => bail!("the log can't be read"),
                _ => tokio::time::sleep(PULSE).await,
            }
        }
    }

    /// Waits until Regreen is ready and so many checks are up.
    pub async fn well(&self, checks: usize) -> anyhow::Result<Bus> {
        let connect = self.connect();
        let began = Instant::now();
        let mut seen = "nobody answers".to_owned();
        while began.elapsed() < READY_MAX {
            // An address that an earlier server left behind is read again.
            if let Ok(connected) = client::connect(&connect).await {
                match wait_for(&connected.bus, PULSE * 10, |state| ready(state, checks)).await {
                    Ok(()) => return Ok(connected.bus),
                    Err(error) => seen = format!("{error:#}"),
                }
            }
            tokio::time::sleep(PULSE).await;
        }
        bail!("Regreen is not ready after {READY_MAX:?}, see up.log: {seen}")
    }
}

fn ready(state: &State, checks: usize) -> Result<(), String> {
    let up = state.verdicts.values().filter(|(status, _)| *status == Status::Up).count();
    match () {
        () if !state.may_dispatch() => Err("the engine does not act yet".into()),
        () if state.servers.is_empty() => Err("no runner has said what it serves".into()),
        () if up != checks => Err(format!("{up} checks of {checks} are up")),
        () => Ok(()),
    }
}

/// Waits until the state is as wanted; else says what was missing last.
pub async fn wait_for(
    bus: &Bus,
    patience: Duration,
    wanted: impl Fn(&State) -> Result<(), String>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let missing = match recover::recover(bus).await {
            Ok(recovered) => match wanted(&recovered.state) {
                Ok(()) => return Ok(()),
                Err(missing) => missing,
            },
            Err(error) => error.to_string(),
        };
        if began.elapsed() > patience {
            bail!("after {patience:?}: {missing}");
        }
        tokio::time::sleep(PULSE).await;
    }
}

/// Waits until something that only a file tells holds.
pub async fn wait_for_file(
    path: &Path,
    patience: Duration,
    wanted: impl Fn(&str) -> bool,
) -> anyhow::Result<()> {
    let began = Instant::now();
    while !wanted(&fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))?) {
        anyhow::ensure!(began.elapsed() < patience, "{} does not say so after {patience:?}", path.display());
        tokio::time::sleep(PULSE / 10).await;
    }
    Ok(())
}

/// Kills the child of a process whose command line has this word.
pub fn kill_child(parent: u32, word: &str) -> anyhow::Result<()> {
    let pid = child_of(parent, word).with_context(|| format!("there is no {word} below {parent}"))?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    Ok(())
}

fn child_of(parent: u32, word: &str) -> Option<rustix::process::Pid> {
    let wanted = |pid: i32| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        let (stat, line) = (read("stat")?, read("cmdline")?);
        let ppid: u32 = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        (ppid == parent && line.split('\0').any(|part| part == word)).then_some(pid)
    };
    let pids = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    rustix::process::Pid::from_raw(pids.filter_map(wanted).next()?)
}
