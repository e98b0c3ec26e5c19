//! An engine as a process of its own: its file, its user, its end.

use std::{path::PathBuf, process::ExitCode};

use regreen_bus::{Bus, connect, rights::Role};
use regreen_kit::{
    Shutdown,
    config::Keep,
    daemon::{self, Failure, Process},
    health::Health,
    secrets::Reference,
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio::sync::watch;

use crate::{Options, Status, library, loader};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// `regreen/v1`.
    #[serde(rename = "apiVersion")]
    _api_version: Option<String>,
    /// Its name, for people.
    #[serde(rename = "config")]
    _name: Option<String>,
    process: Process,
    /// Files and folders with playbooks, checks and policy; none: the set is brought by `regreen apply`.
    #[serde(default)]
    playbooks: Vec<PathBuf>,
    /// Files and folders with the inventory.
    #[serde(default)]
    inventory: Vec<PathBuf>,
    /// How often the state is kept, and how long the past.
    #[serde(default)]
    snapshots: Keep,
    /// Seed of the user that may trim; without it nothing is ever trimmed.
    janitor: Option<Reference>,
}

impl File {
    fn paths(&self) -> Vec<PathBuf> {
        self.playbooks.iter().chain(&self.inventory).cloned().collect()
    }
}

impl daemon::Config for File {
    fn process(&self) -> &Process {
        &self.process
    }

    fn check(&self) -> Result<(), Failure> {
        self.janitor.as_ref().map(|seed| seed.read("janitor")).transpose()?;
        self.process.check()
    }

    fn check_more(&self) -> Result<(), Failure> {
        let (set, findings) = library::compile(&library::read(&self.paths())?);
        match set {
            Some(_) => Ok(()),
            None => Err(format!("the set is not good yet:\n{}", findings.render(false)).into()),
        }
    }
}

/// `main` of `regreen-engine`.
#[must_use]
pub fn main() -> ExitCode {
    let about = "Decides. Start two of them: one is active, the other stands by";
    daemon::main("regreen-engine", about, include_str!("../../../docs/config/engine.yaml"), run)
}

async fn run(file: File, health: Health, shutdown: Shutdown) -> Result<(), Failure> {
    let files = loader::follow(file.paths(), loader::Hangup::Reload, &health);
    let process = file.process;
    let (url, domain, seed) = process.place()?;
    let bus = Bus::connect_in_time(&connect::Options::of(&Role::Engine, url, domain, seed)).await?;
    health.say(daemon::NATS, Ok(()));
    let (status, mut watched) = watch::channel(Status::default());
    tokio::spawn(async move {
        let mut before = String::new();
        while watched.changed().await.is_ok() {
            let phase = watched.borrow_and_update().phase.clone();
            if phase != before {
                tracing::info!(phase, "this engine is");
                before = phase;
            }
        }
    });
    let janitor = match &file.janitor {
        None => None,
        Some(seed) => {
            let seed = Some(seed.read("janitor")?.expose_secret().trim().to_owned());
            let (url, domain) = (process.nats.url.clone(), process.domain.clone());
            Some(Bus::connect_in_time(&connect::Options::of(&Role::Janitor, url, domain, seed)).await?)
        }
    };
    let options = Options { own_server: false, files, snapshots: file.snapshots, janitor };
    Ok(crate::run(bus, options, health, status, shutdown).await?)
}
