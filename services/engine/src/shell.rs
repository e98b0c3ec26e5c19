//! The loop: facts and deadlines in, one record in flight, effects after its acknowledgement. While a record is on
//! its way the next one is decided; the decider's state is ahead of the log by at most these two.

mod facts;
mod takeover;
mod trust;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use regreen_bus::{
    Bus,
    log::{self, Log},
    reader::{Gap, Stored},
    writer::Writer,
};
use regreen_decider::{Input, Library, Phase, State, decide, due, fold_items};
use regreen_kit::{Shutdown, clock, health::Health};
use regreen_schemas::{
    SetHash, Span, Timestamp, WIRE_VERSION,
    event::Event,
    fact,
    id::Nonce,
    mutation::{self, Mutation},
    record::{BYTES_MAX, Cause, FORMAT, ITEMS_MAX, Item as Decided, Record},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::MissedTickBehavior,
};

use crate::{
    Error, Status,
    effects::{self, Effects, dead},
    feed::{self, Pulled, Tickets},
    guard::{self, Here},
    hashes::Hashes,
    library,
    metrics::Metrics,
    snapshot::{self, Kept, Snapshots},
    standby,
    task::Owned,
};

/// How often deadlines are looked at.
const PULSE: Duration = Duration::from_millis(20);
/// The active engine writes at least so often (rule 11).
const IDLE_MAX: Span = Span::seconds(1);
/// How long the engine tries to store a fact of its own.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause before bodies of a set are stored again.
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// A record on its way: gives the log back, with the record and its sequence.
type Flight = JoinHandle<(Log, Record, Result<u64, log::Error>)>;

/// Who reconciled, and from where it goes on.
type Thawing = Owned<(String, fact::Reconciled)>;

/// What a look found: why the streams are not as they were, how many messages DEAD holds, and the clocks.
type Looking = Owned<Result<(Option<String>, Option<u64>, Here), Error>>;

pub(crate) struct Shell {
    bus: Bus,
    log: Option<Log>,
    flight: Option<Flight>,
    /// As of all that was decided.
    state: State,
    /// As of the last record that was sent off: what is decided since can be folded on it again.
    base: State,
    library: Library,
    owner: Nonce,
    items: Vec<Decided>,
    bytes: usize,
    n: u64,
    /// Newest acknowledged record, and its hash.
    acked: u64,
    prev_hash: String,
    clock: Option<clock::Carried>,
    /// Stream time of our newest `here`, carried forward: what `now` becomes when we have caught up.
    until: clock::Carried,
    facts: mpsc::Receiver<Result<Stored, Gap>>,
    tickets: Tickets,
    stops: mpsc::Receiver<Result<Pulled, Gap>>,
    own: Writer,
    effects: Effects,
    health: Health,
    metrics: Metrics,
    status: watch::Sender<Status>,
    /// H of the fact being decided (rule 4).
    fact_hash: Arc<str>,
    /// While frozen: what a person will say.
    thawing: Option<Thawing>,
    /// The files on disk that passed the check.
    files: watch::Receiver<Option<Vec<library::File>>>,
    /// A set on its way into FACTS.
    bringing: Option<Owned<()>>,
    /// A look at streams and clocks that is under way.
    looking: Option<Looking>,
    /// Another one shall follow it.
    look_again: bool,
    hashes: Hashes,
    snapshots: Snapshots,
    /// The sets that the log named and the state still needs.
    sets: BTreeMap<SetHash, fact::Set>,
    last_write: Span,
    /// When a part of the verdicts was stood by last.
    stood_by: Span,
    /// Open commands shall be sent again after the next record.
    resend: bool,
    suspect: Option<String>,
}

