//! State: the fold of all events, in persistent maps, so that a clone before each fact costs microseconds
//! (rules 9 and 10). Guards, locks, cooldowns, budgets and timers are plain fields, changed in the same record as
//! the run that they allow.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use imbl::{OrdMap, OrdSet, Vector};
use regreen_schemas::{
    CheckName, Domain, Fingerprint, PlaybookName, RunId, SetHash, Span, Timestamp,
    alert::{self, Alert},
    check::Status,
    event::{Event, Read, RunEvent, Streams, Target, TellEvent},
    fact::{Reconciled, Serves, TellKey},
    id::{Genesis, Nonce, RunnerName, Vantage},
    record::{Cause, Cursor, Item, Record},
    run::{Block, Decision, RunResult},
};
use serde::{Deserialize, Serialize};

use crate::{
    bounds,
    run::{Run, Stage},
};

/// An event that can't follow the state: the log and this build disagree. Stop, never skip (rule 27).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Illegal(pub String);

impl std::fmt::Display for Illegal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "illegal transition: {}", self.0)
    }
}

impl std::error::Error for Illegal {}

/// How far the engine may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Nobody has taken over yet, or a takeover reads what happened meanwhile: nothing is dispatched (rule 13).
    CatchingUp {
        /// Sequence of the `here` fact; 0 before the first takeover.
        here: u64,
        /// An operator must look before anything is dispatched.
        suspect: bool,
    },
    /// Decides and dispatches.
    Live,
    /// Decides; dispatches nothing until an operator resumes (rule 14).
    Suspect,
    /// Nothing is done (rule 4).
    Frozen,
}

/// An alert from its first firing to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// The alert that opened it.
    pub alert: Alert,
    /// When it was opened, in `now`.
    pub opened: Timestamp,
    /// When it was heard of last.
    pub heard: Timestamp,
    /// When it ended, by the alert, and when that was learned.
    pub closed: Option<(Timestamp, Timestamp)>,
    /// After the closing it was heard firing, and not resolved since.
    pub straggler: bool,
    /// The newest decisions.
    pub decisions: Vec<Decision>,
    /// When it was decided again last.
    pub reconsidered: Option<Timestamp>,
    /// A change of one of these makes it be decided again.
    pub reads: Vec<Read>,
    /// When it is to be decided again.
    pub again_at: Option<Timestamp>,
    /// Runs that dealt with it, by playbook: at most one that dispatched an effect.
    pub handled: BTreeMap<PlaybookName, (RunId, RunResult, Timestamp)>,
    /// Open runs that it started or joined, by playbook.
    pub running: BTreeMap<PlaybookName, RunId>,
    /// Playbooks whose blocking was told, or whose alert outlived its repair.
    pub told: BTreeSet<PlaybookName>,
}

/// What is known of a vantage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VantageState {
    /// Its process.
    pub boot: Nonce,
    /// Its newest message.
    pub n: u64,
    /// Whether it sees its reference addresses.
    pub sighted: bool,
    /// Whether its looks are complete; if not, all are unknown.
    pub synced: bool,
    /// Its newest digest.
    pub heard: Timestamp,
}

/// A message to people that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tell {
    /// What.
    pub text: Arc<str>,
    /// Not before this; then the next try.
    pub due: Timestamp,
    /// Tries so far.
    pub attempt: u32,
    /// Whether a try is out.
    pub out: bool,
    /// The episode that asked.
    pub fingerprint: Option<Fingerprint>,
}

/// What a deadline belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TimerKey {
    /// A run's next deadline.
    Run(RunId),
    /// An episode's end or next decision.
    Episode(Fingerprint),
    /// A vantage's silence.
    Vantage(Vantage),
    /// A message's next try.
    Tell(TellKey),
    /// A lock was released: those in line are looked at.
    Queue,
}

/// A map as a list of pairs: JSON's own take only text for keys.
mod pairs {
    use imbl::OrdMap;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<K: Ord + Serialize, V: Serialize, S: Serializer>(
        map: &OrdMap<K, V>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub fn deserialize<'de, K, V, D>(from: D) -> Result<OrdMap<K, V>, D::Error>
    where
        K: Ord + Clone + Deserialize<'de>,
        V: Clone + Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
    }
}

