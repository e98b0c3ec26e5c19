//! What the protocols of this crate ask of JetStream, and nothing more: the whole of its behaviour that the rules rest
//! on. [`crate::nats`] answers it by a real server; the simulation answers it by a model that is held against the real
//! one (docs/adr/0005-simulation.md).

use std::fmt::Debug;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};
use regreen_schemas::Timestamp;
use tokio::sync::watch;

use crate::publish;

/// One stored message.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its sequence.
    pub seq: u64,
    /// When the leader stored it: its wall clock, may go back.
    pub time: Timestamp,
    /// Where it was published.
    pub subject: String,
    /// Its bytes.
    pub payload: Bytes,
    /// How many followed it in the stream when it was sent.
    pub pending: u64,
}

/// A stream, asked of its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// When it was created.
    pub created: Timestamp,
    /// First sequence that is still there.
    pub first: u64,
    /// Last sequence; 0 when nothing was ever written.
    pub last: u64,
    /// How many bytes it holds.
    pub bytes: u64,
    /// How many it may hold; `None` without bound.
    pub bytes_max: Option<u64>,
}

/// Why there is no answer to use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server says that there is no such stream.
    #[error("there is no {0}")]
    Missing(String),
    /// What was read is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// No answer, or another refusal: nothing is known.
    #[error("{0}")]
    Failed(String),
}

/// A message of a durable consumer: delivered again until it is acknowledged.
pub struct Delivery {
    /// Its bytes.
    pub payload: Bytes,
    /// Says that it need not come again.
    pub done: BoxFuture<'static, Result<(), Error>>,
}

/// A durable consumer, shared by all who name it.
#[derive(Clone, Debug)]
pub struct Durable {
    /// Its name.
    pub name: String,
    /// Which subjects.
    pub filter: String,
    /// Unacknowledged for this long, a message is delivered again.
    pub redelivery: std::time::Duration,
    /// Messages that may be out at once.
    pub in_hand_max: i64,
}

/// How a write to a key by revision ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// It is there.
    Written,
    /// The key has another revision.
    Moved,
}

/// A stream of what comes.
pub type Coming<T> = BoxStream<'static, Result<T, Error>>;

/// The answer of one call.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// JetStream as the bus sees it. Every answer comes within a bounded time or is an error; none says more than it
/// knows.
pub trait Port: Debug + Send + Sync {
    /// Publishes to a stream and waits for its acknowledgement.
    fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> BoxFuture<'_, Result<publish::Ack, publish::Error>>;
    /// Publishes without waiting: it may be lost.
    fn send(&self, subject: String, headers: HeaderMap, payload: Bytes) -> Answer<'_, ()>;
    /// What is sent to a subject from now on; what comes while the connection is away is lost.
    fn subscribe(&self, subject: String) -> Answer<'_, BoxStream<'static, Bytes>>;
    /// What a stream is, asked of its leader.
    fn info(&self, stream: String) -> Answer<'_, Info>;
    /// A message by its sequence, asked of the leader; `None` when the leader says that it has none.
    fn message(&self, stream: String, seq: u64) -> Answer<'_, Option<Stored>>;
    /// The newest message of a subject, asked of the leader.
    fn last(&self, stream: String, subject: String) -> Answer<'_, Option<Stored>>;
    /// Everything from a sequence on. May break, skip or end at any time: the reader checks.
    fn follow(&self, stream: String, from: u64) -> Answer<'_, Coming<Stored>>;
    /// The newest message of each subject, as of now.
    fn newest(&self, stream: String, filter: String) -> Answer<'_, Vec<Stored>>;
    /// The messages of a durable consumer.
    fn take(&self, stream: String, durable: Durable) -> Answer<'_, Coming<Delivery>>;
    /// Removes what lies before a sequence, of one subject filter or of all; says how many messages that were.
    fn purge(&self, stream: String, before: u64, filter: Option<String>) -> Answer<'_, u64>;
    /// An object of a bucket.
    fn get(&self, bucket: String, name: String) -> Answer<'_, Option<Vec<u8>>>;
    /// Stores an object. What fails may leave a part of it that nobody sees but [`Port::sweep`].
    fn put(&self, bucket: String, name: String, bytes: Bytes) -> Answer<'_, ()>;
    /// Names of the objects of a bucket.
    fn list(&self, bucket: String) -> Answer<'_, Vec<String>>;
    /// Removes an object.
    fn delete(&self, bucket: String, name: String) -> Answer<'_, ()>;
    /// Removes what belongs to no object of a bucket.
    fn sweep(&self, bucket: String) -> Answer<'_, ()>;
    /// A key's value with its revision. May be stale.
    fn entry(&self, bucket: String, key: String) -> Answer<'_, Option<(u64, Bytes)>>;
    /// Writes a key that has this revision; 0 for none.
    fn update(&self, bucket: String, key: String, value: Bytes, revision: u64) -> Answer<'_, Updated>;
    /// The values of a key, or of all that a pattern of keys matches, and every later one, each with its key.
    fn watch(&self, bucket: String, keys: String) -> Answer<'_, Coming<(String, Bytes)>>;
    /// Changes with every (re)connect.
    fn connects(&self) -> watch::Receiver<u64>;
    /// Whether the connection stands now.
    fn is_connected(&self) -> bool;
    /// A random number: ids of processes and writes, jitter.
    fn random(&self) -> u64;
}
