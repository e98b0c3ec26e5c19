//! What the server holds, and what it does with a message: the same checks in the same order as nats-server.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_nats::{
    HeaderMap,
    jetstream::stream::{Config, DiscardPolicy, PersistenceMode},
};
use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use regreen_bus::{
    port::{Info, Stored},
    publish::{self, Ack, header},
};
use regreen_schemas::{Span, Timestamp};
use tokio::sync::{mpsc, watch};

use crate::time;

/// What an asynchronous stream has not on its disk yet: what was written within this time.
const UNSYNCED: Span = Span::seconds(2);

/// A message as it was stored, for whoever judges the history: nothing is ever taken out of this.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The stream.
    pub stream: String,
    /// Its creation: a stream made anew is another.
    pub created: Timestamp,
    /// The true time.
    pub at: Timestamp,
    /// The message.
    pub message: Stored,
}

/// A stream of the model.
#[derive(Clone, Debug)]
struct Stream {
    config: Config,
    created: Timestamp,
    last: u64,
    first: u64,
    messages: BTreeMap<u64, (Timestamp, Stored)>,
    newest: BTreeMap<String, u64>,
    ids: BTreeMap<String, (u64, Timestamp)>,
    bytes: u64,
    consumers: BTreeMap<String, Consumer>,
    /// Raised when somebody restores it: whoever reads it is cut off.
    restored: u64,
}

/// A durable consumer.
#[derive(Clone, Debug, Default)]
struct Consumer {
    /// Next sequence that was never delivered.
    next: u64,
    /// Delivered, and when it is again.
    out: BTreeMap<u64, Timestamp>,
    /// Acknowledged lately, with the moment: forgotten with an unclean end.
    acked: BTreeMap<u64, Timestamp>,
}

impl Stream {
    fn new(config: Config, created: Timestamp) -> Self {
        Self {
            config,
            created,
            last: 0,
            first: 1,
            messages: BTreeMap::new(),
            newest: BTreeMap::new(),
            ids: BTreeMap::new(),
            bytes: 0,
            consumers: BTreeMap::new(),
            restored: 0,
        }
    }

    fn remove(&mut self, seq: u64) {
        let Some((_, message)) = self.messages.remove(&seq) else { return };
        self.bytes -= size(&message);
        if self.newest.get(&message.subject) == Some(&seq) {
            let before = self.messages.iter().rev().find(|(_, (_, other))| other.subject == message.subject);
            match before.map(|(seq, _)| *seq) {
                Some(seq) => drop(self.newest.insert(message.subject, seq)),
                None => drop(self.newest.remove(&message.subject)),
            }
        }
        self.first = self.messages.keys().next().copied().unwrap_or(self.last + 1);
    }

    /// What a crash takes with it: the newest messages and acknowledgements that were not on disk.
    fn crash(&mut self, rng: &mut SmallRng) {
        let asynchronous = self.config.persist_mode == Some(PersistenceMode::Async);
        if !asynchronous {
            return;
        }
        let oldest = time::truth() + Span(-rng.random_range(0..=UNSYNCED.0));
        let lost: Vec<u64> =
            self.messages.iter().rev().take_while(|(_, (at, _))| *at > oldest).map(|(seq, _)| *seq).collect();
        for seq in &lost {
            self.remove(*seq);
        }
        if let Some(seq) = lost.last() {
            // Their sequences are given out again.
            self.last = seq - 1;
            self.first = self.first.min(*seq);
            self.ids.retain(|_, (known, _)| *known < *seq);
        }
        for consumer in self.consumers.values_mut() {
            consumer.next = consumer.next.min(self.last + 1);
            consumer.out.retain(|seq, _| *seq <= self.last);
            let forgotten: Vec<u64> =
                consumer.acked.iter().filter(|(_, at)| **at > oldest).map(|(seq, _)| *seq).collect();
            for seq in forgotten.into_iter().filter(|seq| *seq <= self.last) {
                consumer.out.insert(seq, time::truth());
            }
            consumer.acked.clear();
        }
    }
}