/// Everything a decision may read, beside the set in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The domain.
    pub domain: Domain,
    /// Root of all ids.
    pub genesis: Genesis,
    /// Counter of ids given.
    pub ids: u64,
    /// Never goes back (rule 12).
    pub now: Timestamp,
    /// Sequence of the record being decided or folded.
    pub seq: u64,
    /// Up to where FACTS is decided.
    pub cursor: Cursor,
    /// H of the message at the cursor (rule 4).
    pub fact_hash: Arc<str>,
    /// When the streams were created, as the first takeover found them.
    pub streams: Option<Streams>,
    /// Sequence of the newest takeover.
    pub epoch: u64,
    /// How far the engine may go.
    pub phase: Phase,
    /// Why nothing is done.
    pub frozen: Option<Arc<str>>,
    /// Tickets up to this one may name records that are gone (rule 4).
    pub reconciled_tickets: u64,
    /// The stop switch's current number.
    pub stop_no: u64,
    /// Who pulled it.
    pub stopped: Option<Arc<str>>,
    /// The set in force, with the record that brought it: the version of the list of checks.
    pub set: Option<(SetHash, u64)>,
    /// Alerts.
    pub episodes: OrdMap<Fingerprint, Arc<Episode>>,
    /// Open runs.
    pub runs: OrdMap<RunId, Arc<Run>>,
    /// Open run of each playbook and target.
    #[serde(with = "pairs")]
    pub open: OrdMap<(PlaybookName, Option<Target>), RunId>,
    /// Locks by path.
    pub locks: OrdMap<Arc<str>, RunId>,
    /// Runs waiting for a lock, first come first served.
    pub queue: OrdMap<u64, RunId>,
    /// End of the last run that dispatched an effect.
    #[serde(with = "pairs")]
    pub cooldowns: OrdMap<(PlaybookName, Option<Target>), Timestamp>,
    /// Destructive attempts by budget key, oldest first.
    pub spent: OrdMap<Arc<str>, Vector<Timestamp>>,
    /// Vantages.
    pub vantages: OrdMap<Vantage, VantageState>,
    /// Newest look of each vantage at each check.
    pub looks: OrdMap<CheckName, OrdMap<Vantage, Status>>,
    /// Joined verdicts with their beginning.
    pub verdicts: OrdMap<CheckName, (Status, Timestamp)>,
    /// What runners serve.
    pub servers: OrdMap<RunnerName, Serves>,
    /// Messages to people.
    #[serde(with = "pairs")]
    pub tells: OrdMap<TellKey, Arc<Tell>>,
    /// When the system spoke of itself last.
    pub system_told: Option<Timestamp>,
    /// Runs that watch a check.
    pub watchers: OrdMap<CheckName, OrdSet<RunId>>,
    /// Episodes that read something.
    #[serde(with = "pairs")]
    pub readers: OrdMap<Read, OrdSet<Fingerprint>>,
    /// Deadlines in order.
    pub timers: OrdSet<(Timestamp, TimerKey)>,
    /// The deadline of each key.
    #[serde(with = "pairs")]
    pub armed: OrdMap<TimerKey, Timestamp>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            domain: Domain::from(""),
            genesis: Genesis::from(""),
            ids: 0,
            now: Timestamp(0),
            seq: 0,
            cursor: Cursor::default(),
            fact_hash: "".into(),
            streams: None,
            epoch: 0,
            phase: Phase::CatchingUp { here: 0, suspect: false },
            frozen: None,
            reconciled_tickets: 0,
            stop_no: 1,
            stopped: None,
            set: None,
            episodes: OrdMap::new(),
            runs: OrdMap::new(),
            open: OrdMap::new(),
            locks: OrdMap::new(),
            queue: OrdMap::new(),
            cooldowns: OrdMap::new(),
            spent: OrdMap::new(),
            vantages: OrdMap::new(),
            looks: OrdMap::new(),
            verdicts: OrdMap::new(),
            servers: OrdMap::new(),
            tells: OrdMap::new(),
            system_told: None,
            watchers: OrdMap::new(),
            readers: OrdMap::new(),
            timers: OrdSet::new(),
            armed: OrdMap::new(),
        }
    }
}

