//! Ingest as a process of its own: its file, its user, its end.

use std::{collections::BTreeMap, net::SocketAddr, process::ExitCode};

use regreen_bus::{Bus, connect, rights::Role};
use regreen_kit::{
    channels::{Slack, SlackApp},
    config::{self, Alertmanager, Config, Credential, Door, Tls},
    daemon::{self, Failure, Process},
    health::Health,
};
use serde::Deserialize;

use crate::{auth::Auth, proof, rest::Rest, router, serve};

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
    listen: SocketAddr,
    #[serde(default)]
    auth: BTreeMap<String, Credential>,
    #[serde(default)]
    alertmanagers: Vec<Alertmanager>,
    /// Without them no events are taken.
    #[serde(default)]
    events: BTreeMap<String, Door>,
    tls: Option<Tls>,
    /// Without it no clicks are taken.
    slack: Option<SlackApp>,
}

impl daemon::Config for File {
    fn process(&self) -> &Process {
        &self.process
    }

    fn check(&self) -> Result<(), Failure> {
        config::names(&self.auth)?;
        crate::closed(&self.auth, self.listen)?;
        Auth::new(&self.auth)?;
        Rest::new(&self.alertmanagers)?;
        config::doors(&self.events)?;
        proof::doors(&self.events)?;
        if let Some(slack) = &self.slack {
            slack.signing_secret.read("slack.signing_secret")?;
        }
        for path in self.tls.iter().flat_map(|tls| [&tls.cert, &tls.key]) {
            std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        self.process.check()
    }
}

/// `main` of `regreen-ingest`.
#[must_use]
pub fn main() -> ExitCode {
    let about = "Takes webhooks in, and answers 200 when they are stored";
    daemon::main("regreen-ingest", about, include_str!("../../../docs/config/ingest.yaml"), run)
}

async fn run(file: File, health: Health, shutdown: regreen_kit::Shutdown) -> Result<(), Failure> {
    let File { process, listen, auth, alertmanagers, events, tls, slack, .. } = file;
    let (url, domain, seed) = process.place()?;
    let bus = Bus::connect_in_time(&connect::Options::of(&Role::Ingest, url, domain, seed)).await?;
    health.say(daemon::NATS, Ok(()));
    let slack = Slack { signing_secret: slack.map(|slack| slack.signing_secret), ..Slack::default() };
    let config = Config { auth, alertmanagers, events, slack, ..Config::default() };
    let app = router(&bus, &config, &health)?;
    let told = |address| tracing::info!(%address, "webhooks are taken in");
    Ok(serve(app, listen, tls.as_ref(), told, shutdown).await?)
}
