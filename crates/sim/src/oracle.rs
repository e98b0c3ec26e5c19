//! Judges a history from outside: what was stored, and what happened in the world. It knows the words
//! of the wire and none of the decider's own state; only where a line says so is the decider asked again.

mod model;

use std::{collections::BTreeMap, sync::Arc};

use regreen_decider::{Input, Library, State, decide, fold};
use regreen_engine::library;
use regreen_schemas::{
    Span, Timestamp,
    action::Effect as Class,
    event::{Event, RunEvent, TellEvent},
    fact::{self, Item},
    hash::sha256_hex,
    record::{Cause, Record, decode},
    ticket::Ticket,
};

use crate::{Kept, cloud::Effect, history::Meddling, world::World};
use model::Model;

/// What clocks and delays may add to a limit.
const SLACK: Span = Span::seconds(2);

/// How late a record may land.
const LATE: Span = Span::seconds(14);

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
                    Event::Tell { key, what: TellEvent::Dispatched { attempt, nth, .. } } => {
                        (key.run.to_string(), key.instance(*nth).token(), *attempt)
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

impl Oracle<'_> {
    /// When a vantage was last heard before a moment.
    fn last_look(&self, vantage: &str, before: Timestamp) -> Option<Timestamp> {
        let subject = self.world.names.fact(regreen_schemas::subject::FactKind::Looks, vantage);
        let said = self.facts.values().rev().filter(|kept| kept.message.subject == subject);
        said.map(|kept| kept.at).find(|at| *at <= before)
    }
}