/// Folds a whole record into the state: what recovery, standbys and `explain` do.
///
/// # Errors
/// [`Illegal`]: stop.
pub fn fold(state: &mut State, record: &Record, seq: u64) -> Result<(), Illegal> {
    state.seq = seq;
    fold_items(state, &record.items)?;
    if seq == 1 {
        // Genesis may stand over facts of a log that is gone: they are not decided again.
        state.cursor = record.cursor;
    } else if state.cursor != record.cursor {
        return Err(Illegal(format!(
            "the cursor is {:?} here, and {:?} was written",
            state.cursor, record.cursor
        )));
    }
    state.now = state.now.max(record.now);
    state.fact_hash = record.fact_hash.clone();
    Ok(())
}

/// Folds items that belong to the record being written.
///
/// # Errors
/// [`Illegal`]: stop.
pub fn fold_items(state: &mut State, items: &[Item]) -> Result<(), Illegal> {
    for item in items {
        state.now = state.now.max(item.now);
        for event in &item.events {
            state.apply(event)?;
        }
        state.close_item(&item.cause);
    }
    Ok(())
}

impl State {
    /// Moves the cursor past what was decided.
    pub fn close_item(&mut self, cause: &Cause) {
        if let Cause::Fact { seq, item, last, .. } = cause {
            self.cursor = if *last { Cursor::after(*seq) } else { Cursor { seq: *seq, item: item + 1 } };
        }
    }

    /// Folds one event.
    ///
    /// # Errors
    /// [`Illegal`] when it can't follow what was before.
    pub fn apply(&mut self, event: &Event) -> Result<(), Illegal> {
        match event {
            Event::Genesis { genesis, domain } => {
                self.genesis = genesis.clone();
                self.domain = domain.clone();
            }
            Event::Takeover { here, until, suspect, streams } => {
                self.streams = self.streams.or(*streams);
                self.taken_over(*here, *until, suspect.is_some());
            }
            Event::Suspected { .. } => {
                self.phase = match self.phase {
                    Phase::CatchingUp { here, .. } => Phase::CatchingUp { here, suspect: true },
                    Phase::Live => Phase::Suspect,
                    phase => phase,
                }
            }
            Event::FellBehind { here } => {
                let suspect = match self.phase {
                    Phase::Live => false,
                    Phase::Suspect => true,
                    phase => return Err(Illegal(format!("fell behind while {phase:?}"))),
                };
                self.phase = Phase::CatchingUp { here: *here, suspect };
            }
            Event::CaughtUp => {
                let Phase::CatchingUp { suspect, .. } = self.phase else {
                    return Err(Illegal("caught up twice".into()));
                };
                self.phase = if suspect { Phase::Suspect } else { Phase::Live };
                self.changed(&Read::Domain);
                self.release(|by| *by == Block::Suspect);
            }
            Event::SuspectCleared { .. } => {
                self.phase = match self.phase {
                    Phase::CatchingUp { here, .. } => Phase::CatchingUp { here, suspect: false },
                    _ => Phase::Live,
                };
                self.changed(&Read::Domain);
                self.release(|by| *by == Block::Suspect);
            }
            Event::Frozen { reason } => {
                self.phase = Phase::Frozen;
                self.frozen.get_or_insert_with(|| reason.clone());
            }
            Event::Reconciled { what, .. } => self.reconcile(what)?,
            Event::SetAccepted { hash, .. } => self.accept_set(hash),
            Event::Stopped { by, .. } => self.stopped = Some(by.clone()),
            Event::Resumed { stop_no, .. } => {
                self.stopped = None;
                self.stop_no = stop_no + 1;
                self.changed(&Read::Domain);
                self.release(|by| matches!(by, Block::Stopped { .. }));
            }
            // Later than the look that is over, even within the same moment.
            Event::QueueLooked { more } => self.arm(TimerKey::Queue, more.then(|| self.now + Span(1))),
            Event::FactRejected { .. } | Event::ResultIgnored { .. } | Event::StartRefused { .. } => {}
            Event::RunnerServes { runner, serves } => {
                self.servers.insert(runner.clone(), serves.clone());
                self.changed(&Read::Servers);
                self.release(|by| matches!(by, Block::NoServer { .. } | Block::OtherDeclaration { .. }));
            }
            Event::LooksTaken { vantage, looks } => self.take_looks(vantage, looks),
            Event::ResyncAsked { vantage, .. } | Event::VantageSilent { vantage } => {
                self.lose_vantage(vantage);
            }
            Event::VerdictChanged { check, to, .. } => {
                self.verdicts.insert(check.clone(), (*to, self.now));
                self.changed(&Read::Verdict(check.clone()));
            }
            Event::EpisodeOpened { alert } => self.open_episode(alert),
            Event::EpisodeClosed { fingerprint, ended, .. } => self.close_episode(fingerprint, *ended)?,
            Event::EpisodeForgotten { fingerprint } => self.forget_episode(fingerprint),
            Event::AlertDecided { fingerprint, status, decisions, reads, again_at } => {
                if let Some(episode) =
                    self.episodes.get_mut(fingerprint).filter(|episode| episode.closed.is_some())
                {
                    Arc::make_mut(episode).straggler = *status == alert::Status::Firing;
                }
                // A resolved that does not close the episode says nothing about what still fires.
                if *status == alert::Status::Firing {
                    self.note_decision(fingerprint, decisions, reads, *again_at, true);
                }
            }
            Event::AlertReconsidered { fingerprint, decisions, reads, again_at } => {
                self.note_decision(fingerprint, decisions, reads, *again_at, false);
            }
            Event::Run { run, what } => self.apply_run(run, what)?,
            Event::Tell { key, what } => self.apply_tell(key, what)?,
        }
        Ok(())
    }

