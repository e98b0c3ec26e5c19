//! Follows a stream from a position, every sequence exactly once and in order (rule 5). Library consumers may
//! skip, reset or go blind; so this is a plain pull consumer without acks whose sequences are checked, reopened
//! from the position on any error and on any reconnect. A gap is real when the leader says so. A stream that was made
//! anew or restored meanwhile is noticed by its end and by the message that was read last: a consumer that begins
//! beyond the end would wait silently until the stream has grown past it.

use std::time::Duration;

use futures::StreamExt;
use regreen_schemas::Timestamp;
use tokio::sync::watch;

pub use crate::port::Stored;
use crate::{
    connect::Bus,
    port::{self, Coming},
};

/// Pause before a broken reader is opened again.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);

/// The stream does not hold what must follow: nothing may be concluded from it any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// What must come next is not there.
    #[error("{stream}: sequence {wanted} must come next and {found} came: messages are missing")]
    Missing {
        /// The stream.
        stream: String,
        /// What must come.
        wanted: u64,
        /// What came.
        found: u64,
    },
    /// What was read is not there any more, or is something else.
    #[error(
        "{stream}: sequence {seq} was read and is another message now, or none: the stream was made anew or restored"
    )]
    Changed {
        /// The stream.
        stream: String,
        /// What was read last.
        seq: u64,
    },
}

/// A follower of one stream.
pub struct Reader {
    bus: Bus,
    stream: String,
    next: u64,
    connects: watch::Receiver<u64>,
    messages: Option<Coming<Stored>>,
    /// When the message before `next` was stored, if this reader has read it.
    newest: Option<Timestamp>,
}

impl Reader {
    /// A reader whose first message has the sequence `after + 1`.
    #[must_use]
    pub fn new(bus: &Bus, stream: String, after: u64) -> Self {
        let connects = bus.connects();
        Self { bus: bus.clone(), stream, next: after + 1, connects, messages: None, newest: None }
    }

    /// The next message; waits for it for ever, through every disconnect. Cancel-safe.
    ///
    /// # Errors
    /// [`Gap`] when the stream's leader says that it does not hold the next sequence.
    pub async fn next(&mut self) -> Result<Stored, Gap> {
        loop {
            if self.connects.has_changed().unwrap_or(false) {
                self.connects.mark_unchanged();
                self.messages = None;
            }
            let Some(messages) = &mut self.messages else {
                self.open().await?;
                continue;
            };
            let delivered = tokio::select! {
                biased;
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
            if message.seq == self.next {
                self.next += 1;
                self.newest = Some(message.time);
                return Ok(message);
            }
            // The consumer may be what is broken: the leader knows whether there is a gap.
            self.messages = None;
            match self.bus.port.message(self.stream.clone(), self.next).await {
                Ok(None) => {
                    let (stream, wanted) = (self.stream.clone(), self.next);
                    return Err(Gap::Missing { stream, wanted, found: message.seq });
                }
                Ok(Some(_)) => tracing::debug!(stream = self.stream, "a message was skipped; reopening"),
                Err(error) => {
                    tracing::debug!(stream = self.stream, %error, "a gap can't be looked into yet");
                    tokio::time::sleep(REOPEN_PAUSE).await;
                }
            }
        }
    }

    async fn open(&mut self) -> Result<(), Gap> {
        let unchanged = || unchanged(&self.bus, &self.stream, self.next - 1, self.newest);
        let mut found = unchanged().await;
        if found == Ok(false) {
            // Freezing a domain is worth a second question: a new leader may not have read all of its log yet.
            tokio::time::sleep(REOPEN_PAUSE).await;
            found = unchanged().await;
        }
        let opened = match found {
            Ok(true) => self.bus.port.follow(self.stream.clone(), self.next).await,
            Ok(false) => return Err(Gap::Changed { stream: self.stream.clone(), seq: self.next - 1 }),
            Err(error) => Err(error),
        };
        match opened {
            Ok(messages) => self.messages = Some(messages),
            Err(error) => {
                tracing::debug!(stream = self.stream, %error, "can't open a reader yet");
                tokio::time::sleep(REOPEN_PAUSE).await;
            }
        }
        Ok(())
    }
}

/// Whether a stream still goes on from the message that was read last, and when that was stored.
async fn unchanged(
    bus: &Bus,
    stream: &str,
    read: u64,
    newest: Option<Timestamp>,
) -> Result<bool, port::Error> {
    let info = bus.port.info(stream.into()).await?;
    if info.last < read {
        return Ok(false);
    }
    match newest {
        // What was trimmed meanwhile can't be compared.
        Some(time) if info.first <= read => {
            let found = bus.port.message(stream.into(), read).await?;
            Ok(found.is_some_and(|found| found.time == time))
        }
        _ => Ok(true),
    }
}
