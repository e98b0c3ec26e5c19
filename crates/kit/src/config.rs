//! `config:` of a deployment: addresses, credentials by reference, what a process serves. It decides nothing.
//! Unknown keys are refused.

use std::{collections::BTreeMap, path::PathBuf};

use regreen_schemas::{Span, time::parse_span};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, IgnoredAny},
};

use crate::{
    channels::{Channels, PagerDuty, Slack, SlackApi, Smtp},
    secrets::{Reference, Secrets},
};

/// The file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `regreen/v1`.
    #[serde(rename = "apiVersion")]
    pub api_version: Option<String>,
    /// Its name, for people.
    pub config: Option<String>,
    /// Who may send webhooks, by name of the credential: it becomes the source of the facts.
    pub auth: BTreeMap<String, Credential>,
    /// Alertmanagers whose API is asked for what they cut off a payload, in this order.
    pub alertmanagers: Vec<Alertmanager>,
    /// Where events from outside are posted, by the last part of the path.
    pub events: BTreeMap<String, Door>,
    /// Certificate and key with which webhooks are taken in.
    pub tls: Option<Tls>,
    /// Secrets that actions refer to.
    pub secrets: Secrets,
    /// How providers are reached: the runner reads this part itself, with the types of each.
    pub providers: IgnoredAny,
    /// Files in PEM: the CAs that checks name.
    #[serde(default)]
    pub ca: BTreeMap<String, PathBuf>,
    /// Addresses that are paged when the domain itself is in trouble: frozen, suspect, silent, NATS away.
    pub deadman: Vec<Reference>,
    /// Where Slack is, and how it proves that a click is its own.
    pub slack: Slack,
    /// Where PagerDuty is.
    pub pagerduty: PagerDuty,
    /// The relay for e-mail; without it none is sent.
    pub smtp: Option<Smtp>,
    /// How often the state is kept, and how long the past.
    pub snapshots: Keep,
    /// Addresses that tell whether this vantage sees at all: `host:port`.
    pub reference: Vec<String>,
    /// Where traces go, by OTLP over HTTP; none unless given.
    pub otlp_endpoint: Option<String>,
}

/// How a sender of webhooks proves who it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Credential {
    /// `Authorization: Bearer …`.
    Bearer(Reference),
    /// `Authorization: Basic …`.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Reference,
    },
}

/// An Alertmanager's API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alertmanager {
    /// `http://host:9093`, with its prefix if it has one.
    pub url: String,
    /// How we prove who we are.
    pub auth: Option<Credential>,
}

/// A path that events are posted to, and the secret that their sender shows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Door {
    /// The secret's name, as `webhook` triggers write it.
    pub secret: String,
    /// The secret.
    pub value: Reference,
    /// How it is shown.
    #[serde(default)]
    pub scheme: Scheme,
}

/// How a sender of events shows that it has the secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// `Authorization: Bearer …`.
    #[default]
    Bearer,
    /// `X-Signature-256: sha256=…`: HMAC over the body as it came.
    HmacSha256,
    /// The same in `X-Hub-Signature-256`, as GitHub sends it.
    Github,
}

/// How often the engine keeps its state, and how long the past can be explained.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// Time between two snapshots; a busy engine makes them sooner.
    #[serde(deserialize_with = "span")]
    pub every: Span,
    /// The audit period: facts and decisions, and one snapshot a day, are kept for this long.
    #[serde(deserialize_with = "span")]
    pub audit: Span,
}

impl Default for Keep {
    fn default() -> Self {
        Self { every: Span::minutes(10), audit: Span::minutes(30 * 24 * 60) }
    }
}

/// A duration as in playbooks: `10m`, `30d`.
///
/// # Errors
/// When it is none.
pub fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
    let text = String::deserialize(from)?;
    parse_span(&text)
        .ok_or_else(|| D::Error::custom(format!("`{text}` is no duration: 45s, 10m, 1h30m, 30d")))
}

