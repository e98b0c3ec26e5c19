//! A probe as a process of its own: its file, its user, its end.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, process::ExitCode};

use regreen_bus::{Bus, connect, rights::Role};
use regreen_kit::{
    Shutdown,
    daemon::{self, Failure, Process},
    health::Health,
    secrets::Secrets,
};
use serde::Deserialize;
use tokio::sync::watch;

use crate::{Looker, expose};

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
    /// Where `GET /health/{check}` and `GET /v1/endpoints/{service}` are answered: `host:port`.
    listen: Option<SocketAddr>,
    /// Secrets of the checks' headers, by name.
    #[serde(default)]
    secrets: Secrets,
    /// Files in PEM: the CAs that checks name.
    #[serde(default)]
    ca: BTreeMap<String, PathBuf>,
}

impl daemon::Config for File {
    fn process(&self) -> &Process {
        &self.process
    }

    fn check(&self) -> Result<(), Failure> {
        daemon::token("vantage", &self.vantage)?;
        self.secrets.check()?;
        Looker::new(self.secrets.clone(), self.ca.clone())?;
        self.process.check()
    }
}

/// `main` of `regreen-probe`.
#[must_use]
pub fn main() -> ExitCode {
    let about = "Looks at checks from one vantage, and reports what it sees";
    daemon::main("regreen-probe", about, include_str!("../../../docs/config/probe.yaml"), run)
}

async fn run(file: File, health: Health, shutdown: Shutdown) -> Result<(), Failure> {
    let File { process, vantage, reference, listen, secrets, ca, .. } = file;
    let looker = Looker::new(secrets, ca)?;
    let role = Role::Probe { vantage: vantage.clone() };
    let (url, domain, seed) = process.place()?;
    let bus = Bus::connect_in_time(&connect::Options::of(&role, url, domain, seed)).await?;
    health.say(daemon::NATS, Ok(()));
    let (own, seen) = watch::channel(expose::Own::default());
    if let Some(listen) = listen {
        let router = expose::router(&bus, seen).await?;
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .map_err(|error| format!("{listen} can't be listened on: {error}"))?;
        tracing::info!(address = %listener.local_addr()?, "checks are exposed");
        let mut told = shutdown.clone();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move { told.wait().await });
        tokio::spawn(serving.into_future());
    }
    Ok(crate::run(bus, vantage.into(), reference, looker, own, shutdown).await?)
}
