//! What a probe can say about a check, and how it says it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::CheckName;

/// Status of a check: from one vantage, or joined by quorum into a verdict. Ordered: the worse the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Looked at, and it is well.
    Up,
    /// Looked at, and it works with a blemish.
    Degraded,
    /// Looked at from a sighted vantage, and it fails.
    Down,
    /// Nobody can say. Never a reason to act, never proof of health.
    Unknown,
}

impl Status {
    /// The word in YAML, tables and digests.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

/// One look at one check, as it is reported: every look at a watched check, else changes only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Look {
    /// The check.
    pub check: CheckName,
    /// What was seen, after fall and rise.
    pub status: Status,
    /// Why, for people: `connection refused`, `503`.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Arc<str>,
    /// Sequence of the last tick seen **before** the look began: verify compares it with the record that took
    /// in the last result, so that no clocks are compared (rule 23).
    pub tick: u64,
    /// The newest look said otherwise, and fall or rise is not reached yet: a hold is broken by it all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wavers: bool,
}

/// Proof that no change was missed: a hash over all statuses (wire.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Digest {
    /// Last tick seen when it was made.
    pub tick: u64,
    /// How many checks it covers.
    pub count: u32,
    /// Hash of the sorted `check=status` lines.
    pub hash: Arc<str>,
    /// Checks that should have been looked at and were not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overdue: Vec<CheckName>,
}

/// The hash of a digest: `H` of the sorted `check=status` lines.
pub fn digest_hash<'a>(sorted: impl Iterator<Item = (&'a CheckName, Status)>) -> String {
    let mut lines = String::new();
    for (check, status) in sorted {
        lines.push_str(check.as_str());
        lines.push('=');
        lines.push_str(status.word());
        lines.push('\n');
    }
    crate::hash::h(&[lines.as_bytes()])
}