/// Files in PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The chain.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be read.
    #[error("{path} can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not a configuration.
    #[error("{path} is no configuration:\n{why}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// With the place drawn.
        why: String,
    },
    /// A credential's name can't be a source of facts.
    #[error("credential `{0}` must match [a-z0-9_-]{{1,40}}: it becomes the source of the facts")]
    Name(String),
    /// A path can't be a source of facts, or no trigger could name the secret.
    #[error(
        "`{0}` under `events:` must match [a-z0-9_-]{{1,40}}: paths and secrets of events are named by triggers"
    )]
    Door(String),
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error`] with the place.
    pub fn read(path: &PathBuf) -> Result<Self, Error> {
        let config: Self = read(path)?;
        names(&config.auth)?;
        doors(&config.events)?;
        Ok(config)
    }

    /// What the notifier speaks through.
    #[must_use]
    pub fn channels(&self) -> Channels {
        let slack = SlackApi { url: self.slack.url.clone() };
        Channels { slack, pagerduty: self.pagerduty.clone(), smtp: self.smtp.clone() }
    }
}

/// Credentials by name, whose names can be sources of facts.
///
/// # Errors
/// [`Error::Name`].
pub fn names(auth: &BTreeMap<String, Credential>) -> Result<(), Error> {
    match auth.keys().find(|name| !regreen_schemas::id::is_token(name)) {
        Some(name) => Err(Error::Name(name.clone())),
        None => Ok(()),
    }
}

/// Doors for events whose names triggers can write.
///
/// # Errors
/// [`Error::Door`].
pub fn doors(events: &BTreeMap<String, Door>) -> Result<(), Error> {
    let names = events.iter().flat_map(|(path, door)| [path, &door.secret]);
    match names.into_iter().find(|name| !regreen_schemas::id::is_token(name)) {
        Some(name) => Err(Error::Door(name.clone())),
        None => Ok(()),
    }
}

/// Reads a file of YAML.
///
/// # Errors
/// [`Error::Read`], or [`Error::Parse`] with the place.
pub fn read<T: DeserializeOwned>(path: &PathBuf) -> Result<T, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.clone(), source })?;
    serde_saphyr::from_str(&text).map_err(|error| Error::Parse { path: path.clone(), why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::SmtpTls;

    #[test]
    fn the_example_is_a_configuration_and_shows_every_key() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.example.yaml");
        let config = Config::read(&path).expect("a configuration");
        let Config {
            api_version,
            config,
            auth,
            alertmanagers,
            events,
            tls,
            secrets,
            providers: _,
            ca,
            deadman,
            slack,
            pagerduty,
            smtp,
            snapshots,
            reference,
            otlp_endpoint,
        } = config;
        assert_eq!(deadman.len(), 1);
        assert!(slack.signing_secret.is_some());
        let smtp = smtp.expect("a relay");
        assert_eq!((smtp.port(), smtp.tls, smtp.user.is_some()), (587, SmtpTls::Starttls, true));
        let defaults = Config::default();
        assert_eq!((slack.url, pagerduty.url), (defaults.slack.url, defaults.pagerduty.url));
        assert_eq!((snapshots.every, snapshots.audit), (Span::minutes(10), Span::minutes(30 * 24 * 60)));
        assert_eq!((api_version.as_deref(), config.as_deref()), (Some("regreen/v1"), Some("example")));
        assert_eq!(ca.len(), 1);
        assert_eq!((auth.len(), alertmanagers.len(), tls.is_some(), reference.len()), (2, 2, true, 2));
        let schemes: Vec<_> = events.values().map(|door| door.scheme).collect();
        assert_eq!(schemes, [Scheme::Bearer, Scheme::HmacSha256, Scheme::Github]);
        assert!(
            otlp_endpoint.is_some() && secrets.get("web-token").is_err(),
            "named, and not on this machine"
        );
    }

    #[test]
    fn doors_have_names_that_triggers_can_write() {
        for (text, good) in [
            ("deploys: {secret: ci, value: {env: CI}}", true),
            ("deploys: {secret: ci, value: {env: CI}, scheme: hmac-sha256}", true),
            ("Deploys: {secret: ci, value: {env: CI}}", false),
            ("a/b: {secret: ci, value: {env: CI}}", false),
            ("deploys: {secret: '', value: {env: CI}}", false),
        ] {
            let events: BTreeMap<String, Door> = serde_saphyr::from_str(text).expect(text);
            assert_eq!(doors(&events).is_ok(), good, "{text}");
        }
        for wrong in
            ["d: {secret: ci}", "d: {secret: ci, value: x}", "d: {secret: ci, value: {env: CI}, scheme: md5}"]
        {
            assert!(serde_saphyr::from_str::<BTreeMap<String, Door>>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place() {
        let dir = std::env::temp_dir().join(format!("regreen-config-{}", std::process::id()));
        std::fs::write(&dir, "auht: {}\n").expect("a writable directory");
        let said = Config::read(&dir).expect_err("unknown").to_string();
        std::fs::remove_file(&dir).expect("removed");
        assert!(said.contains("auht"), "{said}");
    }
}
