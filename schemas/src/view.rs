//! VIEW: what the engine shows to probes and people. Never read to decide.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CheckName, Span, Timestamp,
    check::Status,
    id::{Genesis, Vantage},
};

/// The list of checks that probes look at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Checks {
    /// Version of the wire.
    pub v: u32,
    /// The log that it reflects.
    #[serde(default)]
    pub genesis: Genesis,
    /// The record that it reflects: an older one of the same log never replaces it.
    #[serde(default)]
    pub seq: u64,
    /// Raised with every change of the list; looks name it. Changing `watched` does not raise it.
    pub version: u64,
    /// The checks, one for each member, ordered by name.
    pub checks: Vec<Check>,
    /// Checks that an open verify waits for: every look at them is sent.
    pub watched: Vec<CheckName>,
}

/// How to look at one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Its name with member.
    pub name: CheckName,
    /// What to do.
    pub kind: Kind,
    /// Time between two looks; the probe adds jitter.
    pub interval: Span,
    /// Longest wait for an answer.
    pub timeout: Span,
    /// Failures in a row that make it down.
    pub fall: u32,
    /// Successes in a row that make it up.
    pub rise: u32,
    /// A status older than this is unknown.
    pub fresh: Span,
    /// The configured vantages.
    pub vantages: Vec<Vantage>,
    /// How many of them must agree.
    pub quorum: u32,
}

/// Kind of a check with what it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// GET and accept 200 to 299, or the statuses given.
    Http {
        /// Where.
        url: Arc<str>,
        /// Accepted statuses; 200 to 299 when empty.
        #[serde(default)]
        accept: Vec<u16>,
    },
    /// Connect, and close.
    Tcp {
        /// `host:port`.
        address: Arc<str>,
    },
}

/// A check's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Version of the wire.
    pub v: u32,
    /// The log that it reflects.
    #[serde(default)]
    pub genesis: Genesis,
    /// The record that it reflects: an older one of the same log never replaces it.
    #[serde(default)]
    pub seq: u64,
    /// Joined by quorum.
    pub status: Status,
    /// Since when it has been so.
    pub since: Timestamp,
    /// When it was written.
    pub as_of: Timestamp,
    /// After this it says nothing.
    pub expires: Timestamp,
}