fn size(message: &Stored) -> u64 {
    (message.payload.len() + message.subject.len() + 32) as u64
}

fn matches(filter: &str, subject: &str) -> bool {
    let (mut filter, mut subject) = (filter.split('.'), subject.split('.'));
    loop {
        match (filter.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => return false,
        }
    }
}

/// What the whole server holds.
struct Inner {
    rng: SmallRng,
    streams: BTreeMap<String, Stream>,
    objects: BTreeMap<String, BTreeMap<String, Bytes>>,
    /// The two newest revisions of each key.
    keys: BTreeMap<String, BTreeMap<String, Vec<(u64, Bytes)>>>,
    revision: u64,
    subscribers: Vec<(String, mpsc::UnboundedSender<Bytes>)>,
    kept: Vec<Kept>,
    ahead: Span,
    /// How often it was started.
    starts: u64,
    /// The disk is full: writes are not answered, not even once there is room again, until the server is started anew.
    full: bool,
}

/// How the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// Number of its start; 0 while it is dead.
    pub(crate) start: u64,
    /// Whether it stands still (SIGSTOP).
    pub(crate) paused: bool,
}

/// The model of a nats-server. A clone is the same server.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Mutex<Inner>>,
    life: watch::Sender<Life>,
    changed: watch::Sender<u64>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("life", &*self.life.borrow()).finish_non_exhaustive()
    }
}

