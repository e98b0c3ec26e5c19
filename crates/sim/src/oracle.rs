//! Judges a history from outside: what was stored, what happened in the world, what people were told. It knows the
//! words of the wire and none of the decider's own state; only where a line says so is the decider asked again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regreen_decider::{Input, Library, State, decide, fold};
use regreen_engine::library;
use regreen_schemas::{
    RunId, Span, Timestamp,
    action::Effect as Class,
    command::{Kind, Task},
    event::{AfterUnknown, Event, RunEvent, TellEvent},
    fact::{self, Answer, Item, NotCalled},
    hash::sha256_hex,
    id::action_key,
    record::{Cause, Record, decode},
    run::RunResult,
    ticket::Ticket,
};

use crate::{
    Kept,
    cloud::Effect,
    history::Meddling,
    world::{VANTAGES, World},
};

/// What clocks and delays may add to a limit.
const SLACK: Span = Span::seconds(2);

/// How late a record may land.
const LATE: Span = Span::seconds(14);

/// How old what is believed of a node may be: three looks, their report, and what our own absence adds.
const SEEN: Span = Span::seconds(120);

/// How far the server's clock may be ahead unnoticed (rule 14).
const SKEW: Span = Span::seconds(30);

/// How long the step `wait` of the set waits.
const WAIT: Span = Span::seconds(5);

/// A message of DECISIONS.
struct Decided {
    kept: Kept,
    record: Record,
}

/// An attempt: run, instance, number.
type Attempt = (String, String, u32);

struct Oracle<'w> {
    world: &'w World,
    log: Vec<Decided>,
    facts: BTreeMap<u64, Kept>,
    tickets: BTreeMap<Attempt, (Kept, Ticket)>,
    /// Sequence of each stop.
    stops: BTreeMap<u64, u64>,
    effects: Vec<Effect>,
    found: Vec<String>,
}

/// Everything that is wrong with a history; empty when nothing is.
pub fn judge(world: &World) -> Vec<String> {
    let mut kept = world.server.with_kept(<[Kept]>::to_vec);
    let mut effects = world.cloud.effects();
    let mut found = Vec::new();
    if let Some(meddled) = world.meddled {
        let mut oracle = Oracle::new(world, &kept, effects.clone());
        oracle.nothing_while_meddled();
        oracle.effects_once();
        found = oracle.found;
        // What was before it is judged like any other history.
        kept.retain(|kept| kept.at < meddled.at);
        effects.retain(|effect| effect.at < meddled.at);
    }
    let mut oracle = Oracle::new(world, &kept, effects);
    oracle.effects_once();
    oracle.chain();
    if world.meddled.is_none() {
        oracle.every_alert_decided();
    }
    oracle.every_effect_allowed();
    oracle.none_after_a_stop();
    oracle.walk();
    oracle.again();
    found.extend(oracle.found);
    found
}

impl<'w> Oracle<'w> {
    fn new(world: &'w World, kept: &[Kept], effects: Vec<Effect>) -> Self {
        let of = |name: String| kept.iter().filter(move |kept| kept.stream == name).cloned();
        let log = of(world.names.decisions())
            .map(|kept| Decided { record: decode(&kept.message.payload).expect("a record"), kept })
            .collect();
        let mut oracle = Self {
            world,
            log,
            facts: of(world.names.facts()).map(|kept| (kept.message.seq, kept)).collect(),
            tickets: BTreeMap::new(),
            stops: BTreeMap::new(),
            effects,
            found: Vec::new(),
        };
        oracle.read_tickets(of(world.names.tickets()));
        oracle
    }
}

