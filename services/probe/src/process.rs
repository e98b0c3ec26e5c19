//! A probe as a process of its own: its file, its user, its end.

use std::process::ExitCode;

use regreen_bus::{Bus, connect, rights::Role};
use regreen_kit::{
    Shutdown,
    daemon::{self, Failure, Process},
    health::Health,
};
use serde::Deserialize;

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
    /// The place that it looks from.
    vantage: String,
    /// While none of these answers, it is blind: `host:port`.
    #[serde(default)]
    reference: Vec<String>,
}

impl daemon::Config for File {
    fn process(&self) -> &Process {
        &self.process
    }

    fn check(&self) -> Result<(), Failure> {
        daemon::token("vantage", &self.vantage)?;
        self.process.check()
    }
}

/// `main` of `regreen-probe`.
#[must_use]
pub fn main() -> ExitCode {
    let about = "Looks at checks from one vantage, and reports what it sees";
    daemon::main("regreen-probe", about, include_str!("../../../docs/config/probe.yaml"), run)
}

async fn run(file: File, _: Health, shutdown: Shutdown) -> Result<(), Failure> {
    let File { process, vantage, reference, .. } = file;
    let role = Role::Probe { vantage: vantage.clone() };
    let (url, domain, seed) = process.place()?;
    let bus = Bus::connect_in_time(&connect::Options::of(&role, url, domain, seed)).await?;
    Ok(crate::run(bus, vantage.into(), reference, shutdown).await?)
}
