//! Names and ids as types, so that a run can't be passed where a fingerprint is meant. All are cheap to clone:
//! the decider keeps them in persistent maps.

use std::{borrow::Borrow, fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest token that may stand between two dots of a subject.
pub const TOKEN_MAX: usize = 40;

/// Whether the text may be one token of a subject: `[a-z0-9_-]{1,40}` (wire.md).
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= TOKEN_MAX
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text as it is.
            #[must_use]
            pub fn new(text: impl Into<Arc<str>>) -> Self { Self(text.into()) }
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl Borrow<str> for $name { fn borrow(&self) -> &str { &self.0 } }
        impl From<&str> for $name { fn from(text: &str) -> Self { Self(text.into()) } }
        impl From<String> for $name { fn from(text: String) -> Self { Self(text.into()) } }
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result { out.write_str(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result { write!(out, "{}", self.0) }
        }
    )*};
}

names! {
    /// What one engine decides for; a token. `default` unless split.
    Domain;
    /// Where a runner stands; a token. `main`, or a node's or group's `via:`.
    Zone;
    /// Alertmanager's fingerprint of an alert's label set (16 hex digits): the identity of an alert.
    Fingerprint;
    /// Id of a run: `H(genesis, k)`.
    RunId;
    /// Name of a playbook, as written under `playbook:`.
    PlaybookName;
    /// Name of a check with its member: `web`, `es-node/a1`.
    CheckName;
    /// Path of step ids with loop item, sub-run and undo: `reboot`, `each[a2]/soft`. Subjects carry its hash.
    Instance;
    /// Hash of all the files in force together: playbooks, inventory, checks, policy.
    SetHash;
    /// Configured name of a runner; survives restarts. A token.
    RunnerName;
    /// Random id of one process of a runner: new at each start.
    Nonce;
    /// Name of a place that a probe looks from; a token.
    Vantage;
    /// A channel to tell: Slack, a webhook, the log.
    ReceiverName;
    /// Random id in DECISIONS#1: a fresh domain never repeats an old one's ids.
    Genesis;
}

impl Default for Genesis {
    /// Of no log.
    fn default() -> Self {
        Self::from("")
    }
}

impl Instance {
    /// The one token that stands for this instance in a subject.
    #[must_use]
    pub fn token(&self) -> String {
        crate::hash::h(&[self.as_str().as_bytes()])
    }
}

/// Identity of an effect over all its attempts: `H(run, instance)`; the provider's idempotency token where
/// there is one (rule 20).
#[must_use]
pub fn action_key(run: &RunId, instance: &Instance) -> String {
    crate::hash::h(&[run.as_str().as_bytes(), instance.as_str().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        assert!(is_token("es-a_1"));
        for wrong in ["", "A", "a.b", "a b", "ä", &"x".repeat(41)] {
            assert!(!is_token(wrong), "{wrong}");
        }
    }

    #[test]
    fn every_instance_becomes_a_token() {
        let instance = Instance::from("each[a2]/soft");
        assert!(is_token(&instance.token()));
        assert_ne!(instance.token(), Instance::from("each[a1]/soft").token());
    }
}
