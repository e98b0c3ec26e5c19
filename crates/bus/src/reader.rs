//! Follows a stream from a position, every sequence exactly once and in order (rule 5). Library consumers may
//! skip, reset or go blind; so this is a plain pull consumer without acks whose sequences are checked, reopened
//! from the position on any error and on any reconnect. A gap that is still there after that is real.

use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;

pub use crate::port::Stored;
use crate::{connect::Bus, port::Coming};

/// Pause before a broken reader is opened again.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);

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
    messages: Option<Coming<Stored>>,
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
                self.suspected_gap = false;
                return Ok(message);
            }
            self.messages = None;
            if self.suspected_gap {
                return Err(Gap { stream: self.stream.clone(), wanted: self.next, found: message.seq });
            }
            self.suspected_gap = true;
        }
    }

    async fn open(&mut self) {
        match self.bus.port.follow(self.stream.clone(), self.next).await {
            Ok(messages) => self.messages = Some(messages),
            Err(error) => {
                tracing::debug!(stream = self.stream, %error, "can't open a reader yet");
                tokio::time::sleep(REOPEN_PAUSE).await;
            }
        }
    }
}
/// Position of a stream, asked of its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First sequence that is still there.
    pub first: u64,
    /// Last sequence; 0 when nothing was ever written.
    pub last: u64,
}
