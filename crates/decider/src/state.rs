//! State: the fold of all events, in persistent maps, so that a clone before each fact costs microseconds
//! (rules 9 and 10). Guards, locks, cooldowns, budgets and timers are plain fields, changed in the same record as
//! the run that they allow.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet, Vector};
use regreen_schemas::{
    CheckName, Domain, Fingerprint, PlaybookName, RunId, SetHash, Span, Timestamp, alert,
    check::Status,
    event::{Event, Read, Streams, Target},
    fact::{Reconciled, Serves, TellKey},
    id::{Genesis, Nonce, RunnerName, Vantage},
    record::{Cause, Cursor, Item, Record},
    roster::Roster,
    run::Block,
};
use serde::{Deserialize, Serialize};

use crate::{
    bounds, breaker::Breaker, discovery::Discovery, episodes::Episode, rate::Rate, run::Run, thread::Tell,
    watchdog::Watchdog, windows::Window,
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

/// What a vantage saw last of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saw {
    /// What it said.
    pub status: Status,
    /// Why, for people.
    pub reason: Arc<str>,
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

/// How often a verdict changed lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flap {
    /// The newest changes from one known status to another.
    pub changes: Vector<Timestamp>,
    /// Whether it was said that it flaps.
    pub told: bool,
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
    /// A verdict that flapped is steady again.
    Flap(CheckName),
    /// The alert that always fires stays away.
    Watchdog,
    /// A lock was released: those in line are looked at.
    Queue,
    /// A window of a playbook's `correlate` ends.
    Window(PlaybookName, Arc<str>),
    /// A playbook's `schedule` is due.
    Schedule(PlaybookName, Arc<str>),
    /// A group's nodes are looked up at their provider.
    Discovery(Arc<str>),
    /// There is room in a credential's rate for the first in line.
    Rate(Arc<str>),
}

