//! One publish with its answer told apart exactly: acknowledged, refused with the server's code, or **in doubt**.
//! The library folds several codes into `Other`; the rules (6, 7, 16) need the code itself.

use std::time::Duration;

pub use async_nats::HeaderMap as Headers;

/// After this an unanswered publish is in doubt. Publishes in flight when a connection drops hang until then.
pub const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Expected last sequence did not match (ADR-50 of nats-architecture: `wrong last sequence`).
pub const WRONG_LAST_SEQUENCE: u64 = 10071;
/// The store refuses: the subject holds its one message already, or the stream is full. The server sends it with
/// status 503, yet it is a clear no: nothing was stored.
pub const STORE_REFUSED: u64 = 10077;
/// Concurrent guards on one subject met at R3: try again.
pub const CONCURRENT_GUARD: u64 = 10164;

/// The server has stored it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Its sequence.
    pub seq: u64,
}

/// Why there is no acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server said no; nothing was stored.
    #[error("the server refused the write: {text} ({code})")]
    Refused {
        /// JetStream's error code.
        code: u64,
        /// Its text.
        text: String,
    },
    /// No answer: it may have been stored, or may still be (rule 7).
    #[error("the write is in doubt: {0}")]
    InDoubt(String),
    /// It can never be sent.
    #[error("the write can't be sent: {0}")]
    Unsendable(String),
}

/// Names of the headers that the rules rest on.
pub mod header {
    /// Dedup id: only saves work (rule 19).
    pub const MSG_ID: &str = "Nats-Msg-Id";
    /// The fence of the log (rule 6).
    pub const LAST_SEQ: &str = "Nats-Expected-Last-Sequence";
    /// Compare-and-swap on a subject.
    pub const LAST_SUBJECT_SEQ: &str = "Nats-Expected-Last-Subject-Sequence";
    /// Which subject that is, when it is another (rule 16).
    pub const LAST_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
}