impl Oracle<'_> {
    fn wrong(&mut self, what: String) {
        self.found.push(what);
    }

    fn read_tickets(&mut self, tickets: impl Iterator<Item = Kept>) {
        for kept in tickets {
            let subject = kept.message.subject.clone();
            if let Some(stop_no) = self.world.names.parse_stop(&subject) {
                self.stops.entry(stop_no).or_insert(kept.message.seq);
                continue;
            }
            let parts: Vec<&str> = subject.split('.').collect();
            let [.., run, instance, number] = parts.as_slice() else { continue };
            let key = ((*run).to_owned(), (*instance).to_owned(), number.parse().expect("a number"));
            let ticket = serde_json::from_slice(&kept.message.payload).expect("a ticket");
            if let Some((before, _)) = self.tickets.insert(key.clone(), (kept, ticket))
                && self.world.meddled.is_none()
            {
                self.wrong(format!("two tickets for {key:?}, the first {}", before.message.seq));
            }
        }
    }

    /// Never two effects that are not idempotent for one action key.
    fn effects_once(&mut self) {
        let mut by_key: BTreeMap<Arc<str>, Vec<&Effect>> = BTreeMap::new();
        for effect in self.effects.iter().filter(|effect| {
            !matches!(effect.command.task.effect, Class::Idempotent | Class::Tell | Class::Read)
        }) {
            by_key.entry(effect.command.action_key.clone()).or_default().push(effect);
        }
        let doubled: Vec<String> = by_key
            .iter()
            .filter(|(_, effects)| effects.len() > 1)
            .map(|(key, effects)| {
                let tries: Vec<String> =
                    effects.iter().map(|e| format!("{} at {}", e.command.attempt, e.at)).collect();
                format!("doubled: {key} of run {}: attempts {}", effects[0].command.run, tries.join(", "))
            })
            .collect();
        self.found.extend(doubled);
    }

    /// From the moment that somebody changed a stream until a person has looked, nothing new begins.
    fn nothing_while_meddled(&mut self) {
        let Some(meddled) = self.world.meddled else { return };
        // A log that lost only what no ticket names is decided again from the same facts, to the same ids.
        let named = self.tickets.values().any(|(kept, ticket)| {
            let (Ticket::Started { decision_seq, .. } | Ticket::Revoked { decision_seq, .. }) = ticket;
            kept.at < meddled.at && *decision_seq > meddled.last + 2
        });
        if meddled.how == Meddling::DecisionsRestored && !named {
            return;
        }
        // A look at the streams comes every half minute; what was begun before it ends.
        let from = meddled.at + Span::seconds(45);
        let until = meddled.reconciled.unwrap_or(Timestamp(i64::MAX));
        let wrong: Vec<String> = self
            .effects
            .iter()
            .filter(|effect| effect.node.is_some() && effect.at > from && effect.at < until)
            .map(|effect| format!("an effect at {} on {:?} while frozen", effect.at, effect.node))
            .collect();
        self.found.extend(wrong);
    }

    /// The chain is unbroken and the cursor never goes back.
    fn chain(&mut self) {
        let (mut hash, mut seq, mut cursor) = (String::new(), 0, None);
        let mut wrong = Vec::new();
        for Decided { kept, record } in &self.log {
            if kept.message.seq != seq + 1 || *record.prev_hash != *hash {
                wrong.push(format!("record {} does not follow {seq}", kept.message.seq));
            }
            if cursor.is_some_and(|cursor| record.cursor < cursor) {
                wrong.push(format!("record {} goes back to {:?}", kept.message.seq, record.cursor));
            }
            (seq, cursor) = (kept.message.seq, Some(record.cursor));
            hash = sha256_hex(&kept.message.payload);
        }
        self.found.extend(wrong);
    }

    /// Every alert that was accepted is decided, once.
    fn every_alert_decided(&mut self) {
        let mut decided: BTreeMap<(u64, u32), usize> = BTreeMap::new();
        let mut wrong = Vec::new();
        for item in self.log.iter().flat_map(|decided| &decided.record.items) {
            let Cause::Fact { seq, item: index, .. } = item.cause else { continue };
            let alerts =
                item.events.iter().filter(|event| matches!(event, Event::AlertDecided { .. })).count();
            let rejected = item.events.iter().any(|event| matches!(event, Event::FactRejected { .. }));
            if alerts == 0 && !rejected {
                continue;
            }
            // Each item of these histories holds one alert.
            if alerts > 1 {
                wrong.push(format!("fact {seq}/{index} was decided {alerts} times at once"));
            }
            let poisoned = self
                .facts
                .get(&seq)
                .is_some_and(|kept| String::from_utf8_lossy(&kept.message.payload).contains("poison"));
            if rejected && !poisoned {
                wrong.push(format!("fact {seq}/{index} was rejected"));
            }
            if decided.insert((seq, index), alerts).is_some() {
                wrong.push(format!("fact {seq}/{index} was decided twice"));
            }
        }
        let accepted = self.world.accepted.lock().expect("nobody panics with it in hand").clone();
        for stored in accepted {
            let at = (stored.seq, stored.item);
            if !decided.contains_key(&at) {
                wrong.push(format!("the alert in fact {}/{} was accepted and never decided", at.0, at.1));
            }
        }
        self.found.extend(wrong);
    }

    /// Each effect has its one ticket before it, and its dispatch before that.
    fn every_effect_allowed(&mut self) {
        let dispatched = self.dispatched();
        let mut wrong = Vec::new();
        for effect in &self.effects {
            let command = &effect.command;
            let key = (command.run.to_string(), command.instance.token(), command.attempt);
            let what = format!("{key:?} at {}", effect.at);
            let Some((kept, Ticket::Started { decision_seq, .. })) = self.tickets.get(&key) else {
                wrong.push(format!("an effect without ticket: {what}"));
                continue;
            };
            if kept.at > effect.at {
                wrong.push(format!("an effect before its ticket: {what}"));
            }
            let window = Span(5000 + command.task.timeout.0 + 2000);
            if effect.at - kept.at > window + SLACK {
                wrong.push(format!("an effect long after its ticket: {what}, ticket at {}", kept.at));
            }
            match dispatched.get(&key) {
                Some((at, seq)) if *at <= kept.at && *seq <= *decision_seq => {}
                Some((at, seq)) => {
                    wrong.push(format!("dispatched at {at} by record {seq}, after its ticket: {what}"));
                }
                None => wrong.push(format!("an effect that nobody decided: {what}")),
            }
        }
        self.found.extend(wrong);
    }

    /// When each attempt was dispatched, and by which record.
    fn dispatched(&self) -> BTreeMap<Attempt, (Timestamp, u64)> {
        let mut found = BTreeMap::new();
        for Decided { kept, record } in &self.log {
            for event in record.items.iter().flat_map(|item| &item.events) {
                let key = match event {
                    Event::Run { run, what: RunEvent::Dispatched { instance, attempt, .. } } => {
                        (run.to_string(), instance.token(), *attempt)
                    }
                    Event::Tell { key, what: TellEvent::Dispatched { attempt, .. } } => {
                        (key.run.to_string(), key.instance().token(), *attempt)
                    }
                    _ => continue,
                };
                found.entry(key).or_insert((kept.at, kept.message.seq));
            }
        }
        found
    }

    /// Nothing begins under a stop number once its switch is stored, but messages to people.
    fn none_after_a_stop(&mut self) {
        let mut under: BTreeMap<Attempt, u64> = BTreeMap::new();
        for event in self.log.iter().flat_map(|d| &d.record.items).flat_map(|item| &item.events) {
            if let Event::Run { run, what: RunEvent::Dispatched { instance, attempt, stop_no, .. } } = event {
                under.insert((run.to_string(), instance.token(), *attempt), *stop_no);
            }
        }
        let mut wrong = Vec::new();
        for (key, (kept, ticket)) in &self.tickets {
            let (Ticket::Started { .. }, Some(stop_no)) = (ticket, under.get(key)) else { continue };
            if let Some(stop) = self.stops.get(stop_no)
                && *stop < kept.message.seq
            {
                wrong.push(format!("{key:?} began after stop {stop_no}"));
            }
        }
        for pulled in &self.world.pulled {
            if !self.stops.contains_key(&pulled.stop_no) {
                wrong.push(format!(
                    "stop {} was acknowledged at {} and is not there",
                    pulled.stop_no, pulled.at
                ));
            }
        }
        self.found.extend(wrong);
    }

    /// Reads the log as a model that knows only events.
    fn walk(&mut self) {
        let mut model = Model::default();
        let log = std::mem::take(&mut self.log);
        for decided in &log {
            for item in &decided.record.items {
                // It was decided at its record's moment or before, and not before what it was decided on.
                let since = match item.cause {
                    Cause::Fact { seq, .. } => self.facts.get(&seq).map(|fact| fact.at),
                    Cause::Timer | Cause::Log => None,
                };
                model.since = since.unwrap_or(decided.kept.at + Span(-LATE.0));
                for event in &item.events {
                    model.event(self, decided, event);
                }
            }
        }
        self.log = log;
        let revoked: Vec<String> = model
            .revoked
            .iter()
            .filter(|key| {
                self.effects.iter().any(|effect| {
                    (effect.command.run.to_string(), effect.command.instance.token(), effect.command.attempt)
                        == **key
                })
            })
            .map(|key| format!("{key:?} was revoked and had an effect"))
            .collect();
        self.found.extend(revoked);
        self.found.append(&mut model.found);
    }

    /// The decider, asked again, decides the same; and the log folds to the states that it says (rule 9).
    fn again(&mut self) {
        let mut library = Library::default();
        let (set, _) = library::compile(&self.world.files);
        let hash = library::set_of(&self.world.files).hash();
        library.sets.insert(hash, Arc::new(set.expect("a good set")));
        let mut state = State::default();
        let mut hashes: BTreeMap<u64, String> = BTreeMap::new();
        let mut wrong = Vec::new();
        for Decided { kept, record } in &self.log {
            let seq = kept.message.seq;
            let mut trial = state.clone();
            trial.seq = seq;
            for item in &record.items {
                match self.decide(&trial, &library, item) {
                    Some(Ok((_, events))) if events != item.events => {
                        wrong.push(format!(
                            "record {seq} is decided otherwise now: {events:?} for {:?}",
                            item.events
                        ));
                    }
                    Some(Err(error)) => wrong.push(format!("record {seq}: {error}")),
                    _ => {}
                }
                let items = std::slice::from_ref(item);
                if let Err(error) = regreen_decider::fold_items(&mut trial, items) {
                    wrong.push(format!("record {seq} does not fold: {error:?}"));
                }
                if let Cause::Fact { seq, .. } = &item.cause
                    && let Some(kept) = self.facts.get(seq)
                {
                    trial.fact_hash = regreen_engine::guard::fact_hash(&kept.message.payload);
                }
            }
            if let Err(error) = fold(&mut state, record, seq) {
                wrong.push(format!("record {seq} does not fold: {error:?}"));
                break;
            }
            if record.hashed {
                hashes.insert(seq, state.hash());
            }
            if let Some(said) = &record.state_hash
                && hashes.get(&said.seq).is_some_and(|hash| **hash != *said.hash)
            {
                wrong.push(format!("record {seq} says another state for {}", said.seq));
            }
            if wrong.len() > 3 {
                break;
            }
        }
        self.found.extend(wrong);
    }

    fn decide(
        &self,
        state: &State,
        library: &Library,
        item: &regreen_schemas::record::Item,
    ) -> Option<Result<(State, Vec<Event>), String>> {
        let rejected = |event: &Event| matches!(event, Event::FactRejected { .. } | Event::Frozen { .. });
        if item.events.is_empty() || item.events.iter().any(rejected) {
            // One empty item stands for many; what was rejected panics again.
            return None;
        }
        let decided = match &item.cause {
            Cause::Log => return None,
            Cause::Timer => decide(state.clone(), library, &Input::Timer, item.now),
            Cause::Fact { seq, item: index, ticket, .. } => {
                let kept = self.facts.get(seq)?;
                let (kind, source) = self.world.names.parse_fact(&kept.message.subject)?;
                let items = fact::decode(kind, &kept.message.payload).ok()?;
                let fact: &Item = items.get(*index as usize)?;
                let input = Input::Fact { source, seq: *seq, item: fact, ticket: ticket.as_ref() };
                decide(state.clone(), library, &input, item.now)
            }
        };
        Some(decided.map_err(|error| format!("{error:?}")))
    }
}

