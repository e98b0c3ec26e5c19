//! The manifest of a snapshot: written last, so that what it names is whole.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Timestamp, event::Streams, record::Cursor};

/// Format of a snapshot's body. Raised with every change of the state's own shape; a body of another format is not
/// read, and the log is folded from an older snapshot.
pub const SNAPSHOT_FORMAT: u32 = 5;

/// What a snapshot reflects, and how to tell that it is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Version of the wire.
    pub v: u32,
    /// [`SNAPSHOT_FORMAT`].
    pub format: u32,
    /// The record that it reflects.
    pub decision_seq: u64,
    /// SHA-256 of that record's bytes, hex.
    pub chain_hash: Arc<str>,
    /// Up to where FACTS was decided.
    pub cursor: Cursor,
    /// SHA-256 of the state, hex.
    pub state_hash: Arc<str>,
    /// SHA-256 of the body, hex.
    pub sha256: Arc<str>,
    /// The engine's `now`.
    pub at: Timestamp,
    /// The newest ticket that was seen then.
    pub tickets: u64,
    /// Which streams it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Streams>,
}
