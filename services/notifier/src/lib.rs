//! The notifier: tells people. A host like the runner, with actions of class *tell*; failure to tell never blocks a
//! repair and is tried again by the log.

mod deadman;
pub mod process;

use std::path::PathBuf;

use futures::future::BoxFuture;
use regreen_action::{Action, Call, Options, Refusal};
use regreen_bus::Bus;
use regreen_kit::{
    Shutdown,
    secrets::{Reference, Secrets},
};
use regreen_schemas::{
    action::{Declaration, NOTIFY_LOG, NOTIFY_WEBHOOK},
    command::Command,
    fact::{Answer, Failure, Verb},
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

/// Why a notifier can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client.
    #[error("no HTTP client")]
    Client(#[from] reqwest::Error),
    /// The host.
    #[error(transparent)]
    Host(#[from] regreen_action::Error),
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
    }
}

/// Runs a notifier until it is told to end. `deadman` names the addresses that are paged when the domain itself is in
/// trouble.
///
/// # Errors
/// [`Error`] when it can't start.
pub async fn run(
    bus: Bus,
    options: Options,
    secrets: Secrets,
    deadman: Vec<Reference>,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let domain = bus.names.domain().clone();
    tokio::spawn(deadman::run(bus.clone(), domain, deadman, client.clone(), shutdown.clone()));
    let actions: Vec<Box<dyn Action>> = vec![Box::new(Log), Box::new(Webhook { client, secrets })];
    Ok(regreen_action::run(bus, options, actions, shutdown).await?)
}

fn text(command: &Command, key: &str) -> Result<String, Refusal> {
    let found = command.task.params.get(key).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| Refusal::refused(format!("`{key}` is missing")))
}

/// A message whose outcome is unknown is sent again, with the same key (rule 17): nobody looks it up.
fn not_looked_up<'a>(look: u8) -> BoxFuture<'a, Verb> {
    let state = "a message is not looked up".into();
    Box::pin(async move { Verb::Observed { look, answer: Answer::CannotTell { state } } })
}

/// Says it in the log.
struct Log;

struct Line {
    receiver: String,
    text: String,
}

impl Action for Log {
    fn declaration(&self) -> &'static Declaration {
        &NOTIFY_LOG
    }
    fn prepare(&self, command: &Command) -> Result<Box<dyn Call>, Refusal> {
        Ok(Box::new(Line { receiver: text(command, "receiver")?, text: text(command, "text")? }))
    }
}

impl Call for Line {
    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            tracing::warn!(target: "regreen::tell", receiver = self.receiver, "{}", self.text);
            Verb::Ok { result: Value::Null }
        })
    }
    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        not_looked_up(look)
    }
}

/// Posts it as JSON.
struct Webhook {
    client: reqwest::Client,
    secrets: Secrets,
}

struct Post {
    request: reqwest::RequestBuilder,
}

impl Action for Webhook {
    fn declaration(&self) -> &'static Declaration {
        &NOTIFY_WEBHOOK
    }
    fn prepare(&self, command: &Command) -> Result<Box<dyn Call>, Refusal> {
        let url = match command.task.params.get("url") {
            Some(Value::String(url)) => url.clone(),
            Some(Value::Object(map)) => {
                let name = map.get("secret").and_then(Value::as_str).unwrap_or_default();
                self.secrets
                    .get(name)
                    .map_err(|missing| Refusal::secret(missing.to_string()))?
                    .expose_secret()
                    .to_owned()
            }
            _ => return Err(Refusal::refused("`url` is missing")),
        };
        let body = json!({
            "v": 1, "receiver": text(command, "receiver")?, "text": text(command, "text")?,
            "run": command.run, "key": command.action_key,
        });
        // The key is the same for every try: the other side can tell a page sent twice.
        let request =
            self.client.post(url).header("Idempotency-Key", command.action_key.as_ref()).json(&body);
        Ok(Box::new(Post { request }))
    }
}

impl Call for Post {
    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            let transient = |reason: String| Verb::Failed {
                kind: Failure::Transient,
                reason: reason.into(),
                retry_after: None,
            };
            let Some(request) = self.request.try_clone() else {
                return transient("the request can't be sent".into());
            };
            match request.send().await {
                Ok(response) if response.status().is_success() => Verb::Ok { result: Value::Null },
                Ok(response) => transient(format!("the receiver answered {}", response.status())),
                // The URL may be a secret: it is not part of the reason.
                Err(error) => transient(format!("the receiver does not answer: {}", error.without_url())),
            }
        })
    }
    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        not_looked_up(look)
    }
}
