//! Tickets: the write-once right to make one attempt. Either the runner (`Started`) or the engine (`Revoked`)
//! wins it; the server decides (rules 15 to 17).

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{Nonce, RunnerName};

/// The only message a ticket's subject will ever hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "ticket", rename_all = "snake_case")]
pub enum Ticket {
    /// A runner makes this attempt.
    Started {
        /// Version of the wire.
        v: u32,
        /// Configured name of the runner.
        runner: RunnerName,
        /// Its process.
        nonce: Nonce,
        /// The record that dispatched the attempt.
        decision_seq: u64,
        /// What the world looked like before the call, for actions that are looked up by comparison.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pre_state: Option<Value>,
    },
    /// The engine gave this attempt up before anybody began it.
    Revoked {
        /// Version of the wire.
        v: u32,
        /// The engine's epoch.
        epoch: u64,
        /// The newest record of that engine.
        decision_seq: u64,
    },
}

/// The stop switch: a message on `stop.<stop_no>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stop {
    /// Version of the wire.
    pub v: u32,
    /// Who pulled it.
    pub by: Arc<str>,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Arc<str>,
}

/// Who holds a started ticket, as it stands beside a result in the log: re-deciding looks nothing up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// Sequence in TICKETS.
    pub seq: u64,
    /// The runner.
    pub runner: RunnerName,
    /// Its process.
    pub nonce: Nonce,
    /// What the world looked like before the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_state: Option<Value>,
}
