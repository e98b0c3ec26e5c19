//! What all kinds of receivers share: parameters become a [`Told`], secrets are fetched by name, and a message whose
//! outcome is unknown is not looked up.

use std::sync::Arc;

use futures::future::BoxFuture;
use regreen_action::{Action, Call, Refusal, params};
use regreen_kit::secrets::Secrets;
use regreen_schemas::{
    action::{Declaration, TellVerb},
    command::Command,
    fact::{Answer, Verb},
    message::{Message, Telling},
};
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// A kind of receiver. A new one is one file like `log.rs`, a row in `channel` (lib.rs) and its rows in `TELLS`.
pub trait Channel: Send + Sync {
    /// Checks what the kind needs and makes everything ready: what fails here fails before any ticket.
    ///
    /// # Errors
    /// [`Refusal`]; it holds no secret.
    fn prepare(&self, told: &Told<'_>) -> Result<Box<dyn Deliver>, Refusal>;
}

/// A message that is ready to go out.
pub trait Deliver: Send + Sync {
    /// Sends it. Sent again under the same key when the outcome is unknown.
    fn deliver(&mut self) -> BoxFuture<'_, Verb>;
}

/// What is to be told, and how.
pub struct Told<'a> {
    /// The command.
    pub command: &'a Command,
    /// Whether its thread begins, goes on, or ends.
    pub verb: TellVerb,
    /// Its parameters.
    pub telling: Telling,
    secrets: &'a Secrets,
}

/// `{secret: name}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    secret: String,
}

impl Told<'_> {
    /// What to say.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.telling.message
    }

    /// `to`, as the kind needs it. What was found instead is not named: somebody may have written a secret in clear.
    ///
    /// # Errors
    /// [`Refusal`] with what is needed.
    pub fn to<T: DeserializeOwned>(&self, needed: &str) -> Result<T, Refusal> {
        T::deserialize(&self.telling.to).map_err(|_| {
            Refusal::refused(format!(
                "receiver `{}`: it must be {needed}, and nothing else",
                self.telling.receiver
            ))
        })
    }

    /// What the first message of the thread came back with, where it is what this build writes.
    #[must_use]
    pub fn opened<T: DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(self.telling.opened.as_ref()?).ok()
    }

    /// Reads a secret.
    ///
    /// # Errors
    /// [`Refusal`] when it is not at hand.
    pub fn secret(&self, secret: &Secret) -> Result<SecretString, Refusal> {
        self.secrets.get(&secret.secret).map_err(|missing| Refusal::secret(missing.to_string()))
    }
}

/// One entry of `TELLS` as an action.
pub struct Tell {
    /// Its declaration.
    pub declaration: &'static Declaration,
    /// Its verb.
    pub verb: TellVerb,
    /// Its kind.
    pub channel: Arc<dyn Channel>,
    /// What receivers refer to.
    pub secrets: Arc<Secrets>,
}

impl Action for Tell {
    fn declaration(&self) -> &'static Declaration {
        self.declaration
    }

    fn prepare(&self, command: &Command) -> Result<Box<dyn Call>, Refusal> {
        let telling = params(command)?;
        let told = Told { command, verb: self.verb, telling, secrets: &self.secrets };
        Ok(Box::new(Ready(self.channel.prepare(&told)?)))
    }
}

struct Ready(Box<dyn Deliver>);

impl Call for Ready {
    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        self.0.deliver()
    }

    /// A message whose outcome is unknown is sent again, with the same key (rule 17): nobody looks it up.
    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        let state = "a message is not looked up".into();
        Box::pin(async move { Verb::Observed { look, answer: Answer::CannotTell { state } } })
    }
}
