//! The decision log: the truth, and the lease. One write in flight, fenced by the stream's expected last sequence
//! (rule 6); a write in doubt is repeated with the same bytes and the same expectation until the server has
//! answered (rule 7). A read alone never decides.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use regreen_schemas::{
    hash::sha256_hex,
    mutation::{self, Mutation},
};

use crate::{
    connect::Bus,
    port,
    publish::{self, header},
};

/// Pause between two tries of a write in doubt.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The end of the log as its writer knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Sequence of the newest record.
    pub seq: u64,
    /// SHA-256 of its bytes.
    pub hash: String,
}

/// Why the log took no record. None of these is repeated by the writer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else wrote this sequence: this engine is no longer the active one (rule 7).
    #[error("record {seq} was written by a successor: stepping down")]
    Superseded {
        /// The sequence.
        seq: u64,
    },
    /// The stream is shorter than what was acknowledged: purged, restored or replaced.
    #[error("DECISIONS refuses record {seq} and holds none there: the stream was changed behind our back")]
    Lost {
        /// The sequence.
        seq: u64,
    },
    /// The server says no, for another reason.
    #[error("DECISIONS took no record")]
    Refused(#[source] publish::Error),
}

/// The newest record with its sequence, asked of the leader.
///
/// # Errors
/// [`port::Error`] when DECISIONS can't be read, or is empty.
pub async fn newest(bus: &Bus) -> Result<(u64, Bytes), port::Error> {
    let found = bus.port.last(bus.names.decisions(), bus.names.decision()).await?;
    let found = found.ok_or_else(|| port::Error::Missing("record in DECISIONS".into()))?;
    Ok((found.seq, found.payload))
}

/// The writer's end of the log. There is one per engine process; `append` takes it mutably, so one write is in
/// flight and never two.
pub struct Log {
    bus: Bus,
    tail: Tail,
}

impl Log {
    /// A writer that continues after `tail`.
    #[must_use]
    pub fn new(bus: &Bus, tail: Tail) -> Self {
        Self { bus: bus.clone(), tail }
    }

    /// Where the next record goes.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Appends one record and returns its sequence once the server has it on disk. Waits through disconnects for
    /// ever: nothing may leave before the answer.
    ///
    /// # Errors
    /// [`Error`] when the record is not, and never will be, this writer's.
    pub async fn append(&mut self, record: Bytes) -> Result<u64, Error> {
        let seq = self.tail.seq + 1;
        let hash = sha256_hex(&record);
        let mut headers = HeaderMap::new();
        headers.insert(header::LAST_SEQ, self.tail.seq.to_string());
        loop {
            let subject = self.bus.names.decision();
            match self.bus.port.publish(subject, headers.clone(), record.clone()).await {
                Ok(ack) if ack.seq == seq => break,
                Ok(_) => return Err(Error::Lost { seq }),
                Err(publish::Error::Refused { code: publish::WRONG_LAST_SEQUENCE, .. }) => {
                    match self.hash_at(seq).await? {
                        found if found == hash => break,
                        _ => return Err(Error::Superseded { seq }),
                    }
                }
                Err(publish::Error::InDoubt(_)) if mutation::is(Mutation::TrustDoubt) => break,
                Err(
                    publish::Error::InDoubt(_)
                    | publish::Error::Refused { code: publish::CONCURRENT_GUARD, .. },
                ) => {
                    tracing::debug!(seq, "record in doubt; the same bytes again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(Error::Refused(error)),
            }
        }
        self.tail = Tail { seq, hash };
        Ok(seq)
    }

    /// Hash of the record at a sequence, asked of the leader until it answers.
    async fn hash_at(&self, seq: u64) -> Result<String, Error> {
        loop {
            match self.bus.port.message(self.bus.names.decisions(), seq).await {
                Ok(Some(message)) => return Ok(sha256_hex(&message.payload)),
                Ok(None) => return Err(Error::Lost { seq }),
                Err(error) => {
                    tracing::debug!(%error, seq, "record can't be read yet");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}