/// What a reader of events alone knows.
#[derive(Default)]
struct Model {
    found: Vec<String>,
    /// The event at hand was decided after this, truly.
    since: Timestamp,
    catching_up: bool,
    suspect: bool,
    frozen: bool,
    stopped: bool,
    takeover: Option<Timestamp>,
    runs: BTreeMap<RunId, Run>,
    /// When runs with effects ended, by playbook and node.
    ended: BTreeMap<(String, String), (Timestamp, bool)>,
    revoked: BTreeSet<Attempt>,
    /// When `once` began to act.
    spent: Vec<Timestamp>,
}

#[derive(Clone, Debug, Default)]
struct Run {
    playbook: String,
    node: String,
    lock: Option<String>,
    locked: bool,
    performed: u32,
    /// The attempt that may act.
    open: Option<(String, u32)>,
    /// It is looked up.
    looking: bool,
    /// Attempts that are over for sure, by instance.
    over: BTreeMap<String, u32>,
    /// When the newest result was taken in.
    result_at: Option<Timestamp>,
    /// Since when it lets time pass.
    waits: Option<Timestamp>,
}

impl Model {
    fn event(&mut self, oracle: &Oracle<'_>, decided: &Decided, event: &Event) {
        let at = decided.kept.at;
        match event {
            Event::Takeover { suspect, .. } => {
                (self.catching_up, self.takeover) = (true, Some(at));
                // It goes on by the server's clock, which may be so far ahead that nobody is suspicious yet.
                self.runs.values_mut().for_each(|run| run.waits = None);
                for (ended, shifted) in self.ended.values_mut().filter(|(_, shifted)| !shifted) {
                    (*ended, *shifted) = (*ended + Span(-SKEW.0), true);
                }
                self.suspect |= suspect.is_some();
            }
            Event::FellBehind { .. } => self.catching_up = true,
            Event::CaughtUp => self.catching_up = false,
            Event::Suspected { .. } => self.suspect = true,
            Event::SuspectCleared { .. } => self.suspect = false,
            Event::Stopped { .. } => self.stopped = true,
            Event::Resumed { .. } => self.stopped = false,
            Event::Frozen { reason } => {
                self.frozen = true;
                self.found.push(format!("frozen though nobody touched the streams: {reason}"));
            }
            Event::Run { run, what } => self.run(oracle, decided, run, what),
            _ => {}
        }
    }

