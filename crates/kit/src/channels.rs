//! The ways to people, as configurations write them: addresses of Slack and PagerDuty, a relay for e-mail. The
//! notifier speaks through them, and ingest hears the buttons of Slack.

use serde::Deserialize;

use crate::secrets::Reference;

/// What a click on Approve is called: the notifier makes the button, ingest takes the click.
pub const APPROVE: &str = "regreen_approve";
/// What a click on Deny is called.
pub const DENY: &str = "regreen_deny";

/// Everything that the notifier speaks through.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    /// Slack's Web API.
    pub slack: SlackApi,
    /// PagerDuty's Events API.
    pub pagerduty: PagerDuty,
    /// The relay for e-mail; without it none is sent.
    pub smtp: Option<Smtp>,
}

/// Slack's Web API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlackApi {
    /// `https://slack.com/api` unless given.
    pub url: String,
}

impl Default for SlackApi {
    fn default() -> Self {
        Self { url: slack_url() }
    }
}

/// The app of Slack whose buttons ingest hears.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackApp {
    /// Proves that a click comes from Slack.
    pub signing_secret: Reference,
}

/// Both sides of Slack, where one process has both.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slack {
    /// `https://slack.com/api` unless given.
    pub url: String,
    /// Proves that a click comes from Slack; without it no clicks are taken.
    pub signing_secret: Option<Reference>,
}

impl Default for Slack {
    fn default() -> Self {
        Self { url: slack_url(), signing_secret: None }
    }
}

/// PagerDuty's Events API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PagerDuty {
    /// `https://events.pagerduty.com` unless given.
    pub url: String,
}

impl Default for PagerDuty {
    fn default() -> Self {
        Self { url: "https://events.pagerduty.com".into() }
    }
}

/// A relay for e-mail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// Its name; its certificate must be for it.
    pub host: String,
    /// 587 with `starttls`, 465 with `tls`, 25 with `none`, unless given.
    pub port: Option<u16>,
    /// `starttls` unless given.
    #[serde(default)]
    pub tls: SmtpTls,
    /// Who we are there; with a password.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Reference>,
    /// The sender, unless a receiver names another.
    pub from: String,
}

/// How a connection to a relay is made safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// It begins in clear and must become TLS; a relay that does not offer it is not used.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// None: for a relay on this machine.
    None,
}

impl Smtp {
    /// The port, or what is usual.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            SmtpTls::Starttls => 587,
            SmtpTls::Tls => 465,
            SmtpTls::None => 25,
        })
    }
}

fn slack_url() -> String {
    "https://slack.com/api".into()
}
