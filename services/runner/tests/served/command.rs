//! A command as the engine sends it for the first attempt of a step. What a test wants otherwise is changed in it.

use std::sync::Arc;

use regreen_schemas::{
    Instance, RunId, Timestamp,
    action::find,
    command::{Command, Kind, Task},
};
use serde_json::Value;

/// Of a declared action, as its declaration says.
pub fn command(action: &str, params: Value) -> Command {
    let declared = find(action).expect("declared");
    Command {
        v: 1,
        run: RunId::from("r"),
        instance: Instance::from("step"),
        attempt: 1,
        task: Task {
            kind: Kind::Perform,
            action: action.into(),
            effect: declared.effect,
            zone: "main".into(),
            params: Arc::new(params),
            node: None,
            claim_by: Timestamp(0),
            timeout: declared.timeout,
        },
        action_key: "key".into(),
        decision_seq: 1,
        stop_no: 1,
        trace: None,
    }
}
