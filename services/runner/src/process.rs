//! A runner as a process of its own: its file, its user, its end.

use std::{path::PathBuf, process::ExitCode};

use regreen_action::{Metrics, Options};
use regreen_bus::{Bus, connect, rights::Role};
use regreen_kit::{
    Shutdown,
    daemon::{self, Failure, Process},
    health::Health,
    secrets::Secrets,
};
use serde::Deserialize;

use crate::providers;

/// Calls at the same time, unless the file says otherwise.
pub const AT_ONCE: usize = 512;

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
    /// Its name: it survives restarts, and no other runner has it.
    name: String,
    /// Where it stands.
    #[serde(default = "zone")]
    zone: String,
    /// Where results wait until they are stored. It must survive restarts.
    journal: PathBuf,
    /// Calls at the same time.
    #[serde(default = "at_once")]
    at_once: usize,
    /// How providers are reached; the actions of one that is not here are not served.
    #[serde(default)]
    providers: providers::Options,
    #[serde(default)]
    secrets: Secrets,
}

fn zone() -> String {
    "main".into()
}

fn at_once() -> usize {
    AT_ONCE
}

impl daemon::Config for File {
    fn process(&self) -> &Process {
        &self.process
    }

    fn check(&self) -> Result<(), Failure> {
        daemon::token("name", &self.name)?;
        daemon::token("zone", &self.zone)?;
        daemon::folder_of(&self.journal)?;
        self.secrets.check()?;
        self.providers.check(&self.secrets)?;
        self.process.check()
    }
}

/// `main` of `regreen-runner`.
#[must_use]
pub fn main() -> ExitCode {
    let about = "Performs actions: the only service that changes the world";
    daemon::main("regreen-runner", about, include_str!("../../../docs/config/runner.yaml"), run)
}

async fn run(file: File, health: Health, shutdown: Shutdown) -> Result<(), Failure> {
    let File { process, name, zone, journal, at_once, providers, secrets, .. } = file;
    let role = Role::Runner { name: name.clone() };
    let (url, domain, seed) = process.place()?;
    let bus = Bus::connect_in_time(&connect::Options::of(&role, url, domain, seed)).await?;
    let metrics = Metrics::default();
    health.metrics(|registry| metrics.register(registry));
    health.say(daemon::NATS, Ok(()));
    // Its hard deadline ends the process: it is alone in it.
    let options =
        Options { name: name.into(), zone: zone.into(), journal, at_once, ends_process: true, metrics };
    Ok(crate::run(bus, options, &providers, &secrets, shutdown).await?)
}
