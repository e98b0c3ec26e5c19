//! Performs commands: claims, tickets, deadlines, journal. A host gives it actions; everything that keeps an
//! effect from happening twice is here and not in the actions.

mod alarm;
mod host;
mod journal;
mod metrics;

use futures::future::BoxFuture;
use regreen_schemas::{
    action::Declaration,
    command::Command,
    fact::{NotCalled, Verb},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use host::{Error, Host, Options, run};
pub use metrics::Metrics;

/// An action of a host. The smallest is one short file; see the runner's `http.request`.
pub trait Action: Send + Sync {
    /// Its declaration.
    fn declaration(&self) -> &'static Declaration;

    /// Checks the parameters and gathers everything the call needs, secrets included: what fails here fails before
    /// any ticket.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was and will be done for this attempt.
    fn prepare(&self, command: &Command) -> Result<Box<dyn Call>, Refusal>;
}

/// A call that is ready to be made.
pub trait Call: Send + Sync {
    /// What the world looks like before the call, where the outcome is looked up by comparison.
    fn before(&self) -> BoxFuture<'_, Option<Value>> {
        Box::pin(async { None })
    }

    /// Opens what the call needs, a connection most likely, before the ticket: won, the call shall leave at once
    /// (rule 18). What fails here is told by [`Call::perform`].
    fn open(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// Does it. Answers `Ok`, `Failed` only when it is sure that nothing happened, else `Unknown`.
    fn perform(&mut self) -> BoxFuture<'_, Verb>;

    /// Looks whether it was done; `before` is what the ticket kept.
    fn observe(&self, look: u8, before: Option<Value>) -> BoxFuture<'_, Verb>;
}

/// The parameters of a command.
///
/// # Errors
/// When they are not those of the action.
pub fn params<T: DeserializeOwned>(command: &Command) -> Result<T, Refusal> {
    T::deserialize(&*command.task.params)
        .map_err(|error| Refusal::refused(format!("wrong parameters: {error}")))
}

/// Why an attempt is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its kind.
    pub reason: NotCalled,
    /// More for people. Never holds a secret.
    pub detail: String,
}

impl Refusal {
    /// The runner does not do this.
    #[must_use]
    pub fn refused(detail: impl Into<String>) -> Self {
        Self { reason: NotCalled::Refused, detail: detail.into() }
    }

    /// A secret is not there.
    #[must_use]
    pub fn secret(detail: impl Into<String>) -> Self {
        Self { reason: NotCalled::SecretMissing, detail: detail.into() }
    }
}
