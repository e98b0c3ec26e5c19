//! RUNS: one message a run, its whole story. A projection: written after the record it reflects, with the
//! subject's expected last sequence, coalesced when much happens; it can be rebuilt from DECISIONS at any time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::HeaderMap;
use futures::{FutureExt as _, StreamExt, stream};
use regreen_schemas::{RunId, story::Story};
use tokio::sync::mpsc;

use crate::{
    connect::Bus,
    port,
    publish::{self, header},
};

/// Stories written at the same time.
const AT_ONCE: usize = 128;
/// Stories that may wait; beyond it the engine's newest simply replaces older ones.
const QUEUE_MAX: usize = 16_384;
/// What gathers meanwhile is written together: most runs of a busy domain begin and end within it, and cost one write.
const GATHER: Duration = Duration::from_millis(50);
/// Subjects whose last sequence is remembered.
const KNOWN_MAX: usize = 100_000;

/// A handle to the writer of stories.
#[derive(Clone, Debug)]
pub struct Stories {
    queue: mpsc::Sender<Story>,
    lacks: Arc<AtomicBool>,
    filling: Arc<AtomicBool>,
}

impl Stories {
    /// Starts the writer.
    #[must_use]
    pub fn start(bus: &Bus) -> Self {
        let (queue, pending) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(run(bus.clone(), pending));
        Self { queue, lacks: Arc::default(), filling: Arc::default() }
    }

    /// Hands a story over; the newest of a run wins. When the queue is full it is left out, and [`Stories::lacks`].
    pub fn tell(&self, story: Story) {
        if self.queue.try_send(story).is_err() {
            self.lacks.store(true, Ordering::SeqCst);
        }
    }

    /// Whether stories were left out and there is room again: then it is time to [`Stories::fill`].
    #[must_use]
    pub fn lacks(&self) -> bool {
        let room = self.queue.capacity() > QUEUE_MAX / 2 && !self.filling.load(Ordering::SeqCst);
        room && self.lacks.swap(false, Ordering::SeqCst)
    }

    /// Hands many stories over beside everything else, however long that takes; one time at once, else it is asked
    /// for again later.
    pub fn fill(&self, stories: Vec<Story>) {
        if self.filling.swap(true, Ordering::SeqCst) {
            self.lacks.store(true, Ordering::SeqCst);
            return;
        }
        let (queue, filling) = (self.queue.clone(), self.filling.clone());
        tokio::spawn(async move {
            for story in stories {
                if queue.send(story).await.is_err() {
                    return;
                }
            }
            filling.store(false, Ordering::SeqCst);
        });
    }
}

/// Which of two stories of a run is newer.
fn age(story: &Story) -> (u64, u64) {
    (story.epoch, story.seq)
}

/// What the subject of a run holds: its sequence, and the age of its story.
type Known = HashMap<RunId, (u64, (u64, u64))>;

async fn run(bus: Bus, mut pending: mpsc::Receiver<Story>) {
    let mut known = Known::new();
    while let Some(first) = pending.recv().await {
        tokio::time::sleep(GATHER).await;
        let mut newest = BTreeMap::from([(first.run.clone(), first)]);
        while let Ok(story) = pending.try_recv() {
            let held = newest.entry(story.run.clone()).or_insert_with(|| story.clone());
            if age(held) < age(&story) {
                *held = story;
            }
        }
        if known.len() > KNOWN_MAX {
            known.clear();
        }
        // A story that was filled in may be older than what was told since.
        newest.retain(|run, story| known.get(run).is_none_or(|(_, held)| *held <= age(story)));
        let batch: Vec<_> =
            newest.into_values().map(|story| (known.get(&story.run).map(|(seq, _)| *seq), story)).collect();
        let write = |(last, story): (Option<u64>, Story)| {
            let age = age(&story);
            write(&bus, last, story).map(move |(run, seq)| (run, seq, age))
        };
        let mut written = stream::iter(batch).map(write).buffer_unordered(AT_ONCE);
        while let Some((run, seq, age)) = written.next().await {
            match seq {
                Some(seq) => drop(known.insert(run, (seq, age))),
                None => drop(known.remove(&run)),
            }
        }
    }
}

/// Writes one story over what its subject holds, unless that is newer. Returns the subject's last sequence when
/// it is known.
async fn write(bus: &Bus, last: Option<u64>, story: Story) -> (RunId, Option<u64>) {
    let subject = bus.names.story(&story.run);
    let bytes = bytes::Bytes::from(serde_json::to_vec(&story).expect("invariant: wire types are plain data"));
    let mut last = last.unwrap_or(0);
    // The second try knows what the subject really holds; a third would mean another writer.
    for _ in 0..3 {
        let mut headers = HeaderMap::new();
        headers.insert(header::LAST_SUBJECT_SEQ, last.to_string());
        match bus.port.publish(subject.clone(), headers, bytes.clone()).await {
            Ok(ack) => return (story.run, Some(ack.seq)),
            Err(publish::Error::Refused { code: publish::WRONG_LAST_SEQUENCE, .. }) => {
                match held(bus, &story.run).await {
                    Ok(Some((_, held))) if (held.epoch, held.seq) > (story.epoch, story.seq) => {
                        return (story.run, None);
                    }
                    Ok(Some((seq, _))) => last = seq,
                    Ok(None) => last = 0,
                    Err(error) => tracing::debug!(%error, "a story can't be read back"),
                }
            }
            Err(error) => tracing::debug!(%error, run = %story.run, "story not written; trying again"),
        }
    }
    tracing::warn!(run = %story.run, "story not written; the next one of this run, or a restart, brings it");
    (story.run, None)
}

/// All stories that RUNS holds, oldest first by their place there.
///
/// # Errors
/// [`port::Error`] when RUNS can't be read.
pub async fn all(bus: &Bus) -> Result<Vec<Story>, port::Error> {
    let found = bus.port.newest(bus.names.runs(), bus.names.all_stories()).await?;
    found.iter().map(read).collect()
}

/// The story that RUNS holds, with its sequence there.
///
/// # Errors
/// [`port::Error`] when RUNS can't be read.
pub async fn held(bus: &Bus, run: &RunId) -> Result<Option<(u64, Story)>, port::Error> {
    let found = bus.port.last(bus.names.runs(), bus.names.story(run)).await?;
    found.map(|message| Ok((message.seq, read(&message)?))).transpose()
}

fn read(message: &port::Stored) -> Result<Story, port::Error> {
    serde_json::from_slice(&message.payload).map_err(|error| port::Error::Damaged(error.to_string()))
}
