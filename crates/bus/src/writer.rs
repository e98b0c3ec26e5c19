//! Group commit into FACTS: while one publish is in flight, gather what arrives and send it as the next message,
//! bounded in bytes and items. Light load pays one round trip, heavy load shares it. Whoever waits gets a success
//! only when the server has it on disk.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::{BufMut, Bytes, BytesMut};
use regreen_schemas::{WIRE_VERSION, subject::FactKind};
use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    connect::Bus,
    publish::{self, header},
};

/// Most bytes of items in one message (rule 25); a single larger item is refused.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Most items in one message: one record may hold no more (rule 8).
pub const MESSAGE_ITEMS_MAX: usize = 256;
/// Items that may wait for the writer; beyond it senders wait.
const QUEUE_MAX: usize = 4096;
/// Pause between two tries of a message in doubt.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Where an item was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Sequence of the message in FACTS.
    pub seq: u64,
    /// Index of the item in it.
    pub item: u32,
}

/// Why an item is not known to be stored. It may still land: readers stand duplicates.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotStored {
    /// More bytes than a message may have.
    #[error("a fact of {bytes} bytes is larger than the {MESSAGE_BYTES_MAX} that a message may have")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The server did not take it within the writer's patience.
    #[error("FACTS did not take it: {0}")]
    Refused(#[source] publish::Error),
    /// The writer has ended: the process is going down.
    #[error("the writer has ended")]
    Ended,
}

struct Pending {
    item: Bytes,
    done: oneshot::Sender<Result<Stored, NotStored>>,
}

/// A handle to the writer of one kind and source.
#[derive(Clone, Debug)]
pub struct Writer {
    queue: mpsc::Sender<Pending>,
}

impl Writer {
    /// Starts the writer. A message in doubt is sent again, same bytes and same id, for at most `patience`.
    #[must_use]
    pub fn start(bus: &Bus, kind: FactKind, source: &str, patience: Duration) -> Self {
        let (queue, pending) = mpsc::channel(QUEUE_MAX);
        let task = Task {
            subject: bus.names.fact(kind, source),
            prefix: Bytes::from(format!("{{\"v\":{WIRE_VERSION},\"kind\":\"{}\",\"items\":[", kind.token())),
            id: format!("{:016x}", bus.port.random()),
            bus: bus.clone(),
            patience,
        };
        tokio::spawn(task.run(pending));
        Self { queue }
    }

    /// Stores one item and waits until the server has it.
    ///
    /// # Errors
    /// [`NotStored`]; the item may still land.
    pub async fn store<T: Serialize>(&self, item: &T) -> Result<Stored, NotStored> {
        let item = serde_json::to_vec(item).expect("invariant: wire types are plain data");
        self.store_bytes(item.into()).await
    }

    /// Stores one item that is JSON already.
    ///
    /// # Errors
    /// [`NotStored`]; the item may still land.
    pub async fn store_bytes(&self, item: Bytes) -> Result<Stored, NotStored> {
        if item.len() > MESSAGE_BYTES_MAX {
            return Err(NotStored::TooLarge { bytes: item.len() });
        }
        let (done, stored) = oneshot::channel();
        self.queue.send(Pending { item, done }).await.map_err(|_| NotStored::Ended)?;
        stored.await.map_err(|_| NotStored::Ended)?
    }
}

struct Task {
    bus: Bus,
    subject: String,
    prefix: Bytes,
    id: String,
    patience: Duration,
}

impl Task {
    async fn run(self, mut pending: mpsc::Receiver<Pending>) {
        let mut left = None;
        let mut n: u64 = 0;
        loop {
            let first = match left.take() {
                Some(first) => first,
                None => match pending.recv().await {
                    Some(first) => first,
                    None => return,
                },
            };
            n += 1;
            let (batch, rest) = gather(first, &mut pending);
            left = rest;
            let outcome = self.commit(n, self.message(&batch)).await;
            for (item, waiting) in (0..).zip(batch) {
                // A waiter that has gone away has given up; its item is stored all the same.
                let _ = waiting.done.send(outcome.clone().map(|seq| Stored { seq, item }));
            }
        }
    }

    fn message(&self, batch: &[Pending]) -> Bytes {
        let size = batch.iter().map(|pending| pending.item.len() + 1).sum::<usize>() + self.prefix.len() + 2;
        let mut message = BytesMut::with_capacity(size);
        message.put_slice(&self.prefix);
        for (i, pending) in batch.iter().enumerate() {
            if i > 0 {
                message.put_u8(b',');
            }
            message.put_slice(&pending.item);
        }
        message.put_slice(b"]}");
        message.freeze()
    }

    /// Publishes until the server answers, with one id: within its dedup window a second copy is not stored, and
    /// beyond it readers stand the duplicate.
    async fn commit(&self, n: u64, message: Bytes) -> Result<u64, NotStored> {
        let began = Instant::now();
        let mut headers = HeaderMap::new();
        headers.insert(header::MSG_ID, format!("{}-{n}", self.id));
        loop {
            let published =
                self.bus.port.publish(self.subject.clone(), headers.clone(), message.clone()).await;
            let error = match published {
                Ok(ack) => return Ok(ack.seq),
                Err(error) => error,
            };
            if matches!(error, publish::Error::Unsendable(_)) || began.elapsed() >= self.patience {
                return Err(NotStored::Refused(error));
            }
            tracing::debug!(subject = self.subject, %error, "publishing again");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// Takes what has arrived meanwhile, up to the bounds; an item that no longer fits opens the next message.
fn gather(first: Pending, pending: &mut mpsc::Receiver<Pending>) -> (Vec<Pending>, Option<Pending>) {
    let mut bytes = first.item.len();
    let mut batch = vec![first];
    while batch.len() < MESSAGE_ITEMS_MAX {
        let Ok(next) = pending.try_recv() else { return (batch, None) };
        bytes += next.item.len();
        if bytes > MESSAGE_BYTES_MAX {
            return (batch, Some(next));
        }
        batch.push(next);
    }
    (batch, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_in_bytes_and_items() {
        let pending =
            |size: usize| Pending { item: Bytes::from(vec![b'x'; size]), done: oneshot::channel().0 };
        let (queue, mut waiting) = mpsc::channel(1000);
        for _ in 0..600 {
            queue.try_send(pending(10)).expect("room");
        }
        let (batch, left) = gather(pending(10), &mut waiting);
        assert_eq!((batch.len(), left.is_none()), (MESSAGE_ITEMS_MAX, true));
        let (queue, mut waiting) = mpsc::channel(10);
        queue.try_send(pending(MESSAGE_BYTES_MAX - 5)).expect("room");
        let (batch, left) = gather(pending(10), &mut waiting);
        assert_eq!((batch.len(), left.is_some()), (1, true), "what no longer fits opens the next message");
    }
}
