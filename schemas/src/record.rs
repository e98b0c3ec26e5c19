//! A decision record: one message of DECISIONS, the truth. It says which facts were read and what was decided
//! on each. Its format outlives every release (rules 10 and 27).

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Timestamp, WIRE_VERSION, event::Event, id::Nonce, ticket::Holder};

/// Format of the events. A new kind of event is written only after every engine can read it.
pub const FORMAT: u32 = 1;

/// Most bytes in one record (rule 8).
pub const BYTES_MAX: usize = 256 * 1024;
/// Most items in one record (rule 8).
pub const ITEMS_MAX: usize = 256;

/// Position in FACTS: everything up to and including this item has been decided.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Cursor {
    /// Sequence of the message.
    pub seq: u64,
    /// Items of it that are decided, counted from 1; [`Cursor::WHOLE`] when the message is finished.
    pub item: u32,
}

impl Cursor {
    /// The message is finished, however many items it had.
    pub const WHOLE: u32 = u32::MAX;

    /// The position after the whole message.
    #[must_use]
    pub const fn after(seq: u64) -> Self {
        Self { seq, item: Self::WHOLE }
    }
}

/// What an item of a record answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A fact: item `item` (from 0) of message `seq`; `last` when it was the message's last item.
    Fact {
        /// Sequence in FACTS.
        seq: u64,
        /// Index of the item.
        item: u32,
        /// Whether the message is finished with it.
        last: bool,
        /// The ticket that stood for a result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<Holder>,
    },
    /// A deadline in the state.
    Timer,
    /// The log itself: genesis and takeover.
    Log,
}

/// One cause and what was decided on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// Why.
    pub cause: Cause,
    /// The engine's `now` (rule 12).
    pub now: Timestamp,
    /// What was decided, in order.
    pub events: Vec<Event>,
}

/// A hash of the state, to show that whoever folds the log folds it alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateHash {
    /// The state after this record.
    pub seq: u64,
    /// SHA-256, hex.
    pub hash: Arc<str>,
}

/// Why the writer does nothing: what the dead man pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// An operator must look before anything is dispatched (rule 14).
    Suspect,
    /// The streams are not what they were (rule 4).
    Frozen {
        /// What was seen.
        reason: Arc<str>,
    },
}

/// One message of DECISIONS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Version of the wire.
    pub v: u32,
    /// Format of the events.
    pub format: u32,
    /// Sequence of the newest `Takeover`: the writer's epoch (rule 11).
    pub epoch: u64,
    /// The writer's process.
    pub owner: Nonce,
    /// Number of this record, from 1; equals its sequence until the log is trimmed.
    pub n: u64,
    /// SHA-256 of the record before, hex; empty in the first (rule 9).
    pub prev_hash: Arc<str>,
    /// What happened and what was decided.
    pub items: Vec<Item>,
    /// Up to where FACTS has been decided.
    pub cursor: Cursor,
    /// H of the message at the cursor; empty before the first (rule 4).
    pub fact_hash: Arc<str>,
    /// The stop switch's current number (rule 16).
    pub stop_no: u64,
    /// Why nothing is done, while that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// The state after this record is hashed; a later record says what came out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hashed: bool,
    /// What the writer's state was after an earlier record (rule 9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_hash: Option<StateHash>,
    /// `now` when the record was closed: an empty record still says that the engine lives.
    pub now: Timestamp,
}

/// Why a record can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Written by a newer release.
    #[error(
        "record has wire version {v} and format {format}; this build reads {WIRE_VERSION} and {FORMAT}: run the release that wrote it, or a newer one"
    )]
    Version {
        /// Version of the wire.
        v: u32,
        /// Format of the events.
        format: u32,
    },
    /// Not a record, or an event that this build does not know: stop, never skip (rule 27).
    #[error("not a decision record that this build can read")]
    Shape(#[source] serde_json::Error),
}

/// Reads a record.
///
/// # Errors
/// [`Unreadable`]; the caller stops (rule 27).
pub fn decode(bytes: &[u8]) -> Result<Record, Unreadable> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u32,
        format: u32,
    }
    let Versioned { v, format } = serde_json::from_slice(bytes).map_err(Unreadable::Shape)?;
    if v != WIRE_VERSION || format != FORMAT {
        return Err(Unreadable::Version { v, format });
    }
    serde_json::from_slice(bytes).map_err(Unreadable::Shape)
}

/// The tick: core NATS, after every commit and at least each second. Nothing is decided by it alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tick {
    /// Version of the wire.
    pub v: u32,
    /// The engine's epoch.
    pub epoch: u64,
    /// Newest acknowledged record.
    pub seq: u64,
    /// The engine's `now`.
    pub now: Timestamp,
    /// Nothing is decided: the engine is frozen, or still reads what happened. Verdicts are of the past.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idle: bool,
    /// Vantages that shall send all their statuses again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resync: Vec<crate::id::Vantage>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(patch: serde_json::Value) -> Result<Record, Unreadable> {
        let mut json = serde_json::json!({"v": 1, "format": 1, "epoch": 2, "owner": "o", "n": 3, "prev_hash": "",
            "items": [{"cause": "timer", "now": 5, "events": [{"event": "caught_up"}]}], "cursor": {"seq": 1, "item": 0}, "fact_hash": "", "stop_no": 1, "now": 5});
        for (key, value) in patch.as_object().expect("an object") {
            json[key] = value.clone();
        }
        decode(json.to_string().as_bytes())
    }

    #[test]
    fn an_unknown_version_or_event_is_refused_and_never_skipped() {
        assert!(record(serde_json::json!({})).is_ok());
        assert!(matches!(record(serde_json::json!({"v": 2})), Err(Unreadable::Version { v: 2, .. })));
        assert!(matches!(
            record(serde_json::json!({"format": 9, "items": "other"})),
            Err(Unreadable::Version { format: 9, .. })
        ));
        let unknown =
            serde_json::json!({"items": [{"cause": "timer", "now": 5, "events": [{"event": "dreamt"}]}]});
        assert!(matches!(record(unknown), Err(Unreadable::Shape(_))));
    }
}
