//! The notifier: tells people. A host like the runner, with actions of class *tell*; failure to tell never blocks a
//! repair and is tried again by the log.

mod deadman;
mod email;
mod http;
mod log;
mod pagerduty;
pub mod process;
mod slack;
mod tell;
mod text;
mod webhook;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use regreen_action::{Action, Metrics, Options};
use regreen_bus::Bus;
use regreen_kit::{
    Shutdown,
    channels::Channels,
    health::Health,
    secrets::{Reference, Secrets},
};
use regreen_schemas::action::TELLS;
use reqwest::Client;

use tell::{Channel, Tell};

/// Why a notifier can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client.
    #[error("no HTTP client")]
    Client(#[from] reqwest::Error),
    /// The address of an API.
    #[error("`{0}.url` is no http or https URL, or holds credentials")]
    Address(&'static str),
    /// The relay for e-mail.
    #[error(transparent)]
    Relay(#[from] email::Wrong),
    /// This build declares a kind of receiver that it does not have.
    #[error("receivers `{0}` are declared and not served by this build")]
    Kind(&'static str),
    /// The host.
    #[error(transparent)]
    Host(#[from] regreen_action::Error),
}

/// What a notifier is told by its configuration.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What receivers refer to.
    pub secrets: Secrets,
    /// What it speaks through.
    pub channels: Channels,
    /// Addresses that are paged when the domain itself is in trouble.
    pub deadman: Vec<Reference>,
}

/// The one notifier of a domain.
#[must_use]
pub fn options(journal: PathBuf) -> Options {
    Options {
        name: "notifier".into(),
        zone: "main".into(),
        journal,
        at_once: process::AT_ONCE,
        ends_process: false,
        metrics: Metrics::default(),
    }
}

/// Runs a notifier until it is told to end.
///
/// # Errors
/// [`Error`] when it can't start.
pub async fn run(
    bus: Bus,
    options: Options,
    settings: Settings,
    health: &Health,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let Settings { secrets, channels, deadman } = settings;
    let pages = deadman::Metrics::default();
    health.metrics(|registry| {
        options.metrics.register(registry);
        pages.register(registry);
    });
    let domain = bus.names.domain().clone();
    let actions = actions(&channels, secrets, &format!("regreen/{domain}"))?;
    tokio::spawn(deadman::run(bus.clone(), domain, deadman, http::client()?, pages, shutdown.clone()));
    Ok(regreen_action::run(bus, options, actions, shutdown).await?)
}

/// An action for every entry of `TELLS`. `source` is who speaks, where a kind has a place for it.
///
/// # Errors
/// [`Error`]: what they speak through is configured wrongly.
pub fn actions(channels: &Channels, secrets: Secrets, source: &str) -> Result<Vec<Box<dyn Action>>, Error> {
    let (client, secrets) = (http::client()?, Arc::new(secrets));
    let mut kinds: BTreeMap<&str, Arc<dyn Channel>> = BTreeMap::new();
    let mut actions: Vec<Box<dyn Action>> = Vec::new();
    for (kind, verb, declaration) in TELLS {
        let channel = match kinds.get(kind) {
            Some(channel) => channel.clone(),
            None => channel(kind, &client, channels, source)?,
        };
        kinds.insert(kind, channel.clone());
        actions.push(Box::new(Tell { declaration, verb: *verb, channel, secrets: secrets.clone() }));
    }
    Ok(actions)
}

/// A kind of receiver.
fn channel(
    kind: &'static str,
    client: &Client,
    channels: &Channels,
    source: &str,
) -> Result<Arc<dyn Channel>, Error> {
    let client = client.clone();
    let address = |key, text: &str| http::address(text).ok_or(Error::Address(key));
    Ok(match kind {
        "log" => Arc::new(log::Log),
        "webhook" => Arc::new(webhook::Webhook(client)),
        "slack" => Arc::new(slack::Slack::new(client, address("slack", &channels.slack.url)?)),
        "pagerduty" => {
            let url = address("pagerduty", &channels.pagerduty.url)?;
            Arc::new(pagerduty::PagerDuty::new(client, &url, source))
        }
        "email" => {
            Arc::new(email::Email(channels.smtp.as_ref().map(email::Relay::new).transpose()?.map(Arc::new)))
        }
        _ => return Err(Error::Kind(kind)),
    })
}

/// What can be found wrong before anything starts.
///
/// # Errors
/// [`Error`].
pub fn check(channels: &Channels) -> Result<(), Error> {
    actions(channels, Secrets::default(), "check").map(|_| ())
}