    fn run(&mut self, oracle: &Oracle<'_>, decided: &Decided, id: &RunId, what: &RunEvent) {
        let at = decided.kept.at;
        if let RunEvent::Started { playbook, target, lock, .. } = what {
            let node = target.as_ref().map(|target| target.name().to_string()).unwrap_or_default();
            let lock = lock.as_ref().map(ToString::to_string);
            let run = Run { playbook: playbook.to_string(), node, lock, ..Run::default() };
            if self.runs.insert(id.clone(), run).is_some() {
                self.found.push(format!("run {id} started twice"));
            }
            return;
        }
        let Some(mut run) = self.runs.get(id).cloned() else {
            self.found.push(format!("{what:?} of {id}, which is not open"));
            return;
        };
        let over = |run: &mut Run, instance: String, number: u32| {
            run.over.insert(instance, number);
            run.open = None;
            run.result_at = Some(at);
        };
        match what {
            RunEvent::LockTaken { .. } => {
                run.locked = true;
                run.result_at = Some(at);
                self.lock(id, &run);
            }
            RunEvent::Dispatched { instance, attempt, task, .. } => {
                self.dispatch(oracle, at, id, &run, &instance.token(), *attempt, task);
                if task.kind == Kind::Perform {
                    run.performed += 1;
                    run.open = Some((instance.token(), *attempt));
                }
                run.looking = task.kind != Kind::Perform;
            }
            // A look has no ticket: it is only asked for again.
            RunEvent::Revoked { instance, attempt, not_called, .. } if !run.looking => {
                self.revoked(oracle, id, &instance.token(), *attempt, *not_called);
                over(&mut run, instance.token(), *attempt);
            }
            RunEvent::AttemptFailed { instance, attempt, .. } => over(&mut run, instance.token(), *attempt),
            RunEvent::AttemptUnknown { instance, attempt, next, .. } => {
                run.result_at = Some(at);
                if matches!(next, AfterUnknown::Retry { .. } | AfterUnknown::Fail) {
                    over(&mut run, instance.token(), *attempt);
                }
            }
            RunEvent::Observed { instance, attempt, look, answer, .. } => {
                run.result_at = Some(at);
                if *look == 2 && *answer == Answer::NotDone {
                    over(&mut run, instance.token(), *attempt);
                }
            }
            RunEvent::Settled { instance, attempt, done, .. } => {
                let key = action_key(id, instance);
                if *done == oracle.world.cloud.happened(&key) || *done {
                    over(&mut run, instance.token(), *attempt);
                }
            }
            RunEvent::StepSucceeded { .. } | RunEvent::StepFailed { .. } => {
                // The one wait of the set is five seconds long.
                if let Some(since) = run.waits.take().filter(|since| at - *since < WAIT) {
                    self.found.push(format!("{id} waited from {since} to {at} and no longer"));
                }
                run.result_at = Some(at);
                run.open = None;
            }
            // While it catches up it goes by the server's clock.
            RunEvent::WaitBegan { .. } => run.waits = Some(self.since).filter(|_| !self.catching_up),
            RunEvent::VerifyHeld { instance } => {
                let from = run.result_at.unwrap_or(at);
                if !oracle.world.cloud.was(&run.node, true, from, at) {
                    self.found.push(format!(
                        "verify of {id} ({instance}) held at {at}, and {} was never up since {from}",
                        run.node
                    ));
                }
            }
            RunEvent::Ended { result, .. } => {
                if *result == RunResult::Cancelled
                    && let Some((instance, number)) = &run.open
                {
                    self.found.push(format!("{id} was ended while attempt {number} of {instance} may act"));
                }
                if run.performed > 0 {
                    let since = if self.catching_up { self.since + Span(-SKEW.0) } else { self.since };
                    let key = (run.playbook.clone(), run.node.clone());
                    self.ended.insert(key, (since, self.catching_up));
                }
                self.runs.remove(id);
                return;
            }
            _ => {}
        }
        self.runs.insert(id.clone(), run);
    }

