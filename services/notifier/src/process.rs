//! A notifier as a process of its own: its file, its user, its end.

use std::{path::PathBuf, process::ExitCode};

use regreen_bus::{Bus, connect, rights::Role};
use regreen_kit::{
    Shutdown,
    channels::{Channels, PagerDuty, SlackApi, Smtp},
    daemon::{self, Failure, Process},
    health::Health,
    secrets::{Reference, Secrets},
};
use serde::Deserialize;

use crate::Settings;

/// Messages told at the same time.
pub const AT_ONCE: usize = 32;

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
    /// Where results wait until they are stored. It must survive restarts.
    journal: PathBuf,
    #[serde(default)]
    secrets: Secrets,
    /// Addresses that are paged, by POST, when the domain itself is in trouble.
    #[serde(default)]
    deadman: Vec<Reference>,
    #[serde(default)]
    slack: SlackApi,
    #[serde(default)]
    pagerduty: PagerDuty,
    smtp: Option<Smtp>,
}

impl File {
    fn channels(&self) -> Channels {
        let Self { slack, pagerduty, smtp, .. } = self;
        Channels { slack: slack.clone(), pagerduty: pagerduty.clone(), smtp: smtp.clone() }
    }
}

impl daemon::Config for File {
    fn process(&self) -> &Process {
        &self.process
    }

    fn check(&self) -> Result<(), Failure> {
        daemon::folder_of(&self.journal)?;
        self.secrets.check()?;
        self.deadman.iter().try_for_each(|receiver| receiver.read("deadman").map(|_| ()))?;
        crate::check(&self.channels())?;
        self.process.check()
    }
}

/// `main` of `regreen-notifier`.
#[must_use]
pub fn main() -> ExitCode {
    let about = "Tells people";
    daemon::main("regreen-notifier", about, include_str!("../../../docs/config/notifier.yaml"), run)
}

async fn run(file: File, health: Health, shutdown: Shutdown) -> Result<(), Failure> {
    let channels = file.channels();
    let File { process, journal, secrets, deadman, .. } = file;
    let settings = Settings { secrets, channels, deadman };
    let (url, domain, seed) = process.place()?;
    let bus = Bus::connect_in_time(&connect::Options::of(&Role::Notifier, url, domain, seed)).await?;
    health.say(daemon::NATS, Ok(()));
    Ok(crate::run(bus, crate::options(journal), settings, &health, shutdown).await?)
}