/// A map as a list of pairs: JSON's own take only text for keys.
pub(crate) mod pairs {
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
    /// Since when facts are heard without a gap that matters: what must last is counted from here at the earliest.
    pub listening: Timestamp,
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
    /// The set in force, with the version of the list of checks: the record that brought the set, or the newest that
    /// changed the inventory since.
    pub set: Option<(SetHash, u64)>,
    /// Who applied it; none: an engine read it from its own folder.
    pub applied_by: Option<Arc<str>>,
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
    pub looks: OrdMap<CheckName, OrdMap<Vantage, Saw>>,
    /// Joined verdicts with their beginning.
    pub verdicts: OrdMap<CheckName, (Status, Timestamp)>,
    /// What runners serve.
    pub servers: OrdMap<RunnerName, Serves>,
    /// How much of each credential's rate is spent, and who waits for it.
    pub rates: OrdMap<Arc<str>, Rate>,
    /// Messages to people.
    #[serde(with = "pairs")]
    pub tells: OrdMap<TellKey, Arc<Tell>>,
    /// When the system spoke of itself last, by what it spoke of.
    pub system_told: OrdMap<Arc<str>, Timestamp>,
    /// The alert that always fires, where one is expected.
    pub watchdog: Option<Watchdog>,
    /// The newest verdict of each check that was known.
    pub known: OrdMap<CheckName, Status>,
    /// Verdicts that changed lately.
    pub flaps: OrdMap<CheckName, Flap>,
    /// Runs that watch a check.
    pub watchers: OrdMap<CheckName, OrdSet<RunId>>,
    /// Episodes that read something.
    #[serde(with = "pairs")]
    pub readers: OrdMap<Read, OrdSet<Fingerprint>>,
    /// Windows of `correlate` that are open.
    #[serde(with = "pairs")]
    pub windows: OrdMap<(PlaybookName, Arc<str>), Window>,
    /// When each `schedule` is due next.
    #[serde(with = "pairs")]
    pub schedules: OrdMap<(PlaybookName, Arc<str>), Timestamp>,
    /// How repairs went lately, where they failed.
    pub breakers: OrdMap<PlaybookName, Breaker>,
    /// The group that serves a service, where it was moved.
    pub serving: OrdMap<Arc<str>, Arc<str>>,
    /// Nodes that no file lists, and nodes that runs took away.
    pub roster: Arc<Roster>,
    /// Groups whose nodes are looked up at their provider.
    pub discoveries: OrdMap<Arc<str>, Discovery>,
    /// Nodes, by group and name, of which files, runs and provider do not say the same; and what each says.
    #[serde(with = "pairs")]
    pub contradicted: OrdMap<(Arc<str>, Arc<str>), Arc<str>>,
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
            listening: Timestamp(0),
            phase: Phase::CatchingUp { here: 0, suspect: false },
            frozen: None,
            reconciled_tickets: 0,
            stop_no: 1,
            stopped: None,
            set: None,
            applied_by: None,
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
            rates: OrdMap::new(),
            tells: OrdMap::new(),
            system_told: OrdMap::new(),
            watchdog: None,
            known: OrdMap::new(),
            flaps: OrdMap::new(),
            watchers: OrdMap::new(),
            readers: OrdMap::new(),
            windows: OrdMap::new(),
            schedules: OrdMap::new(),
            breakers: OrdMap::new(),
            serving: OrdMap::new(),
            roster: Arc::default(),
            discoveries: OrdMap::new(),
            contradicted: OrdMap::new(),
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
            Event::Suspected { .. }
            | Event::FellBehind { .. }
            | Event::CaughtUp
            | Event::SuspectCleared { .. } => self.apply_phase(event)?,
            Event::Frozen { reason } => {
                self.phase = Phase::Frozen;
                self.frozen.get_or_insert_with(|| reason.clone());
            }
            Event::Reconciled { what, .. } => self.reconcile(what)?,
            Event::SetAccepted { hash, by, .. } => {
                self.accept_set(hash);
                self.applied_by = by.clone();
            }
            Event::Stopped { by, .. } => self.stopped = Some(by.clone()),
            Event::Resumed { stop_no, .. } => {
                self.stopped = None;
                self.stop_no = stop_no + 1;
                self.changed(&Read::Domain);
                self.release(|by| matches!(by, Block::Stopped { .. }));
            }
            // Later than the look that is over, even within the same moment.
            Event::QueueLooked { more } => self.arm(TimerKey::Queue, more.then(|| self.now + Span(1))),
            Event::WatchdogExpected { .. } | Event::WatchdogHeard | Event::WatchdogSilent => {
                self.apply_watchdog(event);
            }
            Event::FactRejected { .. }
            | Event::ResultIgnored { .. }
            | Event::Acknowledged { .. }
            | Event::OperatorRefused { .. }
            | Event::StartRefused { .. } => {}
            Event::RunnerServes { runner, serves } => {
                self.servers.insert(runner.clone(), serves.clone());
                self.apply_credentials();
                self.changed(&Read::Servers);
                self.release(|by| matches!(by, Block::NoServer { .. } | Block::OtherDeclaration { .. }));
            }
            Event::CooldownCleared { playbook, target, .. } => {
                self.cooldowns.remove(&(playbook.clone(), target.clone()));
                self.changed(&Read::Domain);
            }
            Event::LooksTaken { .. }
            | Event::ResyncAsked { .. }
            | Event::VantageSilent { .. }
            | Event::VerdictChanged { .. }
            | Event::Flapping { .. }
            | Event::Steady { .. } => self.apply_seeing(event),
            Event::EpisodeOpened { alert, source } => self.open_episode(alert, source),
            Event::Correlated { .. } | Event::WindowClosed { .. } => self.apply_window(event),
            Event::Scheduled { .. }
            | Event::ServiceMoved { .. }
            | Event::BreakerOpened { .. }
            | Event::BreakerClosed { .. }
            | Event::DrillMeasured { .. } => self.apply_signal(event),
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
            Event::NodeAdded { .. }
            | Event::NodeRemoved { .. }
            | Event::NodeForgotten { .. }
            | Event::Contradicted { .. }
            | Event::Agreed { .. } => self.apply_node(event),
            Event::RateTold { .. } | Event::RateFree { .. } => self.apply_rate(event),
            Event::Discovery { group, what } => self.apply_discovery(group, what)?,
            Event::Run { run, what } => self.apply_run(run, what)?,
            Event::Tell { key, what } => self.apply_tell(key, what)?,
        }
        Ok(())
    }

    /// Folds what changes how far the engine may go.
    fn apply_phase(&mut self, event: &Event) -> Result<(), Illegal> {
        match event {
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
            _ => {}
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
        if away > bounds::DIGESTS_MISSED {
            self.listening = until;
        }
        self.shift_windows(away);
        // Only an operator ends suspicion, or thaws what is frozen.
        let before = matches!(self.phase, Phase::Suspect | Phase::CatchingUp { suspect: true, .. });
        if self.phase != Phase::Frozen {
            self.phase = Phase::CatchingUp { here, suspect: suspect || before };
        }
        let runs: Vec<RunId> = self.runs.keys().cloned().collect();
        for id in runs {
            self.change_run(&id, |run| run.shift(away));
        }
        self.shift_watchdog(away);
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
