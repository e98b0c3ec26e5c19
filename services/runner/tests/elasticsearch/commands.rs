//! Commands as the engine sends them, and calls made of them.

use std::sync::Arc;

use regreen_action::{Action, Call, Refusal};
use regreen_kit::secrets::Secrets;
use regreen_runner::providers::Options;
use regreen_schemas::{
    Instance, RunId, Span, Timestamp,
    action::find,
    command::{Command, Kind, Task},
    fact::Verb,
};
use serde_json::{Value, json};

/// The actions of the provider, as a runner serves them.
pub struct Served(Vec<Box<dyn Action>>);

/// A group of the inventory.
pub fn group(nodes: &[(&str, String)]) -> Value {
    let nodes: Vec<Value> =
        nodes.iter().map(|(name, address)| json!({"name": name, "id": "1", "address": address})).collect();
    // Tests run beside each other, and a cluster is changed by one at a time.
    let name =
        nodes.iter().map(|node| node["address"].as_str().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    json!({"name": name, "labels": {}, "nodes": nodes})
}

/// One of its nodes, as a command names it.
pub fn node(name: &str, nodes: &[(&str, String)]) -> Value {
    let (_, address) = nodes.iter().find(|(known, _)| *known == name).expect("a node of the group");
    json!({"node": {"name": name, "id": "1", "address": address, "group": group(nodes)}})
}

impl Served {
    pub fn new(options: &Value, secrets: &Secrets) -> Self {
        regreen_kit::init_tls();
        let options: Options = serde_json::from_value(json!({"elasticsearch": options})).expect("options");
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
        let effect = served.declaration().effect;
        let task = Task {
            kind: Kind::Perform,
            action: action.into(),
            effect,
            zone: "main".into(),
            params: Arc::new(params),
            node: None,
            claim_by: Timestamp(0),
            timeout,
        };
        served.prepare(&Command {
            v: 1,
            run: RunId::from("r"),
            instance: Instance::from("step"),
            attempt,
            task,
            action_key: "key".into(),
            decision_seq: 1,
            stop_no: 1,
            trace: None,
        })
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