    fn accept_set(&mut self, hash: &SetHash) {
        self.set = Some((hash.clone(), self.seq));
        // Looks at the old list say nothing about the new one.
        self.looks = OrdMap::new();
        let vantages: Vec<Vantage> = self.vantages.keys().cloned().collect();
        for name in vantages {
            self.vantages[&name].synced = false;
        }
        self.changed(&Read::Domain);
    }

    /// The past is what a person found. Whatever was under way may have been done or not: all of it is looked up.
    fn reconcile(&mut self, what: &Reconciled) -> Result<(), Illegal> {
        if self.phase != Phase::Frozen {
            return Err(Illegal("reconciled without being frozen".into()));
        }
        self.phase = Phase::Live;
        self.frozen = None;
        self.genesis = what.genesis.clone();
        self.streams = Some(what.streams);
        self.reconciled_tickets = what.tickets;
        if let Some(after) = what.facts_after {
            self.cursor = Cursor::after(after);
            self.fact_hash = "".into();
        }
        let (now, runs) = (self.now, self.runs.keys().cloned().collect::<Vec<RunId>>());
        for id in runs {
            self.change_run(&id, |run| run.doubt(now));
        }
        self.changed(&Read::Domain);
        Ok(())
    }

    /// Our absence proves nothing: what concludes from absence waits for as long as we were away (rule 13).
    fn taken_over(&mut self, here: u64, until: Timestamp, suspect: bool) {
        let away = (until - self.now).max(Span::ZERO);
        self.epoch = self.seq;
        // Only an operator ends suspicion, or thaws what is frozen.
        let before = matches!(self.phase, Phase::Suspect | Phase::CatchingUp { suspect: true, .. });
        if self.phase != Phase::Frozen {
            self.phase = Phase::CatchingUp { here, suspect: suspect || before };
        }
        let runs: Vec<RunId> = self.runs.keys().cloned().collect();
        for id in runs {
            self.change_run(&id, |run| run.shift(away));
        }
        let vantages: Vec<Vantage> = self.vantages.keys().cloned().collect();
        for name in vantages {
            if let Some(vantage) = self.vantages.get_mut(&name) {
                vantage.heard = vantage.heard + away;
                let at = vantage.heard + bounds::DIGESTS_MISSED;
                self.arm(TimerKey::Vantage(name), Some(at));
            }
        }
        let episodes: Vec<Fingerprint> = self.episodes.keys().cloned().collect();
        for fingerprint in episodes {
            self.change_episode(&fingerprint, |episode| episode.heard = episode.heard + away);
        }
    }

