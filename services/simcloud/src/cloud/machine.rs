//! A droplet's machine: the process of its search node. Where there is none to run, the machine is on, and idle.

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::boot;
use crate::search::config::{self, Config, HTTP, Machine as Host, TRANSPORT};

/// How long a machine may take to shut down in order.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// What runs on the droplets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// The small search node of this program.
    StandIn,
    /// OpenSearch: `make search` gets it.
    Real,
}

/// A machine.
pub struct Machine {
    kind: Kind,
    host: Host,
    folder: PathBuf,
    user_data: Option<String>,
    child: Option<Child>,
    /// It does not run, whatever is switched.
    pub broken: bool,
    /// It is stopped: it hears nothing.
    pub hung: bool,
    /// Why no search node runs on it.
    pub problem: Option<String>,
}

impl Machine {
    pub fn new(
        kind: Kind,
        hostname: &str,
        address: Ipv4Addr,
        folder: &Path,
        user_data: Option<&str>,
    ) -> Self {
        Self {
            kind,
            host: Host { hostname: hostname.to_owned(), address },
            folder: folder.to_owned(),
            user_data: user_data.map(str::to_owned),
            child: None,
            broken: false,
            hung: false,
            problem: None,
        }
    }

    /// Switches it on; its disk is as it was.
    pub fn start(&mut self) {
        if self.broken || self.running() {
            return;
        }
        self.problem = match self.spawn() {
            Ok(child) => {
                self.child = Some(child);
                None
            }
            Err(error) => Some(format!("{error:#}")),
        };
        if let Some(problem) = &self.problem {
            tracing::warn!("no search node runs on {}: {problem}", self.host.hostname);
        }
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let yml = boot::read(self.user_data.as_deref())?;
        let config = config::read(&yml, &self.host)?;
        fs::create_dir_all(&self.folder)?;
        let file = self.folder.join("elasticsearch.yml");
        fs::write(&file, &yml).with_context(|| format!("can't write {}", file.display()))?;
        let log = File::options().create(true).append(true).open(self.folder.join("node.log"))?;
        let mut command = Command::from(regreen_kit::child::command()?);
        match self.kind {
            Kind::StandIn => self.stand_in(&mut command, &file)?,
            Kind::Real => self.real(&mut command, &config)?,
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        Ok(command.spawn()?)
    }

    fn stand_in(&self, command: &mut Command, file: &Path) -> anyhow::Result<()> {
        command.arg(std::env::current_exe()?).arg("search-node").arg("--config").arg(file);
        command.arg("--data").arg(self.folder.join("data"));
        command
            .arg("--address")
            .arg(self.host.address.to_string())
            .arg("--hostname")
            .arg(&self.host.hostname);
        Ok(())
    }

    fn real(&self, command: &mut Command, config: &Config) -> anyhow::Result<()> {
        command.arg(opensearch()?).args(["--name", &config.name, "--cluster", &config.cluster]);
        command.arg("--host").arg(self.host.address.to_string());
        command.arg("--http").arg(HTTP.to_string()).arg("--transport").arg(TRANSPORT.to_string());
        command.arg("--data").arg(self.folder.join("data"));
        command.args(["--seeds", &config.seeds.join(",")]);
        if !config.initial.is_empty() {
            command.args(["--initial", &config.initial.join(",")]);
        }
        Ok(())
    }

    /// Shuts it down in order. One that hangs does not hear of it, and stays as it is.
    pub async fn shut_down(&mut self) {
        if self.hung {
            return;
        }
        self.signal(Signal::TERM);
        if let Some(mut child) = self.child.take()
            && tokio::time::timeout(SHUTDOWN, child.wait()).await.is_err()
        {
            end(&mut child).await;
        }
    }

    /// Takes its power away.
    pub async fn kill(&mut self) {
        self.hung = false;
        if let Some(mut child) = self.child.take() {
            end(&mut child).await;
        }
    }

    /// Stops it where it is.
    pub fn hang(&mut self) {
        self.hung = self.running();
        self.signal(Signal::STOP);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().and_then(Child::id).and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether its search node's process is there.
    pub fn running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// The process, for whoever looks.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// What is seen from outside.
    pub fn word(&mut self) -> &'static str {
        match (self.running(), self.hung, self.broken, self.problem.is_some()) {
            (true, true, ..) => "hung",
            (true, ..) => "running",
            (_, _, true, _) => "broken",
            (.., true) => "idle",
            _ => "dead",
        }
    }

    /// Wipes its disk.
    pub fn wipe(&self) {
        if let Err(error) = fs::remove_dir_all(&self.folder)
            && self.folder.exists()
        {
            tracing::warn!("{} can't be removed: {error}", self.folder.display());
        }
    }
}

async fn end(child: &mut Child) {
    // Both answers leave it gone.
    let _ = child.kill().await;
}

/// Where OpenSearch is started: beside this project, or on the path.
///
/// # Errors
/// When it is not there, with the command that gets it.
pub fn opensearch() -> anyhow::Result<PathBuf> {
    const NAME: &str = "opensearch-node";
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = std::env::current_dir()?.join(".tools/bin");
    let places = [tools].into_iter().chain(std::env::split_paths(&path));
    let found = places.map(|place| place.join(NAME)).find(|file| file.is_file());
    found.with_context(|| format!("{NAME} is neither in .tools/bin nor on PATH: run `make opensearch`"))
}
