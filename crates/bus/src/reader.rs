//! Follows a stream from a position, every sequence exactly once and in order (rule 5). Library consumers may
//! skip, reset or go blind; so this is a plain pull consumer without acks whose sequences are checked, reopened
//! from the position on any error and on any reconnect. A gap that is still there after that is real.

use std::time::Duration;

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, pull},
    stream::Stream,
};
use bytes::Bytes;
use futures::StreamExt;
use regreen_schemas::Timestamp;
use tokio::sync::watch;

use crate::connect::Bus;

/// The server speaks at least this often, so that a dead reader is noticed.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Length of one pull.
const PULL: Duration = Duration::from_secs(10);
/// Most messages asked for at once; a message is at most 256 KB, mostly far less.
const PULL_MESSAGES: usize = 256;
/// Pause before a broken reader is opened again.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);

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

/// The stream does not hold what must follow: nothing may be concluded from it any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{stream}: sequence {wanted} must come next and {found} came: messages are missing")]
pub struct Gap {
    /// The stream.
    pub stream: String,
    /// What must come.
    pub wanted: u64,
    /// What came.
    pub found: u64,
}

/// A follower of one stream.
pub struct Reader {
    bus: Bus,
    stream: String,
    next: u64,
    connects: watch::Receiver<u64>,
    messages: Option<pull::Stream>,
    suspected_gap: bool,
}

impl Reader {
    /// A reader whose first message has the sequence `after + 1`.
    #[must_use]
    pub fn new(bus: &Bus, stream: String, after: u64) -> Self {
        let connects = bus.connects();
        Self { bus: bus.clone(), stream, next: after + 1, connects, messages: None, suspected_gap: false }
    }

    /// The next message; waits for it for ever, through every disconnect. Cancel-safe.
    ///
    /// # Errors
    /// [`Gap`] when the stream, asked twice, does not hold the next sequence.
    pub async fn next(&mut self) -> Result<Stored, Gap> {
        loop {
            if self.connects.has_changed().unwrap_or(false) {
                self.connects.mark_unchanged();
                self.messages = None;
            }
            let Some(messages) = &mut self.messages else {
                self.open().await;
                continue;
            };
            let delivered = tokio::select! {
                delivered = messages.next() => delivered,
                _ = self.connects.changed() => None,
            };
            let Some(Ok(message)) = delivered else {
                if let Some(Err(error)) = delivered {
                    tracing::debug!(stream = self.stream, %error, "reader broke; reopening");
                }
                self.messages = None;
                continue;
            };
            let Ok(info) = message.info() else {
                tracing::warn!(stream = self.stream, "a message without position; reopening");
                self.messages = None;
                continue;
            };
            let (found, pending) = (info.stream_sequence, info.pending);
            let time = Timestamp(info.published.timestamp_millis());
            if found == self.next {
                self.next += 1;
                self.suspected_gap = false;
                return Ok(Stored {
                    seq: found,
                    time,
                    subject: message.subject.to_string(),
                    payload: message.payload.clone(),
                    pending,
                });
            }
            self.messages = None;
            if self.suspected_gap {
                return Err(Gap { stream: self.stream.clone(), wanted: self.next, found });
            }
            self.suspected_gap = true;
        }
    }

    async fn open(&mut self) {
        match self.consume().await {
            Ok(messages) => self.messages = Some(messages),
            Err(error) => {
                tracing::debug!(stream = self.stream, %error, "can't open a reader yet");
                tokio::time::sleep(REOPEN_PAUSE).await;
            }
        }
    }

    async fn consume(&self) -> Result<pull::Stream, async_nats::Error> {
        let consumer = self
            .bus
            .js
            .create_consumer_on_stream(
                pull::Config {
                    deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.next },
                    ack_policy: AckPolicy::None,
                    inactive_threshold: Duration::from_secs(30),
                    memory_storage: true,
                    num_replicas: 1,
                    ..pull::Config::default()
                },
                &self.stream,
            )
            .await?;
        Ok(consumer
            .stream()
            .heartbeat(HEARTBEAT)
            .expires(PULL)
            .max_messages_per_batch(PULL_MESSAGES)
            .messages()
            .await?)
    }
}

/// Position and age of a stream, asked of its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First sequence that is still there.
    pub first: u64,
    /// Last sequence; 0 when nothing was ever written.
    pub last: u64,
}

/// First and last sequence of a stream.
///
/// # Errors
/// The library's error when the stream is missing or nobody answers.
pub async fn extent(stream: &mut Stream) -> Result<Extent, async_nats::Error> {
    let state = &stream.info().await?.state;
    Ok(Extent { first: state.first_sequence, last: state.last_sequence })
}