    /// Sets or clears the one deadline of a key.
    pub(crate) fn arm(&mut self, key: TimerKey, at: Option<Timestamp>) {
        if let Some(before) = self.armed.get(&key).copied() {
            if Some(before) == at {
                return;
            }
            self.timers.remove(&(before, key.clone()));
        }
        match at {
            Some(at) => {
                self.timers.insert((at, key.clone()));
                self.armed.insert(key, at);
            }
            None => drop(self.armed.remove(&key)),
        }
    }

    /// What held runs is gone: each is due at once, as an item of its own, so that thousands fit no single record.
    fn release(&mut self, ended: impl Fn(&Block) -> bool) {
        let held = |(id, run): (&RunId, &Arc<Run>)| run.held.as_ref().is_some_and(&ended).then(|| id.clone());
        let released: Vec<RunId> = self.runs.iter().filter_map(held).collect();
        for id in released {
            self.change_run(&id, |run| run.held = None);
        }
    }

    pub(crate) fn change_run(&mut self, id: &RunId, change: impl FnOnce(&mut Run)) {
        let Some(run) = self.runs.get_mut(id) else { return };
        change(Arc::make_mut(run));
        let at = run.deadline();
        self.arm(TimerKey::Run(id.clone()), at);
    }

    pub(crate) fn change_episode(&mut self, fingerprint: &Fingerprint, change: impl FnOnce(&mut Episode)) {
        let Some(episode) = self.episodes.get_mut(fingerprint) else { return };
        change(Arc::make_mut(episode));
        let at = episode.deadline();
        self.arm(TimerKey::Episode(fingerprint.clone()), Some(at));
    }

    fn open_episode(&mut self, alert: &Alert) {
        self.forget_episode(&alert.fingerprint);
        let episode = Episode {
            alert: alert.clone(),
            opened: self.now,
            heard: self.now,
            closed: None,
            straggler: false,
            decisions: Vec::new(),
            reconsidered: None,
            reads: Vec::new(),
            again_at: None,
            handled: BTreeMap::new(),
            running: BTreeMap::new(),
            told: BTreeSet::new(),
        };
        self.episodes.insert(alert.fingerprint.clone(), Arc::new(episode));
        self.change_episode(&alert.fingerprint, |_| {});
    }

    fn close_episode(&mut self, fingerprint: &Fingerprint, ended: Timestamp) -> Result<(), Illegal> {
        if self.episodes.get(fingerprint).is_none_or(|episode| episode.closed.is_some()) {
            return Err(Illegal(format!("episode {fingerprint} is not open")));
        }
        self.unread(fingerprint);
        let now = self.now;
        self.change_episode(fingerprint, |episode| {
            episode.closed = Some((ended, now));
            episode.again_at = None;
            episode.reads = Vec::new();
        });
        Ok(())
    }

    fn forget_episode(&mut self, fingerprint: &Fingerprint) {
        self.unread(fingerprint);
        self.episodes.remove(fingerprint);
        self.arm(TimerKey::Episode(fingerprint.clone()), None);
    }

    /// Something that decisions read has changed: their episodes are decided again, at most every five seconds.
    fn changed(&mut self, read: &Read) {
        let readers: Vec<Fingerprint> =
            self.readers.get(read).map(|set| set.iter().cloned().collect()).unwrap_or_default();
        let now = self.now;
        for fingerprint in readers {
            self.change_episode(&fingerprint, |episode| {
                // The first change is looked at at once: a verdict that comes just after its alert costs no time.
                let at = episode.reconsidered.map_or(now, |last| now.max(last + bounds::RECONSIDER));
                episode.again_at = Some(episode.again_at.map_or(at, |again| again.min(at)));
            });
        }
    }

    fn unread(&mut self, fingerprint: &Fingerprint) {
        let reads = self.episodes.get(fingerprint).map(|episode| episode.reads.clone()).unwrap_or_default();
        for read in reads {
            if let Some(readers) = self.readers.get_mut(&read) {
                readers.remove(fingerprint);
                if readers.is_empty() {
                    self.readers.remove(&read);
                }
            }
        }
    }

