//! The actions of one provider as a runner serves them, commands as the engine sends them, and calls made of them.

mod command;

use command::command;
use regreen_action::{Action, Call, Refusal};
use regreen_kit::secrets::Secrets;
use regreen_runner::providers::Options;
use regreen_schemas::{Span, action::find, fact::Verb};
use serde_json::Value;

pub struct Served(Vec<Box<dyn Action>>);

impl Served {
    /// Of `providers:` in the runner's file.
    pub fn of(providers: Value, secrets: &Secrets) -> Self {
        regreen_kit::init_tls();
        let options: Options = serde_json::from_value(providers).expect("options");
        Self(options.actions(secrets).expect("TLS"))
    }

    pub fn prepare(&self, action: &str, params: Value) -> Result<Box<dyn Call>, Refusal> {
        self.command(action, params, find(action).expect("declared").timeout, 1)
    }

    pub fn command(
        &self,
        action: &str,
        params: Value,
        timeout: Span,
        attempt: u32,
    ) -> Result<Box<dyn Call>, Refusal> {
        let served = self.0.iter().find(|served| served.declaration().name == action).expect("served");
        let mut command = command(action, params);
        (command.attempt, command.task.timeout) = (attempt, timeout);
        served.prepare(&command)
    }

    /// Makes a call as the host does: opened, then performed.
    pub async fn perform(&self, action: &str, params: Value) -> Verb {
        perform(self.prepare(action, params)).await
    }
}

/// As the host does.
pub async fn perform(prepared: Result<Box<dyn Call>, Refusal>) -> Verb {
    let mut call = prepared.expect("prepared");
    call.open().await;
    call.perform().await
}