impl Server {
    /// A server with these streams, empty.
    #[must_use]
    pub fn new(seed: u64, streams: Vec<Config>) -> Self {
        let created = time::truth();
        let streams =
            streams.into_iter().map(|config| (config.name.clone(), Stream::new(config, created))).collect();
        let inner = Inner {
            rng: SmallRng::seed_from_u64(seed),
            streams,
            objects: BTreeMap::new(),
            keys: BTreeMap::new(),
            revision: 0,
            subscribers: Vec::new(),
            kept: Vec::new(),
            ahead: Span::ZERO,
            starts: 1,
            full: false,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            life: watch::Sender::new(Life { start: 1, paused: false }),
            changed: watch::Sender::new(0),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("invariant: nobody panics with the server in hand")
    }

    pub(crate) fn life(&self) -> watch::Receiver<Life> {
        self.life.subscribe()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// `kill -9`.
    pub fn kill(&self) {
        let mut inner = self.inner();
        let Inner { streams, rng, subscribers, .. } = &mut *inner;
        for stream in streams.values_mut() {
            stream.crash(rng);
        }
        subscribers.clear();
        drop(inner);
        self.life.send_modify(|life| life.start = 0);
    }

    /// The disk fills up: publishers get no answer, and that stays so until a restart (measured, see
    /// docs/reliability.md).
    pub fn fill_disk(&self) {
        self.inner().full = true;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.inner().full
    }

    /// Starts it again on the same data.
    pub fn start(&self) {
        let mut inner = self.inner();
        inner.full = false;
        inner.starts += 1;
        let start = inner.starts;
        drop(inner);
        self.life.send_replace(Life { start, paused: false });
    }

    /// SIGSTOP, or SIGCONT.
    pub fn pause(&self, paused: bool) {
        self.life.send_modify(|life| life.paused = paused);
    }

    /// Sets its clock ahead of the truth, or behind.
    pub fn set_ahead(&self, span: Span) {
        self.inner().ahead = span;
    }

    /// Shows everything that was ever stored.
    pub fn with_kept<T>(&self, show: impl FnOnce(&[Kept]) -> T) -> T {
        show(&self.inner().kept)
    }

    /// Somebody deletes a stream and makes it anew.
    ///
    /// # Panics
    /// When there is none.
    pub fn make_anew(&self, name: &str) {
        let mut inner = self.inner();
        let stream = inner.streams.get_mut(name).expect("a stream of the domain");
        let restored = stream.restored + 1;
        *stream = Stream { restored, ..Stream::new(stream.config.clone(), time::truth()) };
        drop(inner);
        self.tell();
    }

    /// Somebody restores a stream as it was after this sequence: its creation stays.
    ///
    /// # Panics
    /// When there is none.
    pub fn restore(&self, name: &str, last: u64) {
        let mut inner = self.inner();
        let stream = inner.streams.get_mut(name).expect("a stream of the domain");
        let later: Vec<u64> = stream.messages.range(last + 1..).map(|(seq, _)| *seq).collect();
        later.iter().for_each(|seq| stream.remove(*seq));
        stream.last = last;
        stream.restored += 1;
        stream.ids.clear();
        drop(inner);
        self.tell();
    }

    /// Spoils the newest object of a bucket; says which.
    #[must_use]
    pub fn spoil_newest(&self, bucket: &str, suffix: &str) -> Option<String> {
        let mut inner = self.inner();
        let objects = inner.objects.get_mut(bucket)?;
        let (name, bytes) = objects.iter_mut().rev().find(|(name, _)| name.ends_with(suffix))?;
        *bytes = bytes.slice(..bytes.len() / 2);
        Some(name.clone())
    }

    fn tell(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    /// A publish arrives. `None`: no stream takes it.
    pub(crate) fn take_in(
        &self,
        subject: &str,
        headers: &HeaderMap,
        payload: &Bytes,
    ) -> Option<Result<Ack, publish::Error>> {
        let mut inner = self.inner();
        inner.subscribers.retain(|(_, subscriber)| !subscriber.is_closed());
        for (wanted, subscriber) in &inner.subscribers {
            if matches(wanted, subject) {
                // Whoever went away meanwhile hears nothing.
                let _ = subscriber.send(payload.clone());
            }
        }
        let name = inner
            .streams
            .iter()
            .find(|(_, stream)| stream.config.subjects.iter().any(|filter| matches(filter, subject)))
            .map(|(name, _)| name.clone())?;
        let outcome = inner.store(&name, subject, headers, payload);
        drop(inner);
        if outcome.is_ok() {
            self.tell();
        }
        Some(outcome)
    }

    pub(crate) fn subscribe(&self, subject: String) -> mpsc::UnboundedReceiver<Bytes> {
        let (subscriber, messages) = mpsc::unbounded_channel();
        self.inner().subscribers.push((subject, subscriber));
        messages
    }

    pub(crate) fn info(&self, name: &str) -> Option<Info> {
        let inner = self.inner();
        let stream = inner.streams.get(name)?;
        Some(Info {
            created: stream.created,
            first: stream.first,
            last: stream.last,
            bytes: stream.bytes,
            bytes_max: u64::try_from(stream.config.max_bytes).ok(),
        })
    }

    pub(crate) fn message(&self, name: &str, seq: u64) -> Option<Option<Stored>> {
        let inner = self.inner();
        Some(inner.streams.get(name)?.messages.get(&seq).map(|(_, message)| message.clone()))
    }

    pub(crate) fn last(&self, name: &str, subject: &str) -> Option<Option<Stored>> {
        let inner = self.inner();
        let stream = inner.streams.get(name)?;
        let seq = stream.newest.get(subject);
        Some(seq.map(|seq| stream.messages[seq].1.clone()))
    }

    pub(crate) fn newest(&self, name: &str, filter: &str) -> Option<Vec<Stored>> {
        let inner = self.inner();
        let stream = inner.streams.get(name)?;
        let newest = stream.newest.iter().filter(|(subject, _)| matches(filter, subject));
        let seqs: BTreeSet<u64> = newest.map(|(_, seq)| *seq).collect();
        Some(seqs.iter().map(|seq| stream.messages[seq].1.clone()).collect())
    }

    /// How often a stream was taken away from under its readers.
    pub(crate) fn restored(&self, name: &str) -> u64 {
        self.inner().streams.get(name).map_or(0, |stream| stream.restored)
    }

    /// The first message from a sequence on, with how many follow it.
    pub(crate) fn from(&self, name: &str, from: u64) -> Option<Stored> {
        let inner = self.inner();
        let mut rest = inner.streams.get(name)?.messages.range(from..);
        let (_, (_, message)) = rest.next()?;
        Some(Stored { pending: rest.count() as u64, ..message.clone() })
    }

    /// The next message that a durable consumer gives out, if there is one now; else when one is due again.
    pub(crate) fn give(
        &self,
        name: &str,
        durable: &regreen_bus::port::Durable,
    ) -> Result<(u64, Bytes), Option<Duration>> {
        let now = time::truth();
        let mut inner = self.inner();
        let stream = inner.streams.get_mut(name).ok_or(None)?;
        let consumer = stream.consumers.entry(durable.name.clone()).or_default();
        let again = Span(i64::try_from(durable.redelivery.as_millis()).unwrap_or(i64::MAX));
        consumer.out.retain(|seq, _| stream.messages.contains_key(seq));
        if let Some((seq, _)) = consumer.out.iter().find(|(_, at)| **at <= now) {
            let seq = *seq;
            consumer.out.insert(seq, now + again);
            return Ok((seq, stream.messages[&seq].1.payload.clone()));
        }
        let wait = consumer.out.values().min().map(|at| (*at - now).to_std());
        if consumer.out.len() as i64 >= durable.in_hand_max {
            return Err(wait);
        }
        let mut rest = stream.messages.range(consumer.next.max(1)..);
        let found = rest.find(|(_, (_, message))| matches(&durable.filter, &message.subject));
        let Some((seq, (_, message))) = found else { return Err(wait) };
        consumer.next = seq + 1;
        consumer.out.insert(*seq, now + again);
        Ok((*seq, message.payload.clone()))
    }

    pub(crate) fn acknowledge(&self, name: &str, durable: &str, seq: u64) {
        let mut inner = self.inner();
        let consumer = inner.streams.get_mut(name).and_then(|stream| stream.consumers.get_mut(durable));
        let Some(consumer) = consumer else { return };
        consumer.out.remove(&seq);
        consumer.acked.insert(seq, time::truth());
        consumer.acked.retain(|_, at| time::truth() - *at <= UNSYNCED);
        drop(inner);
        self.tell();
    }

    pub(crate) fn purge(&self, name: &str, before: u64, filter: Option<&str>) -> Option<u64> {
        let mut inner = self.inner();
        let stream = inner.streams.get_mut(name)?;
        let gone: Vec<u64> = stream
            .messages
            .range(..before)
            .filter(|(_, (_, message))| filter.is_none_or(|filter| matches(filter, &message.subject)))
            .map(|(seq, _)| *seq)
            .collect();
        gone.iter().for_each(|seq| stream.remove(*seq));
        if filter.is_none() {
            // Beyond the end, the sequence goes on from there.
            stream.last = stream.last.max(before.saturating_sub(1));
            stream.first = stream.first.max(before);
        }
        Some(gone.len() as u64)
    }

    pub(crate) fn object(&self, bucket: &str, name: &str) -> Option<Bytes> {
        self.inner().objects.get(bucket)?.get(name).cloned()
    }

    pub(crate) fn put(&self, bucket: &str, name: &str, bytes: Bytes) {
        self.inner().objects.entry(bucket.into()).or_default().insert(name.into(), bytes);
    }

    pub(crate) fn list(&self, bucket: &str) -> Vec<String> {
        self.inner().objects.get(bucket).map(|objects| objects.keys().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn delete(&self, bucket: &str, name: &str) {
        if let Some(objects) = self.inner().objects.get_mut(bucket) {
            objects.remove(name);
        }
    }

    /// A key's value; when asked to be stale, the one before.
    pub(crate) fn entry(&self, bucket: &str, key: &str, stale: bool) -> Option<(u64, Bytes)> {
        let inner = self.inner();
        let history = inner.keys.get(bucket)?.get(key)?;
        let newest = history.len().checked_sub(1)?;
        let (revision, value) = &history[if stale { newest.saturating_sub(1) } else { newest }];
        Some((*revision, value.clone()))
    }

    /// Writes a key by its revision; false when it has another.
    pub(crate) fn update(&self, bucket: &str, key: &str, value: Bytes, revision: u64) -> bool {
        let mut inner = self.inner();
        inner.revision += 1;
        let next = inner.revision;
        let history = inner.keys.entry(bucket.into()).or_default().entry(key.into()).or_default();
        if history.last().map_or(0, |(revision, _)| *revision) != revision {
            return false;
        }
        history.push((next, value));
        let surplus = history.len().saturating_sub(2);
        history.drain(..surplus);
        drop(inner);
        self.tell();
        true
    }
}

impl Inner {
    fn store(
        &mut self,
        name: &str,
        subject: &str,
        headers: &HeaderMap,
        payload: &Bytes,
    ) -> Result<Ack, publish::Error> {
        let refused = |code: u64, text: &str| Err(publish::Error::Refused { code, text: text.to_owned() });
        let header = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
        let number = |name: &str| header(name).and_then(|value| value.parse::<u64>().ok());
        let (truth, time) = (time::truth(), time::truth() + self.ahead);
        let stream = self.streams.get_mut(name).expect("it was found");
        let window = Span(i64::try_from(stream.config.duplicate_window.as_millis()).unwrap_or(i64::MAX));
        stream.ids.retain(|_, (_, at)| truth - *at < window);
        if number(header::LAST_SEQ).is_some_and(|expected| expected != stream.last) {
            return refused(publish::WRONG_LAST_SEQUENCE, "wrong last sequence");
        }
        if let Some(expected) = number(header::LAST_SUBJECT_SEQ) {
            let guarded = header(header::LAST_SUBJECT).unwrap_or_else(|| subject.to_owned());
            if stream.newest.get(&guarded).copied().unwrap_or(0) != expected {
                return refused(publish::WRONG_LAST_SEQUENCE, "wrong last sequence");
            }
        }
        if let Some((seq, _)) = header(header::MSG_ID).and_then(|id| stream.ids.get(&id)) {
            return Ok(Ack { seq: *seq });
        }
        let seq = stream.last + 1;
        let message = Stored { seq, time, subject: subject.into(), payload: payload.clone(), pending: 0 };
        if stream.config.max_messages_per_subject == 1
            && let Some(before) = stream.newest.get(subject).copied()
        {
            if stream.config.discard_new_per_subject {
                return refused(publish::STORE_REFUSED, "maximum messages per subject exceeded");
            }
            stream.remove(before);
        }
        let room = u64::try_from(stream.config.max_bytes).unwrap_or(u64::MAX);
        while stream.bytes + size(&message) > room {
            let oldest = stream.messages.keys().next().copied();
            match oldest {
                Some(oldest) if stream.config.discard == DiscardPolicy::Old => stream.remove(oldest),
                _ => return refused(publish::STORE_REFUSED, "maximum bytes exceeded"),
            }
        }
        if let Some(id) = header(header::MSG_ID) {
            stream.ids.insert(id, (seq, truth));
        }
        stream.last = seq;
        if stream.messages.is_empty() {
            stream.first = seq;
        }
        stream.bytes += size(&message);
        stream.newest.insert(subject.into(), seq);
        stream.messages.insert(seq, (truth, message.clone()));
        let created = stream.created;
        self.kept.push(Kept { stream: name.into(), created, at: truth, message });
        Ok(Ack { seq })
    }
}