    fn note_decision(
        &mut self,
        fingerprint: &Fingerprint,
        decisions: &[Decision],
        reads: &[Read],
        again_at: Option<Timestamp>,
        heard: bool,
    ) {
        let open = self.episodes.get(fingerprint).is_some_and(|episode| episode.closed.is_none());
        if !open {
            return;
        }
        self.unread(fingerprint);
        for read in reads {
            self.readers.entry(read.clone()).or_default().insert(fingerprint.clone());
        }
        let now = self.now;
        self.change_episode(fingerprint, |episode| {
            episode.decisions = decisions.to_vec();
            episode.reads = reads.to_vec();
            episode.again_at = again_at;
            if heard {
                episode.heard = now;
            } else {
                episode.reconsidered = Some(now);
            }
        });
    }

    fn apply_run(&mut self, id: &RunId, what: &RunEvent) -> Result<(), Illegal> {
        if let RunEvent::Started { .. } = what {
            return self.start_run(id, what);
        }
        let Some(run) = self.runs.get_mut(id) else { return Err(Illegal(format!("run {id} is not open"))) };
        let run = Arc::make_mut(run);
        let unwatched = run.watched();
        run.next(what, self.now, self.seq)?;
        let (watched, lock, order, deadline) = (run.watched(), run.lock.clone(), run.order, run.deadline());
        let (ended, playbook) = (matches!(run.stage, Stage::Over), run.playbook.clone());
        for check in unwatched.iter().filter(|check| ended || !watched.contains(check)) {
            self.unwatch(check, id);
        }
        for check in watched.iter().filter(|check| !unwatched.contains(check)) {
            self.watchers.entry(check.clone()).or_default().insert(id.clone());
        }
        match what {
            RunEvent::Joined { fingerprint } => {
                self.change_episode(fingerprint, |episode| {
                    drop(episode.running.insert(playbook, id.clone()));
                });
            }
            RunEvent::LockTaken { .. } => {
                self.queue.remove(&order);
                if let Some(lock) = lock {
                    self.locks.insert(lock, id.clone());
                }
            }
            RunEvent::Dispatched { spends, .. } => {
                for spend in spends {
                    let stamps = self.spent.entry(spend.key.clone()).or_default();
                    stamps.push_back(self.now);
                    while stamps.len() > spend.keep as usize {
                        stamps.pop_front();
                    }
                }
            }
            RunEvent::Ended { result, .. } => return self.end_run(id, *result),
            _ => {}
        }
        self.arm(TimerKey::Run(id.clone()), deadline);
        Ok(())
    }

    fn unwatch(&mut self, check: &CheckName, id: &RunId) {
        if let Some(watchers) = self.watchers.get_mut(check) {
            watchers.remove(id);
            if watchers.is_empty() {
                self.watchers.remove(check);
            }
        }
    }

    fn start_run(&mut self, id: &RunId, what: &RunEvent) -> Result<(), Illegal> {
        if self.runs.contains_key(id) {
            return Err(Illegal(format!("run {id} started twice")));
        }
        self.ids += 1;
        let mut run =
            Run::started(id.clone(), what, self.now, self.ids).ok_or_else(|| Illegal("no start".into()))?;
        run.alert = run
            .episodes
            .iter()
            .next()
            .and_then(|fp| self.episodes.get(fp))
            .map(|episode| episode.alert.clone());
        self.open.insert((run.playbook.clone(), run.target.clone()), id.clone());
        self.queue.insert(run.order, id.clone());
        for fingerprint in &run.episodes {
            self.change_episode(fingerprint, |episode| {
                drop(episode.running.insert(run.playbook.clone(), id.clone()));
            });
        }
        let at = run.deadline();
        self.runs.insert(id.clone(), Arc::new(run));
        self.arm(TimerKey::Run(id.clone()), at);
        Ok(())
    }