impl Shell {
    pub async fn run(mut self, mut shutdown: Shutdown) -> Result<(), Error> {
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = tokio::time::interval(guard::EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut connects = self.bus.connects();
        connects.mark_unchanged();
        self.report();
        loop {
            let room = self.items.len() < ITEMS_MAX && self.bytes < BYTES_MAX / 2;
            let frozen = self.state.phase == Phase::Frozen;
            if frozen && self.thawing.is_none() {
                self.thawing = Some(Owned::spawn(feed::reconciled(self.bus.clone())));
            }
            tokio::select! {
                biased;
                landed = async { self.flight.as_mut().expect("invariant: guarded by the condition").await }, if self.flight.is_some() => {
                    self.flight = None;
                    let (log, record, outcome) = landed.expect("invariant: the writer's task does not panic");
                    self.log = Some(log);
                    self.acknowledged(record, outcome?).await?;
                }
                () = shutdown.wait() => break,
                thawed = async { self.thawing.as_mut().expect("invariant: guarded by the condition").join().await }, if self.thawing.is_some() => {
                    self.thawing = None;
                    let (by, what) = thawed;
                    if !self.operates(&by) {
                        tracing::error!(%by, "policy does not count who would reconcile among the operators");
                        continue;
                    }
                    return self.reconcile(by, what).await;
                }
                stop = self.stops.recv(), if !frozen => match stop {
                    Some(Ok(stop)) => self.stop(stop),
                    Some(Err(gap)) => self.freeze(gap.to_string()),
                    None => return Ok(()),
                },
                looked = async { self.looking.as_mut().expect("invariant: guarded by the condition").join().await }, if self.looking.is_some() => {
                    self.looking = None;
                    self.looked(looked);
                    if std::mem::take(&mut self.look_again) {
                        self.look();
                    }
                }
                _ = look.tick() => self.look(),
                Ok(()) = connects.changed() => {
                    self.look();
                    self.effects.fill();
                    self.resend = true;
                }
                stored = self.facts.recv(), if room && !frozen => match stored {
                    Some(Ok(stored)) => self.fact(stored).await?,
                    Some(Err(gap)) => self.freeze(gap.to_string()),
                    None => return Ok(()),
                },
                Ok(()) = self.files.changed() => {
                    let files = self.files.borrow_and_update().clone();
                    self.bring_in_force(files);
                }
                _ = pulse.tick() => {}
            }
            self.deadlines();
            self.write();
        }
        // What was decided is written; nothing new is.
        while self.flight.is_some() {
            self.landed().await?;
            self.write_items();
        }
        Ok(())
    }

    /// The engine's `now`: live by the boot-time clock, before that by the facts' own times (rule 12).
    fn now(&self) -> Timestamp {
        if mutation::is(Mutation::WallClock) {
            return clock::wall().max(self.state.now);
        }
        self.clock.map_or(self.state.now, clock::Carried::now).max(self.state.now)
    }

    fn deadlines(&mut self) {
        if self.clock.is_some() {
            self.fire(self.now());
        }
    }

    /// Fires what is due, in order, as far as the record has room.
    fn fire(&mut self, until: Timestamp) {
        while self.items.len() < ITEMS_MAX && self.bytes < BYTES_MAX / 2 {
            let Some((at, _)) = due(&self.state, until) else { return };
            let now = if self.clock.is_some() { until } else { at.max(self.state.now) };
            if !self.decide(&Input::Timer, Cause::Timer, now) {
                return;
            }
        }
    }

    /// Decides under a net: a panic or contradiction of ours puts the fact aside, never the log (rule 10). Returns
    /// whether it went well.
    fn decide(&mut self, input: &Input<'_>, cause: Cause, now: Timestamp) -> bool {
        let at_cursor = self.state.fact_hash.clone();
        // Moved, not cloned: with one owner the maps are changed in place.
        let state = std::mem::take(&mut self.state);
        let library = &self.library;
        let deciding = || decide(state, library, input, now);
        let decided = if mutation::is(Mutation::NoNet) {
            Ok(deciding())
        } else {
            catch_unwind(AssertUnwindSafe(deciding))
        };
        let (well, state, events) = match decided {
            Ok(Ok((state, events))) => (true, state, events),
            Ok(Err(error)) => self.rejected(input, &cause, &error.to_string(), now),
            Err(_) => self.rejected(input, &cause, "the decider panicked; this is a bug of Regreen", now),
        };
        self.state = state;
        self.state.close_item(&cause);
        match &cause {
            Cause::Fact { .. } => self.state.fact_hash = self.fact_hash.clone(),
            // Rolled back, the fact at the cursor is the same all the same.
            Cause::Timer | Cause::Log if !well => self.state.fact_hash = at_cursor,
            Cause::Timer | Cause::Log => {}
        }
        if events.is_empty()
            && matches!(cause, Cause::Fact { .. })
            && self.items.last().is_some_and(|item| item.events.is_empty())
        {
            // Facts without consequence only move the cursor: one empty item of the record stands for many.
            self.items.pop();
        }
        // An estimate that is never too low by much: labels and results dominate.
        let size = |bytes: Result<Vec<u8>, _>| bytes.map_or(0, |bytes: Vec<u8>| bytes.len());
        self.bytes += 64 + size(serde_json::to_vec(&events)) + size(serde_json::to_vec(&cause));
        self.items.push(Decided { cause, now: self.state.now, events });
        well
    }

    /// The state as of the last good decision, with the rejection on it.
    fn rejected(
        &self,
        input: &Input<'_>,
        cause: &Cause,
        reason: &str,
        now: Timestamp,
    ) -> (bool, State, Vec<Event>) {
        tracing::error!(?cause, reason, "put aside");
        if let Input::Fact { item, .. } = input {
            let payload = serde_json::to_vec(item).expect("invariant: wire types are plain data");
            dead(&self.bus, reason, &payload);
        }
        let event = match cause {
            // A deadline can't be put aside: it would be due again at once.
            Cause::Timer | Cause::Log => Event::Frozen { reason: reason.into() },
            Cause::Fact { .. } => Event::FactRejected { reason: reason.into() },
        };
        let mut state = self.base.clone();
        fold_items(&mut state, &self.items).expect("invariant: what was applied once can be folded");
        state.now = state.now.max(now);
        state.apply(&event).expect("invariant: neither event can fail to apply");
        (false, state, vec![event])
    }

    /// Starts the next record when none is in flight and there is something to say, or nothing was said for long.
    fn write(&mut self) {
        let idle = Span(clock::boot().0 - self.last_write.0) >= IDLE_MAX;
        if self.flight.is_none() && (!self.items.is_empty() || idle) {
            self.start_flight();
        }
    }

    fn write_items(&mut self) {
        if self.flight.is_none() && !self.items.is_empty() {
            self.start_flight();
        }
    }

    fn start_flight(&mut self) {
        let Some(mut log) = self.log.take() else { return };
        self.n += 1;
        let now = self.now();
        self.state.now = now;
        let record = Record {
            v: WIRE_VERSION,
            format: FORMAT,
            epoch: self.state.epoch,
            owner: self.owner.clone(),
            n: self.n,
            prev_hash: self.prev_hash.as_str().into(),
            items: std::mem::take(&mut self.items),
            cursor: self.state.cursor,
            fact_hash: self.state.fact_hash.clone(),
            stop_no: self.state.stop_no,
            trouble: self.trouble(),
            hashed: self.hashes.due(self.n),
            state_hash: self.hashes.take(),
            now,
        };
        if record.hashed {
            self.hashes.begin(self.state.clone());
        }
        self.bytes = 0;
        self.state.seq = self.n + 1;
        self.base = self.state.clone();
        if Span(clock::boot().0 - self.last_write.0) > standby::SILENCE {
            // This process stood still: who knows what happened meanwhile (rule 12).
            self.look();
        }
        self.last_write = clock::boot();
        let bytes = Bytes::from(serde_json::to_vec(&record).expect("invariant: wire types are plain data"));
        self.prev_hash = regreen_schemas::hash::sha256_hex(&bytes);
        if mutation::is(Mutation::LetOutEarly) {
            effects::let_out_early(&self.bus, &record, self.n);
        }
        self.flight = Some(tokio::spawn(async move {
            let outcome = log.append(bytes).await;
            (log, record, outcome)
        }));
    }

    /// Waits for the record in flight.
    async fn landed(&mut self) -> Result<(), Error> {
        let Some(flight) = self.flight.take() else { return Ok(()) };
        let (log, record, outcome) = flight.await.expect("invariant: the writer's task does not panic");
        self.log = Some(log);
        self.acknowledged(record, outcome?).await
    }

    /// Lets out what a record decided, if the log is still ours: an acknowledgement that took long may be followed by
    /// a successor's takeover. And whoever was away for that long knows too little to go on by what it decided
    /// meanwhile: it takes over anew, by all that happened (rules 11 and 13).
    async fn acknowledged(&mut self, record: Record, seq: u64) -> Result<(), Error> {
        self.acked = seq;
        // The newest write is this record's: there is one in flight.
        if !standby::holds(self.last_write) {
            return Err(Error::Late { seq });
        }
        let phase = self.status.borrow().phase.clone();
        // The state of this record and of none that is still in flight: what is shown is what is acknowledged (rule 6).
        self.effects.after(&record, seq, &self.base, &self.library).await;
        if clock::boot().0 - self.stood_by.0 >= effects::STAND_BY.0 {
            self.stood_by = clock::boot();
            self.effects.stand_by(&self.base, seq, &self.library);
        }
        if record.items.iter().any(|item| !item.events.is_empty()) || phase.is_empty() {
            self.report();
            library::prune(&mut self.library, &self.state);
        }
        for event in record.items.iter().flat_map(|item| &item.events) {
            if let Event::SetAccepted { set, hash, .. } = event {
                self.sets.insert(hash.clone(), set.clone());
            }
        }
        if self.resend && self.base.may_dispatch() {
            self.resend = false;
            // Commands may have been lost with the server; the state as of this record says which are open.
            self.effects.inherit(&self.base);
            self.effects.again(&self.base, seq).await;
        }
        if self.snapshots.due(seq).await {
            self.snapshot(seq);
        }
        Ok(())
    }

    /// Begins a snapshot as of the record that was just acknowledged: no other is in flight.
    fn snapshot(&mut self, seq: u64) {
        let mut state = self.base.clone();
        state.seq = seq;
        let needed = library::pinned(&state);
        self.sets.retain(|hash, _| needed.contains(hash));
        let (stories, ended) = self.effects.told();
        let manifest = snapshot::manifest(&state, &self.prev_hash, self.tickets.newest());
        self.snapshots.begin(Kept { state, stories, ended, sets: self.sets.clone() }, manifest);
    }
}
