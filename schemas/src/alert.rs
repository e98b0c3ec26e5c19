//! An alert as it is stored: Alertmanager's words, times in milliseconds. Which fields Alertmanager sends is in
//! its webhook documentation (payload version 4); what ingest does with them is ingest's business.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Fingerprint, Timestamp};

/// Labels or annotations: text to text, ordered.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// Most alerts in one item of a fact (wire.md).
pub const ALERTS_PER_ITEM: usize = 32;
/// Largest alert that is stored, in bytes of JSON; a larger one goes to DEAD.
pub const ALERT_BYTES_MAX: usize = 64 * 1024;

/// Firing or resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The condition holds.
    Firing,
    /// Alertmanager no longer hears of it. Never proof of health: Prometheus may have died.
    Resolved,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Firing or resolved.
    pub status: Status,
    /// Identity: Alertmanager's hash of the labels.
    pub fingerprint: Fingerprint,
    /// Input from outside: never code.
    pub labels: Labels,
    /// Text for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Labels,
    /// When it began. Can move back when alerts merge.
    pub starts_at: Timestamp,
    /// When it ended; absent while it fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Link to the graph.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub generator_url: Arc<str>,
}
