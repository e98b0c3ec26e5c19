//! A world for a story: two sinks as services, `regreen up` as a real process, and the command line to ask it.

#[path = "fleet.rs"]
mod fleet;

pub use fleet::{Fleet, PARTS};

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use regreen_testkit::{
    Sink,
    process::{Process, free_port},
    tools, wait_for,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Bearer token of the stories.
pub const TOKEN: &str = "s3cret-canary";

const PLAYBOOK: &str = r#"apiVersion: regreen/v1
playbook: restart
mode: auto
target: node
triggers:
  - alert: ['alertname="WebDown"', 'node!=""']
    target: "{{ alert.labels.node }}"
  - manual: {}
when: down("web/" + target.name)
guard: {cooldown: 10m, budget: [{max: 3, per: 1h}], min_healthy: {at_least: 1}, quorum: 1}
steps:
  - id: restart
    use: http.request
    with:
      node: "{{ target }}"
      url: "http://{{ target.address }}/restart"
      method: POST
      headers: {X-Token: {secret: web-token}}
      observe: {url: "http://{{ target.address }}/state", done: "status == 200 && json.effects > before.json.effects"}
    timeout: 1s
verify: [{check: "web/{{ target.name }}", for: 1s, within: 20s}]
escalate: [{to: oncall}]
---
apiVersion: regreen/v1
checks:
  web: {kind: http, each: node, in: [web], with: {url: "http://{{ node.address }}/health"}, interval: 200ms, fall: 1, rise: 1}
"#;

/// Everything a story needs.
pub struct World {
    dir: TempDir,
    /// The two services.
    pub services: [Sink; 2],
    /// Where pages go.
    pub pager: Sink,
    /// The running `regreen up`.
    pub up: Option<Process>,
    pub(crate) listen: u16,
    nats: Option<String>,
    creds: Option<PathBuf>,
    /// MiB for all streams, where `init` makes them.
    pub size_mib: u32,
}

/// The binary of the command line.
///
/// # Panics
/// When there is none, with the command.
#[must_use]
pub fn regreen() -> PathBuf {
    binary("regreen")
}

/// A binary that `cargo build` made.
///
/// # Panics
/// When there is none, with the command.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("a program has a path");
    // A test lies in target/profile/deps, a program in target/profile.
    let folder = this.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).expect("a folder");
    let file = folder.join(name);
    assert!(
        file.is_file(),
        "{} is not there: run `cargo build --workspace` first, as `make test` does",
        file.display()
    );
    file
}

impl World {
    /// Prepares the files; `change` may edit the playbook.
    ///
    /// # Panics
    /// When the files can't be written.
    pub async fn new(change: impl FnOnce(String) -> String) -> Self {
        regreen_testkit::init_tls();
        let services = [Sink::start().await, Sink::start().await];
        let pager = Sink::start().await;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let address = |sink: &Sink| sink.url().replace("http://", "");
        let inventory = format!(
            "apiVersion: regreen/v1\ninventory: lab\ngroups:\n  web:\n    health: web\n    nodes:\n      one: {{address: \"{}\"}}\n      two: {{address: \"{}\"}}\n",
            address(&services[0]),
            address(&services[1])
        );
        let policy = format!(
            "apiVersion: regreen/v1\npolicy: lab\nreceivers: {{oncall: {{webhook: {{url: \"{}/page\"}}}}}}\n",
            pager.url()
        );
        let config = "auth:\n  alertmanager: {bearer: {file: token}}\nsecrets:\n  web-token: {file: token}\n";
        let files = [
            ("token", TOKEN.to_owned()),
            ("config.yaml", config.replace("token}", &format!("{}}}", dir.path().join("token").display()))),
        ];
        for (name, text) in files {
            fs::write(dir.path().join(name), text).expect("a writable directory");
        }
        fs::create_dir(dir.path().join("set")).expect("a writable directory");
        for (name, text) in [
            ("playbook.yaml", change(PLAYBOOK.to_owned())),
            ("inventory.yaml", inventory),
            ("policy.yaml", policy),
        ] {
            fs::write(dir.path().join("set").join(name), text).expect("a writable directory");
        }
        Self { dir, services, pager, up: None, listen: free_port(), nats: None, creds: None, size_mib: 200 }
    }

    /// Uses this server instead of a private one; `init` is run on it.
    ///
    /// # Panics
    /// When `init` fails.
    pub fn on(&mut self, nats: &str) {
        self.nats = Some(nats.to_owned());
        self.init();
    }

    /// As [`World::on`], on a server with the users whose seeds lie in this folder.
    ///
    /// # Panics
    /// When `init` fails.
    pub fn on_with(&mut self, nats: &str, keys: &Path) {
        self.nats = Some(nats.to_owned());
        self.creds = Some(keys.join("admin.seed"));
        self.init();
        self.creds = Some(keys.join("operator-local.seed"));
    }

