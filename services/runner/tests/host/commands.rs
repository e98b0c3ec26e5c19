//! Commands as the engine sends them, and calls made of them as the host makes them.

#[path = "../served/command.rs"]
mod command;

use std::path::Path;

use command::command;
use regreen_action::{Action, Call, Refusal};
use regreen_kit::secrets::Secrets;
use regreen_runner::providers::Options;
use regreen_schemas::{
    Span,
    action::{Effect, find},
    fact::{Answer, Verb},
};
use serde_json::{Value, json};

/// The node that the machine of these tests is.
pub const NODE: &str = "app-1";

/// The actions of a runner that stands on [`NODE`].
pub struct Served(Vec<Box<dyn Action>>);

impl Served {
    /// With this under `providers.host`, beside `node`.
    pub fn new(mut host: Value) -> Self {
        regreen_kit::init_tls();
        host["node"] = NODE.into();
        let options: Options = serde_json::from_value(json!({"host": host})).expect("options");
        options.check(&Secrets::default()).expect("sound");
        Self(options.actions(&Secrets::default()).expect("TLS"))
    }

    /// What it serves beside `http.request`.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|action| action.declaration().name).filter(|name| *name != "http.request").collect()
    }

    /// For the node that the machine is, as its declaration says.
    pub fn prepare(&self, action: &str, params: Value) -> Result<Box<dyn Call>, Refusal> {
        let declared = find(action).expect("declared");
        self.command(action, NODE, params, declared.effect, declared.timeout)
    }

    pub fn command(
        &self,
        action: &str,
        node: &str,
        mut params: Value,
        effect: Effect,
        timeout: Span,
    ) -> Result<Box<dyn Call>, Refusal> {
        let served = self.0.iter().find(|served| served.declaration().name == action).expect("served");
        params["node"] = json!({"name": node, "id": "1", "address": "127.0.0.1", "group": "app"});
        let mut command = command(action, params);
        (command.task.effect, command.task.timeout) = (effect, timeout);
        (command.task.zone, command.task.node) = (NODE.into(), Some(node.into()));
        served.prepare(&command)
    }

    /// Makes a call as the host does.
    pub async fn perform(&self, action: &str, params: Value) -> Verb {
        perform(self.prepare(action, params)).await.0
    }
}

/// As the host does; with what the ticket kept.
pub async fn perform(prepared: Result<Box<dyn Call>, Refusal>) -> (Verb, Option<Value>) {
    let mut call = prepared.expect("prepared");
    let before = call.before().await;
    call.open().await;
    (call.perform().await, before)
}

/// What a look says.
pub async fn look(prepared: Result<Box<dyn Call>, Refusal>, before: Option<Value>) -> Answer {
    match prepared.expect("prepared").observe(1, before).await {
        Verb::Observed { answer, .. } => answer,
        other => panic!("{other:?}"),
    }
}

/// A program that does what its text says. Put there by another process: whoever starts one while this one still had it
/// open for writing would be told that it is busy.
pub fn script(folder: &Path, name: &str, text: &str) -> String {
    let (source, path) = (folder.join(format!("{name}.text")), folder.join(name));
    std::fs::write(&source, format!("#!/bin/sh\n{text}\n")).expect("writable");
    install(&source, &path);
    path.display().to_string()
}

/// Puts a program there.
pub fn install(source: &Path, path: &Path) {
    let done = std::process::Command::new("install").args(["-m", "755"]).arg(source).arg(path).status();
    assert!(done.is_ok_and(|done| done.success()), "{} can't be put there", path.display());
}

/// What stands in a result.
pub fn ok(verb: Verb) -> Value {
    match verb {
        Verb::Ok { result } => result,
        other => panic!("{other:?}"),
    }
}

/// Why nothing was done for sure.
pub fn failed(verb: Verb) -> String {
    match verb {
        Verb::Failed { reason, .. } => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Why it is not known what was done.
pub fn unknown(verb: Verb) -> String {
    match verb {
        Verb::Unknown { reason } => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Why it was refused before any ticket.
pub fn refused(prepared: Result<Box<dyn Call>, Refusal>) -> String {
    prepared.err().expect("refused").detail
}