    fn lock(&mut self, id: &RunId, run: &Run) {
        let Some(wanted) = &run.lock else { return };
        let below = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
        for (other, held) in self.runs.iter().filter(|(other, held)| *other != id && held.locked) {
            let Some(lock) = &held.lock else { continue };
            if below(wanted, lock) || below(lock, wanted) {
                self.found.push(format!("{id} took lock {wanted} while {other} holds {lock}"));
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that a dispatch is judged by")]
    fn dispatch(
        &mut self,
        oracle: &Oracle<'_>,
        at: Timestamp,
        id: &RunId,
        run: &Run,
        instance: &str,
        number: u32,
        task: &Task,
    ) {
        let mut wrong =
            |why: String| self.found.push(format!("{id} {instance} attempt {number} at {at}: {why}"));
        if self.catching_up || self.suspect || self.frozen {
            wrong("dispatched while catching up, suspect or frozen".into());
        }
        if self.stopped {
            wrong("dispatched while stopped".into());
        }
        if !run.locked && run.lock.is_some() {
            wrong("dispatched without its lock".into());
        }
        if task.kind != Kind::Perform {
            return;
        }
        if let Some((open, before)) = &run.open {
            wrong(format!("attempt {before} of {open} may still act"));
        }
        if number > 1 && run.over.get(instance).is_none_or(|over| *over + 1 < number) {
            wrong("the attempt before is not over".into());
        }
        // What has no node has no guards.
        if run.performed > 0 || run.node.is_empty() {
            return;
        }
        let cooldown = Span::seconds(if run.playbook == "once" { 40 } else { 20 });
        if let Some((ended, _)) = self.ended.get(&(run.playbook.clone(), run.node.clone()))
            && at - *ended < cooldown
        {
            wrong(format!("within the cooldown: the run before ended at {ended}"));
        }
        // The budget of `once`: six destructive attempts in ten minutes.
        if run.playbook == "once" {
            let lately = at + Span(-Span::minutes(10).0 + LATE.0);
            self.spent.retain(|spent| *spent > lately);
            self.spent.push(at);
            if self.spent.len() > 6 {
                wrong(format!("the budget of six was spent since {}", self.spent[0]));
            }
        }
        // Truly down, and another one truly up, as far as anybody could have seen: a vantage that lies decides nothing.
        let (cloud, seen_from) = (&oracle.world.cloud, at + Span(-SEEN.0));
        if !cloud.was(&run.node, false, seen_from, at) {
            wrong(format!("{} has been up since {seen_from}", run.node));
        }
        let others = oracle.world.nodes().iter().filter(|node| **node != run.node);
        if !others.clone().any(|node| cloud.was(node, true, seen_from, at)) {
            wrong(format!("none of the others has been up since {seen_from}"));
        }
        // Both vantages must have said so lately; a takeover moves on what concludes from absence.
        let grace = Span::seconds(15 + 8);
        if self.takeover.is_none_or(|takeover| at - takeover > Span::seconds(60)) {
            for vantage in VANTAGES {
                let said = oracle.last_look(vantage, at);
                if said.is_none_or(|said| at - said > grace) {
                    wrong(format!("{vantage} has been silent since {said:?}"));
                }
            }
        }
    }

    fn revoked(
        &mut self,
        oracle: &Oracle<'_>,
        id: &RunId,
        instance: &str,
        number: u32,
        not_called: Option<NotCalled>,
    ) {
        let key = (id.to_string(), instance.to_owned(), number);
        let started = matches!(oracle.tickets.get(&key), Some((_, Ticket::Started { .. })));
        if started && not_called.is_none() {
            self.found.push(format!("{key:?} was given up though its ticket was taken"));
        }
        self.revoked.insert(key);
    }
}

impl Oracle<'_> {
    /// When a vantage was last heard before a moment.
    fn last_look(&self, vantage: &str, before: Timestamp) -> Option<Timestamp> {
        let subject = self.world.names.fact(regreen_schemas::subject::FactKind::Looks, vantage);
        let said = self.facts.values().rev().filter(|kept| kept.message.subject == subject);
        said.map(|kept| kept.at).find(|at| *at <= before)
    }
}
