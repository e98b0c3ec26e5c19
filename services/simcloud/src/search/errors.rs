//! Refusals in the shape that Elasticsearch gives them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub status: u16,
    pub kind: String,
    pub reason: Option<String>,
    pub index: Option<String>,
}

impl Refused {
    fn new(status: u16, kind: &str, reason: &str) -> Self {
        Self { status, kind: kind.into(), reason: Some(reason.into()), index: None }
    }

    fn about(status: u16, kind: &str, reason: &str, index: &str) -> Self {
        Self { index: Some(index.into()), ..Self::new(status, kind, reason) }
    }

    /// Nobody leads the cluster: nothing that the master does is done.
    pub fn no_master() -> Self {
        Self { status: 503, kind: "master_not_discovered_exception".into(), reason: None, index: None }
    }

    /// Nobody leads the cluster: nothing is written.
    pub fn blocked() -> Self {
        Self::new(503, "cluster_block_exception", "blocked by: [SERVICE_UNAVAILABLE/2/no master];")
    }

    /// The primary is nowhere.
    pub fn primary_not_active(index: &str) -> Self {
        Self::new(
            503,
            "unavailable_shards_exception",
            &format!("[{index}][0] primary shard is not active Timeout"),
        )
    }

    /// No copy can be searched.
    pub fn all_shards_failed() -> Self {
        Self::new(503, "search_phase_execution_exception", "all shards failed")
    }

    pub fn index_not_found(index: &str) -> Self {
        Self::about(404, "index_not_found_exception", &format!("no such index [{index}]"), index)
    }

    pub fn index_exists(index: &str) -> Self {
        let reason = format!("index [{index}] already exists");
        Self::about(400, "resource_already_exists_exception", &reason, index)
    }

    pub fn invalid_index_name(index: &str) -> Self {
        Self::about(400, "invalid_index_name_exception", &format!("Invalid index name [{index}]"), index)
    }

    pub fn version_conflict(index: &str, id: &str) -> Self {
        let reason = format!("[{id}]: version conflict, document already exists");
        Self::about(409, "version_conflict_engine_exception", &reason, index)
    }

    /// A value that can't be.
    pub fn argument(reason: &str) -> Self {
        Self::new(400, "illegal_argument_exception", reason)
    }

    /// A body that can't be understood.
    pub fn parsing(reason: &str) -> Self {
        Self::new(400, "parsing_exception", reason)
    }

    /// It did not come to that in time.
    pub fn too_long(reason: &str) -> Self {
        Self::new(503, "timeout_exception", reason)
    }

    /// As it goes over the wire.
    pub fn body(&self) -> Value {
        let mut cause = json!({"type": self.kind, "reason": self.reason});
        if let Some(index) = &self.index {
            cause["index"] = index.as_str().into();
        }
        let mut error = cause.clone();
        error["root_cause"] = json!([cause]);
        json!({"error": error, "status": self.status})
    }
}
