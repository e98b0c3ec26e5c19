//! The entry: one fact or one due timer in, events out. Every emitted event is applied at once, so that the next
//! decision within the same fact already sees it.

use std::sync::Arc;

use regreen_playbook::Set;
use regreen_schemas::{
    RunId, Timestamp,
    event::{AfterUnknown, Event, RunEvent},
    fact::Item,
    mutation::{self, Mutation},
    ticket::Holder,
};

use crate::{
    library::Library,
    run::Run,
    state::{Illegal, Phase, State, TimerKey},
};

/// What is decided.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A fact with its source and the time of its stream.
    Fact {
        /// Source, from the subject.
        source: &'a str,
        /// Sequence in FACTS.
        seq: u64,
        /// What happened.
        item: &'a Item,
        /// The ticket that stands for a result.
        ticket: Option<&'a Holder>,
    },
    /// The earliest due deadline.
    Timer,
    /// The log itself speaks: takeover, frozen, a rejected fact.
    Log(Box<Event>),
}

/// The earliest deadline, when it is due. Frozen, nothing is due; messages to people wait until we have caught up, and
/// who waits for a credential's rate until something may be sent.
#[must_use]
pub fn due(state: &State, now: Timestamp) -> Option<(Timestamp, TimerKey)> {
    if state.phase == Phase::Frozen {
        return None;
    }
    let catching_up = matches!(state.phase, Phase::CatchingUp { .. });
    let waits = |key: &TimerKey| match key {
        TimerKey::Tell(_) | TimerKey::Schedule(..) | TimerKey::Discovery(_) => catching_up,
        // Whoever stands in line keeps its place.
        TimerKey::Rate(_) => !state.may_dispatch(),
        _ => false,
    };
    state.timers.iter().take_while(|(at, _)| *at <= now).find(|(_, key)| !waits(key)).cloned()
}

/// Decides one input: the state comes back with the events applied. Whoever must survive an error keeps a clone.
///
/// # Errors
/// [`Illegal`] when the decider contradicts itself: a bug; nothing of it is committed.
pub fn decide(
    mut state: State,
    library: &Library,
    input: &Input<'_>,
    now: Timestamp,
) -> Result<(State, Vec<Event>), Illegal> {
    state.now = state.now.max(now);
    let mut decider = Decider { s: state, library, events: Vec::new() };
    match input {
        Input::Log(event) => decider.emit(Event::clone(event))?,
        Input::Timer => decider.timer()?,
        Input::Fact { source, seq, item, ticket } => decider.fact(source, *seq, item, *ticket)?,
    }
    Ok((decider.s, decider.events))
}

/// One decision under way.
pub(crate) struct Decider<'l> {
    pub s: State,
    pub library: &'l Library,
    pub events: Vec<Event>,
}

impl Decider<'_> {
    /// Writes an event and applies it.
    pub fn emit(&mut self, event: Event) -> Result<(), Illegal> {
        self.s.apply(&event)?;
        self.events.push(event);
        Ok(())
    }

    /// Writes an event of a run.
    pub fn run_event(&mut self, run: &RunId, what: RunEvent) -> Result<(), Illegal> {
        let followed = self.s.runs.get(run).filter(|run| self.is_followed(run)).map(|run| Run::clone(run));
        let told = followed.map(|before| (before, what.clone()));
        let instance = what.instance().cloned();
        let asks = matches!(what, RunEvent::AttemptUnknown { next: AfterUnknown::Ask, .. });
        let changes = self.changes(run, &what);
        self.emit(Event::Run { run: run.clone(), what })?;
        if let Some(changes) = changes {
            self.change_nodes(&changes)?;
        }
        if let Some((before, what)) = told {
            self.follow(run, &what, before)?;
        }
        match instance {
            Some(instance) if asks => self.ask(run, &instance),
            _ => Ok(()),
        }
    }

    /// The set in force, with the inventory as it is now.
    pub fn set(&self) -> Option<Arc<Set>> {
        self.library.in_force(&self.s)
    }

    fn timer(&mut self) -> Result<(), Illegal> {
        let Some((at, key)) = due(&self.s, self.s.now) else { return Ok(()) };
        match &key {
            TimerKey::Run(id) => {
                self.advance(id)?;
                self.still_held(id, at)?;
                if self.s.armed.get(&key) == Some(&at) {
                    self.stands_still(id)?;
                }
            }
            TimerKey::Episode(fingerprint) => self.episode_due(fingerprint)?,
            TimerKey::Vantage(vantage) => {
                self.emit(Event::VantageSilent { vantage: vantage.clone() })?;
                self.verdicts_changed(None)?;
            }
            TimerKey::Tell(key) => self.tell_due(key)?,
            TimerKey::Flap(check) => self.emit(Event::Steady { check: check.clone() })?,
            TimerKey::Watchdog => self.watchdog_due()?,
            TimerKey::Queue => self.look_at_queue()?,
            TimerKey::Window(playbook, key) => self.window_due(playbook, key)?,
            TimerKey::Schedule(playbook, trigger) => self.schedule_due(playbook, trigger)?,
            TimerKey::Discovery(group) => self.discovery_due(group)?,
            TimerKey::Rate(credential) => self.rate_due(credential)?,
        }
        if self.s.armed.get(&key) == Some(&at) {
            return Err(Illegal(format!("deadline {key:?} moved nothing")));
        }
        Ok(())
    }

    /// A moment has passed that concerns nothing of what holds a run: it waits for the next one.
    fn still_held(&mut self, id: &RunId, at: Timestamp) -> Result<(), Illegal> {
        let waits = self.s.armed.get(&TimerKey::Run(id.clone())) == Some(&at);
        let Some(run) = self.s.runs.get(id).filter(|_| waits) else { return Ok(()) };
        let still = match (&run.held, run.paced.first_key_value()) {
            (Some(by), _) => RunEvent::Held { by: by.clone() },
            (None, Some((instance, pace))) => pace.event(instance),
            (None, None) => return Ok(()),
        };
        self.emit(Event::Run { run: id.clone(), what: still })
    }

    /// Facts that are read are also the sign that a takeover has caught up.
    pub fn caught_up(&mut self, seq: u64) -> Result<(), Illegal> {
        let Phase::CatchingUp { here, .. } = self.s.phase else { return Ok(()) };
        if here == 0 || seq < here {
            return Ok(());
        }
        self.emit(Event::CaughtUp)
    }

    /// Whether effects may go out now.
    pub fn may_dispatch(&self) -> bool {
        let live = self.s.phase == Phase::Live
            || (mutation::is(Mutation::DispatchWhileCatchingUp)
                && matches!(self.s.phase, Phase::CatchingUp { .. }));
        live && (self.s.stopped.is_none() || mutation::is(Mutation::IgnoreStop))
    }
}