    fn init(&self) {
        let output = self.cli(&["init", "--size-mib", &self.size_mib.to_string()]);
        assert!(output.status.success(), "{output:?}");
    }

    /// Where the set lies.
    #[must_use]
    pub fn set(&self) -> PathBuf {
        self.dir.path().join("set")
    }

    /// Adds to the configuration.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn configure(&self, text: &str) {
        let file = fs::File::options().append(true).open(self.dir.path().join("config.yaml"));
        writeln!(file.expect("the configuration"), "{text}").expect("writable");
    }

    /// The directory of everything.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Starts `regreen up`.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn launch(&mut self) {
        let mut command = Command::new(regreen());
        command
            .args(["up", "--data-dir"])
            .arg(self.dir.path().join("data"))
            .arg("--playbooks")
            .arg(self.set())
            .arg("--config")
            .arg(self.dir.path().join("config.yaml"))
            .arg("--listen")
            .arg(format!("127.0.0.1:{}", self.listen));
        if let Some(nats) = &self.nats {
            command.arg("--nats").arg(nats);
        }
        let server = tools::find(&["nats-server"]);
        let folder = server.parent().expect("a file lies in a folder").to_owned();
        command.env("PATH", folder);
        self.up =
            Some(Process::start(&mut command, &self.dir.path().join("up.log")).expect("regreen starts"));
    }

    /// Starts `regreen up` and waits until it is ready.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start(&mut self) {
        self.launch();
        self.ready().await;
    }

    /// Waits until `up` is ready and has looked at its services.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn ready(&self) {
        let url = format!("{}/readyz", self.url());
        let log = self.dir.path().join("up.log");
        wait_for("regreen to be ready", Duration::from_secs(40), async || {
            let answer = reqwest::get(&url).await.and_then(reqwest::Response::error_for_status);
            answer.map_err(|error| format!("{error}; {}", fs::read_to_string(&log).unwrap_or_default()))
        })
        .await;
        for check in ["web/one", "web/two"] {
            self.verdict(check, "up").await;
        }
    }

    /// Address of `up`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.listen)
    }

    /// Address for Alertmanager.
    #[must_use]
    pub fn webhook(&self) -> String {
        format!("{}/webhooks/alertmanager", self.url())
    }

    /// Runs a command of a person.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(regreen());
        command.args(arguments);
        match &self.nats {
            Some(nats) => command.arg("--nats").arg(nats),
            None => command.arg("--data-dir").arg(self.dir.path().join("data")),
        };
        if let Some(creds) = &self.creds {
            command.arg("--creds").arg(creds);
        }
        command.output().expect("the command starts")
    }

    /// A reading command's JSON.
    ///
    /// # Panics
    /// When it prints none.
    #[must_use]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    }

    /// Waits for a verdict.
    pub async fn verdict(&self, check: &str, wanted: &str) {
        wait_for(check, Duration::from_secs(20), async || {
            let status = self.json(&["status"]);
            let found = status["verdicts"]
                .as_array()
                .and_then(|list| list.iter().find(|v| v["check"] == check).cloned());
            if found.as_ref().is_some_and(|v| v["status"] == wanted) { Ok(()) } else { Err(found) }
        })
        .await;
    }

    /// Waits until there is a run with this result, and returns its story.
    pub async fn ended(&self, result: &str) -> Value {
        wait_for(&format!("a run that is {result}"), Duration::from_secs(40), async || {
            let runs = self.json(&["runs", "list"]);
            let found =
                runs.as_array().and_then(|list| list.iter().find(|run| run["result"] == result).cloned());
            found.ok_or_else(|| format!("{runs}\n{}", self.log()))
        })
        .await
    }

    /// What `up` has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("up.log")).unwrap_or_default()
    }

    /// Posts a payload as Alertmanager would; returns the status.
    ///
    /// # Panics
    /// When nobody answers.
    pub async fn post(&self, body: String, token: &str) -> u16 {
        let request = reqwest::Client::new().post(self.webhook()).bearer_auth(token).body(body);
        request.send().await.expect("an answer").status().as_u16()
    }

    /// Posts one firing alert for a node.
    pub async fn fire(&self, node: &str) -> u16 {
        self.post(payload(&[alert(node)]).to_string(), TOKEN).await
    }
}

/// A firing alert.
#[must_use]
pub fn alert(node: &str) -> Value {
    json!({"status": "firing", "labels": {"alertname": "WebDown", "node": node}, "annotations": {}, "startsAt": "2026-11-20T11:45:23Z",
        "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": format!("{:0<16}", format!("fe{node}"))})
}

/// A payload of version 4.
#[must_use]
pub fn payload(alerts: &[Value]) -> Value {
    json!({"version": "4", "receiver": "regreen", "groupKey": "g", "truncatedAlerts": 0, "alerts": alerts, "newInV5": true})
}