    fn end_run(&mut self, id: &RunId, result: RunResult) -> Result<(), Illegal> {
        let run = self.runs.remove(id).ok_or_else(|| Illegal(format!("run {id} is not open")))?;
        self.arm(TimerKey::Run(id.clone()), None);
        let key = (run.playbook.clone(), run.target.clone());
        if self.open.get(&key) == Some(id) {
            self.open.remove(&key);
        }
        for fingerprint in &run.episodes {
            self.change_episode(fingerprint, |episode| {
                if episode.running.get(&run.playbook) == Some(id) {
                    episode.running.remove(&run.playbook);
                }
            });
        }
        self.queue.remove(&run.order);
        if run.lock.is_some() && !self.queue.is_empty() {
            self.arm(TimerKey::Queue, Some(self.now));
        }
        if let Some(lock) = &run.lock
            && self.locks.get(lock) == Some(id)
        {
            self.locks.remove(lock);
            self.changed(&Read::Lock(lock.clone()));
        }
        if run.effects > 0 {
            self.cooldowns.insert(key, self.now);
            let now = self.now;
            for fingerprint in &run.episodes {
                self.change_episode(fingerprint, |episode| {
                    episode.handled.insert(run.playbook.clone(), (id.clone(), result, now));
                });
            }
        }
        Ok(())
    }

    fn apply_tell(&mut self, key: &TellKey, what: &TellEvent) -> Result<(), Illegal> {
        let unknown = || Illegal(format!("message {} of {} is not under way", key.n, key.run));
        match what {
            TellEvent::Queued { at, text, playbook, fingerprint } => {
                if let (Some(fingerprint), Some(playbook)) = (fingerprint, playbook) {
                    self.change_episode(fingerprint, |episode| {
                        episode.told.insert(playbook.clone());
                    });
                }
                if playbook.is_none() {
                    self.system_told = Some(self.now);
                }
                let tell = Tell {
                    text: text.clone(),
                    due: *at,
                    attempt: 0,
                    out: false,
                    fingerprint: fingerprint.clone(),
                };
                self.tells.insert(key.clone(), Arc::new(tell));
                self.arm(TimerKey::Tell(key.clone()), Some(*at));
            }
            TellEvent::Dispatched { attempt, until, .. } => {
                let tell = Arc::make_mut(self.tells.get_mut(key).ok_or_else(unknown)?);
                (tell.attempt, tell.due, tell.out) = (*attempt, *until, true);
                self.arm(TimerKey::Tell(key.clone()), Some(*until));
            }
            TellEvent::Failed { again_at, .. } => {
                let tell = Arc::make_mut(self.tells.get_mut(key).ok_or_else(unknown)?);
                (tell.due, tell.out) = (*again_at, false);
                self.arm(TimerKey::Tell(key.clone()), Some(*again_at));
            }
            TellEvent::Told | TellEvent::GivenUp { .. } | TellEvent::Dropped => {
                self.tells.remove(key).ok_or_else(unknown)?;
                self.arm(TimerKey::Tell(key.clone()), None);
            }
        }
        Ok(())
    }

    /// SHA-256 of everything in it, hex: two engines that folded the same records have the same (rule 9).
    ///
    /// # Panics
    /// Never: the state is plain data.
    #[must_use]
    pub fn hash(&self) -> String {
        let bytes = serde_json::to_vec(self).expect("invariant: the state is plain data");
        regreen_schemas::hash::sha256_hex(&bytes)
    }

    /// The id that the next run gets: `H(genesis, k)`.
    #[must_use]
    pub fn next_id(&self) -> RunId {
        RunId::from(regreen_schemas::hash::h(&[
            self.genesis.as_str().as_bytes(),
            &(self.ids + 1).to_be_bytes(),
        ]))
    }

    /// Whether effects may go out: live, and the stop switch is off.
    #[must_use]
    pub fn may_dispatch(&self) -> bool {
        self.phase == Phase::Live && self.stopped.is_none()
    }
}

impl Episode {
    /// When it must be looked at next.
    fn deadline(&self) -> Timestamp {
        if let Some((_, learned)) = self.closed {
            return learned + bounds::STRAGGLERS;
        }
        let mut at = self.heard + bounds::SILENT_AFTER;
        if let Some(again) = self.again_at {
            at = at.min(again);
        }
        for (playbook, (_, result, ended)) in &self.handled {
            if *result == RunResult::Repaired && !self.told.contains(playbook) {
                at = at.min(*ended + bounds::STILL_FIRING);
            }
        }
        at
    }
}
