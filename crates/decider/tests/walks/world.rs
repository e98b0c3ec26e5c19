//! A domain to which everything happens that can: alerts, verdicts, events, answers of every kind, people, time, loss.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use regreen_decider::{Input, Library, Phase, Stage, State, TimerKey, decide, due};
use regreen_playbook::{Set as Playbooks, action::Action, model::On};
use regreen_schemas::{
    CheckName, Fingerprint, RunId, Span, Timestamp,
    alert::{Alert, Status as Firing},
    check::{Look, Status},
    command::Kind,
    event::{Event, Suspicion},
    fact::{
        Alerts, Answer, Engine, Event as Posted, Failure, Item, Looks, NotCalled, Operator, Outcome, Serves,
        Set, Verb,
    },
    id::Nonce,
    message::Ask,
    rate::{Credential, Limit, Told},
    record::Cause,
    ticket::Holder,
};

use super::{dice::Dice, model::Models};

const VANTAGES: [&str; 2] = ["main", "far"];
const NODES: [&str; 6] = ["a1", "a2", "a3", "b1", "b2", "b3"];
const RUNNERS: [&str; 2] = ["r1", "r2"];

pub struct World {
    pub dice: Dice,
    pub state: State,
    shadow: State,
    library: Library,
    sets: Vec<Set>,
    pub now: Timestamp,
    facts: u64,
    record: u64,
    pub models: Models,
    statuses: BTreeMap<CheckName, Status>,
    boot: u32,
    n: u64,
    events: u64,
    stopped: bool,
    caught_up: bool,
    suspect: bool,
    /// All that happened, where it is wanted.
    pub story: Vec<String>,
}

impl World {
    pub fn new(dice: Dice, sets: Vec<(Set, Arc<Playbooks>)>) -> Self {
        let library = sets.iter().map(|(fact, set)| (fact.hash(), set.clone())).collect();
        let mut world = Self {
            dice,
            state: State::default(),
            shadow: State::default(),
            library: Library::new(library),
            sets: sets.into_iter().map(|(fact, _)| fact).collect(),
            now: Timestamp(1_000_000),
            facts: 0,
            record: 0,
            models: Models::default(),
            statuses: BTreeMap::new(),
            boot: 0,
            n: 0,
            events: 0,
            stopped: false,
            caught_up: false,
            suspect: false,
            story: Vec::new(),
        };
        world.log(Event::Genesis { genesis: "g".into(), domain: "default".into() });
        world.takeover(false);
        world.accept(0);
        for runner in RUNNERS {
            world.serve(runner, 0);
        }
        world.here();
        VANTAGES.into_iter().for_each(|vantage| world.look_all(vantage));
        world
    }

    // What comes in.

    fn log(&mut self, event: Event) {
        self.input(&Input::Log(Box::new(event)), &Cause::Log);
    }

    fn fact(&mut self, source: &str, item: &Item, ticket: Option<&Holder>) {
        self.timers();
        self.facts += 1;
        let seq = self.facts;
        let cause = Cause::Fact { seq, item: 0, last: true, ticket: ticket.cloned() };
        self.input(&Input::Fact { source, seq, item, ticket }, &cause);
    }

    fn operator(&mut self, by: &str, operator: Operator) {
        self.fact(by, &Item::Operator(operator), None);
    }

    pub fn timers(&mut self) {
        for turn in 0.. {
            if due(&self.state, self.now).is_none() {
                return;
            }
            assert!(turn < 2000, "deadlines go round in circles: {:?}", due(&self.state, self.now));
            self.input(&Input::Timer, &Cause::Timer);
        }
    }

    fn input(&mut self, input: &Input<'_>, cause: &Cause) {
        self.record += 1;
        self.state.seq = self.record;
        self.shadow.seq = self.record;
        if self.story.capacity() > 0 {
            self.story.push(format!("{} {input:?}", self.now));
        }
        let (mut state, events) = match decide(self.state.clone(), &self.library, input, self.now) {
            Ok(decided) => decided,
            Err(illegal) => {
                let run = match due(&self.state, self.now) {
                    Some((at, TimerKey::Run(id))) => self.state.runs.get(&id).map(|run| (at, run)),
                    _ => None,
                };
                panic!("the decider contradicts itself: {illegal}; due: {run:?}");
            }
        };
        assert!(events.len() < 3000, "{} events at once", events.len());
        self.shadow.now = self.shadow.now.max(self.now);
        for event in &events {
            if self.story.capacity() > 0 {
                self.story.push(format!("    {event:?}"));
            }
            self.judge(event);
            if let Err(illegal) = self.shadow.apply(event) {
                panic!("a committed event is not taken: {illegal}");
            }
        }
        self.events += events.len() as u64;
        state.close_item(cause);
        self.shadow.close_item(cause);
        self.state = state;
    }

    fn judge(&mut self, event: &Event) {
        match event {
            Event::Takeover { .. } => self.caught_up = false,
            Event::CaughtUp => self.caught_up = true,
            Event::SuspectCleared { .. } => self.suspect = false,
            Event::Suspected { .. } => self.suspect = true,
            Event::FellBehind { .. } => self.caught_up = false,
            Event::Stopped { .. } => self.stopped = true,
            Event::Resumed { .. } => self.stopped = false,
            _ => {}
        }
        let may = self.caught_up && !self.suspect && !self.stopped;
        self.models.take(event, &self.library.sets, self.now, may);
    }

    // What is true after each step.

    pub fn invariants(&self) {
        for (id, run) in &self.state.runs {
            assert!(self.models.runs.contains_key(id), "{id} is open and has no events");
            let waits = run.stages().any(|(_, stage)| matches!(stage, Stage::Revoking(..)));
            let at = self.state.armed.get(&TimerKey::Run(id.clone()));
            assert!(at.is_none_or(|at| at.0 < i64::MAX), "{id} waits for ever: {run:?}");
            assert!(waits || at.is_some(), "{id} has neither deadline nor question: {run:?}");
        }
        for run in self.models.runs.keys() {
            assert!(self.state.runs.contains_key(run), "{run} is not open any more");
        }
    }

    /// The state is the fold of its events, and survives being written down.
    pub fn folded(&self) {
        assert!(self.state == self.shadow, "fold(events) is the state");
        assert_eq!(self.state.hash(), self.shadow.hash());
        let bytes = serde_json::to_vec(&self.state).expect("plain data");
        let read: State = serde_json::from_slice(&bytes).expect("what was written is read");
        assert!(read == self.state, "a snapshot is the state");
    }

    /// Facts stop, but for the engine's own; time goes on: every run must come to its end.
    pub fn quiet(&mut self) {
        // A set without playbooks: nothing new starts.
        self.accept(self.sets.len() - 1);
        for _ in 0..4000 {
            if self.state.runs.is_empty() {
                return;
            }
            self.timers();
            if self.revoke_one() {
                continue;
            }
            let of_runs = self.state.armed.iter().filter(|(key, _)| match key {
                TimerKey::Run(_) | TimerKey::Queue => true,
                TimerKey::Rate(_) => self.state.may_dispatch(),
                _ => false,
            });
            let next = of_runs.map(|(_, at)| *at).min().map_or(self.now, |at| at.max(self.now));
            let end = Timestamp(1_000_000 + 90 * 24 * 3_600_000);
            assert!(next < end, "open for ever: {:?}", self.state.runs.values().next());
            if next == self.now && due(&self.state, self.now).is_none() && self.state.runs.is_empty() {
                return;
            }
            self.now = next;
        }
        panic!("{} runs go on for ever: {:?}", self.state.runs.len(), self.state.runs.values().next());
    }

    // What happens.

    pub fn step(&mut self) {
        match self.dice.below(100) {
            0..=9 => self.alert(),
            10..=13 => self.start(),
            14..=15 => self.post(),
            16..=24 => self.look(),
            25..=64 => self.answer(),
            65..=70 => self.approve(),
            71..=74 => drop(self.revoke_one()),
            75..=77 => self.settle(),
            78 => self.cancel(),
            79 => self.toggle_stop(),
            80 => self.absence(),
            81..=82 => self.recover(),
            83 => {
                let nth = self.dice.below(self.sets.len() - 1);
                if self.dice.chance(30) {
                    self.accept(nth);
                }
            }
            84 => {
                let boot = u32::try_from(self.facts).unwrap_or(0);
                let runner = *self.dice.pick(&RUNNERS);
                self.serve(runner, boot);
            }
            85 => self.clear(),
            86..=88 => VANTAGES.into_iter().for_each(|vantage| self.look_all(vantage)),
            _ => {
                let steps = [300, 1000, 2000, 2000, 6000, 6000, 31_000, 61_000, 700_000, 4_000_000];
                self.now = self.now + Span(*self.dice.pick(&steps));
            }
        }
        self.timers();
        self.invariants();
    }

    fn accept(&mut self, nth: usize) {
        let set = self.sets[nth].clone();
        self.fact("loader", &Item::Set(set), None);
        VANTAGES.into_iter().for_each(|vantage| self.look_all(vantage));
    }

    fn serve(&mut self, runner: &str, boot: u32) {
        let actions = self.library.sets.values().flat_map(|set| set.actions.values());
        let mut actions: BTreeMap<Arc<str>, Arc<str>> =
            actions.map(|action: &Arc<Action>| (action.name.clone(), action.declared.clone())).collect();
        if self.dice.chance(10) && boot > 0 {
            actions.remove("lab.node.drain");
        }
        let limit = Limit { requests: NonZeroU32::MIN.saturating_add(39), per: Span::minutes(1) };
        let key = |name: &str| Credential { name: name.into(), limits: vec![limit] };
        let keys = [("lab".into(), key("lab/key")), ("http".into(), key("http/key"))];
        // One whose configuration was changed names another, or none.
        let credentials = keys.into_iter().filter(|_| !self.dice.chance(20)).collect();
        let nonce = Nonce::from(format!("n{boot}"));
        let serves = Serves { nonce, zone: "main".into(), actions, credentials };
        self.fact(runner, &Item::Serves(serves), None);
    }

    fn takeover(&mut self, suspect: bool) {
        let why = suspect.then_some(Suspicion::Silent { silence: Span::minutes(20) });
        let here = self.facts + 1;
        self.suspect |= suspect;
        let until = std::mem::replace(&mut self.now, self.state.now);
        self.log(Event::Takeover { here, until, suspect: why, streams: None });
        self.now = until;
    }

    fn here(&mut self) {
        let wall = self.now;
        self.fact("e1", &Item::Engine(Engine::Here { boot: Nonce::from("b"), wall }), None);
    }

    fn absence(&mut self) {
        if self.dice.chance(40) {
            return;
        }
        self.now = self.now + Span(i64::try_from(self.dice.below(1_200_000)).unwrap_or(0));
        let suspect = self.dice.chance(20);
        self.takeover(suspect);
    }

    fn recover(&mut self) {
        if !self.caught_up {
            self.here();
        }
        if self.suspect && self.dice.chance(80) {
            self.operator("amy", Operator::ResumeSuspect);
        }
        if self.stopped {
            self.toggle_stop();
        }
    }

    fn toggle_stop(&mut self) {
        let stop_no = self.state.stop_no;
        if self.stopped {
            self.operator("amy", Operator::Resume { stop_no });
        } else {
            let stop = Engine::Stopped { stop_no, by: "amy".into(), seq: 1 };
            self.fact("e1", &Item::Engine(stop), None);
        }
    }

    fn alert(&mut self) {
        let labels = [
            ("alertname", format!("P{}", self.dice.below(5))),
            ("node", (*self.dice.pick(&NODES[..4])).to_owned()),
            ("group", (*self.dice.pick(&["web", "db", "no"])).to_owned()),
            ("service", "shop".to_owned()),
        ];
        let resolved = self.dice.chance(25);
        let print = labels.each_ref().map(|(_, value)| value.as_str()).join("-");
        let alert = Alert {
            status: if resolved { Firing::Resolved } else { Firing::Firing },
            fingerprint: Fingerprint::from(print),
            labels: labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            annotations: BTreeMap::new(),
            starts_at: Timestamp(self.now.0 - i64::try_from(self.dice.below(60_000)).unwrap_or(0)),
            ends_at: resolved.then_some(self.now),
            generator_url: "".into(),
        };
        let alerts = Alerts { alerts: vec![alert], ..Alerts::default() };
        self.fact("am", &Item::Alerts(alerts), None);
    }

    fn start(&mut self) {
        let set = self.state.set.as_ref().and_then(|(hash, _)| self.library.sets.get(hash)).cloned();
        let Some(set) = set else { return };
        let by_hand = |book: &&regreen_playbook::model::Playbook| {
            book.triggers.iter().any(|trigger| matches!(trigger.on, On::Manual { .. }))
        };
        let books: Vec<_> = set.playbooks.values().filter(by_hand).collect();
        if books.is_empty() {
            return;
        }
        let book = *self.dice.pick(&books);
        let target = match book.target.word() {
            "node" => Some(*self.dice.pick(&NODES)),
            "group" => Some(*self.dice.pick(&["web", "db"])),
            "service" => Some("shop"),
            _ => None,
        };
        let start = Operator::Start {
            playbook: book.name.clone(),
            target: target.map(Into::into),
            inputs: BTreeMap::new(),
        };
        self.operator("amy", start);
    }

    fn post(&mut self) {
        let event = Posted {
            path: "hook".into(),
            secret: "hook".into(),
            id: self.dice.below(20).to_string().into(),
            kind: "k".into(),
            source: "".into(),
            data: serde_json::Value::Null,
        };
        self.fact("in", &Item::Event(event), None);
    }

    fn checks(&self) -> Vec<CheckName> {
        let nodes =
            NODES.iter().map(|node| format!("{}/{node}", if node.starts_with('a') { "web" } else { "db" }));
        let all = nodes.chain(["site/web", "site/db", "canary"].map(str::to_owned));
        all.map(CheckName::from).collect()
    }

    fn looks(&mut self, vantage: &str, changes: Vec<Look>, all: bool) {
        self.timers();
        self.n += 1;
        let looks = Looks {
            boot: Nonce::from(format!("p{}", self.boot)),
            n: self.n,
            set_version: self.state.set.as_ref().map_or(0, |(_, seq)| *seq),
            sighted: true,
            changes,
            all,
            digest: None,
        };
        self.fact(vantage, &Item::Looks(looks), None);
    }

    fn look_at(&self, check: CheckName) -> Look {
        let status = self.statuses.get(&check).copied().unwrap_or(Status::Up);
        Look { wavers: false, check, status, reason: "".into(), tick: self.record }
    }

    fn look_all(&mut self, vantage: &str) {
        let changes = self.checks().into_iter().map(|check| self.look_at(check)).collect();
        self.looks(vantage, changes, true);
    }

    fn look(&mut self) {
        let checks = self.checks();
        let check = self.dice.pick(&checks).clone();
        let status = *self.dice.pick(&[
            Status::Up,
            Status::Up,
            Status::Up,
            Status::Down,
            Status::Down,
            Status::Unknown,
        ]);
        self.statuses.insert(check.clone(), status);
        let both = self.dice.chance(85);
        for vantage in VANTAGES.iter().take(if both { 2 } else { 1 }) {
            let look = self.look_at(check.clone());
            self.looks(vantage, vec![look], false);
        }
        if self.dice.chance(50) {
            VANTAGES.into_iter().for_each(|vantage| self.look_all(vantage));
        }
    }

    /// Something comes back of a call that is out.
    fn answer(&mut self) {
        let calls: Vec<_> = self
            .state
            .runs
            .values()
            .flat_map(|run| {
                run.stages().map(move |(path, stage)| (run.id.clone(), path.clone(), stage.clone()))
            })
            .filter_map(|(run, path, stage)| match stage {
                Stage::Dispatched(attempt) | Stage::Revoking(attempt, _) | Stage::Running(attempt, _) => {
                    Some((run, path, attempt))
                }
                _ => None,
            })
            .collect();
        if calls.is_empty() {
            self.now = self.now + Span(500);
            return;
        }
        let (run, instance, attempt) = self.dice.pick(&calls).clone();
        let name = if attempt.task.action.starts_with("lab.") { "lab/key" } else { "http/key" };
        let pause = self.dice.chance(10).then_some(Span::seconds(15));
        let told = Told { credential: name.into(), spent: 12, remaining: Some(9), pause };
        let rate = self.dice.chance(30).then_some(told);
        let say = |world: &mut Self, verb: Verb, ticket: Option<&Holder>| {
            let outcome = Outcome {
                run: run.clone(),
                instance: instance.clone(),
                attempt: attempt.number,
                nonce: "n".into(),
                outcome: verb,
                timing: None,
                rate: rate.clone(),
            };
            world.fact("r1", &Item::Result(outcome), ticket);
        };
        if let Kind::Observe(look) = attempt.task.kind {
            let answer = match self.dice.below(8) {
                0 => Answer::CannotTell { state: "odd".into() },
                1..=4 => Answer::Done { result: result_of(&attempt.task.action) },
                _ => Answer::NotDone,
            };
            let lost = Verb::Failed { kind: Failure::Transient, reason: "503".into(), retry_after: None };
            let verb = if self.dice.chance(10) { lost } else { Verb::Observed { look, answer } };
            return say(self, verb, None);
        }
        let verb = match self.dice.below(20) {
            0..=11 => Verb::Ok { result: result_of(&attempt.task.action) },
            12 => Verb::Failed { kind: Failure::Transient, reason: "busy".into(), retry_after: None },
            13..=15 => Verb::Failed { kind: Failure::Permanent, reason: "no".into(), retry_after: None },
            16..=17 => Verb::Unknown { reason: "silence".into() },
            18 => Verb::NotCalled { reason: NotCalled::Late, detail: "late".into() },
            _ => Verb::NotCalled { reason: NotCalled::Refused, detail: "never".into() },
        };
        let holder = Holder { seq: self.facts, runner: "r1".into(), nonce: "n".into(), pre_state: None };
        let holds = self.dice.chance(92);
        say(self, verb, holds.then_some(&holder));
    }

    /// The engine's word about a ticket that it wants back.
    fn revoke_one(&mut self) -> bool {
        let wanted: Vec<_> = self
            .state
            .runs
            .values()
            .flat_map(|run| run.stages().map(move |(path, stage)| (run.id.clone(), path.clone(), stage)))
            .filter_map(|(run, path, stage)| match stage {
                Stage::Revoking(attempt, _) => Some((run, path, attempt.number)),
                _ => None,
            })
            .collect();
        if wanted.is_empty() {
            return false;
        }
        let (run, instance, attempt) = self.dice.pick(&wanted).clone();
        let item = if self.dice.chance(50) {
            Engine::Revoked { run, instance, attempt }
        } else {
            Engine::Started { run, instance, attempt, nonce: "n".into() }
        };
        self.fact("e1", &Item::Engine(item), None);
        true
    }

    fn approve(&mut self) {
        let asked: Vec<Ask> = self.state.runs.values().flat_map(|run| run.approvals().cloned()).collect();
        if asked.is_empty() {
            return;
        }
        let Ask { run, instance, plan_hash, .. } = self.dice.pick(&asked).clone();
        let by = if self.dice.chance(90) { "amy" } else { "bob" };
        let answer = if self.dice.chance(20) {
            Operator::Deny { run, instance, plan_hash, reason: "".into(), user: None }
        } else {
            Operator::Approve { run, instance, plan_hash, user: None }
        };
        self.operator(by, answer);
    }

    fn settle(&mut self) {
        let asked = self.state.runs.values().find_map(|run| {
            run.in_doubt().next().map(|attempt| (run.id.clone(), attempt.instance.clone(), attempt.number))
        });
        let Some((run, instance, attempt)) = asked else { return };
        let done = self.dice.chance(50);
        self.operator("amy", Operator::Settle { run, instance, attempt, done });
    }

    fn cancel(&mut self) {
        let runs: Vec<RunId> = self.state.runs.keys().cloned().collect();
        if !runs.is_empty() && self.dice.chance(60) {
            let run = self.dice.pick(&runs).clone();
            self.operator("amy", Operator::Cancel { run, reason: "".into() });
        }
    }

    fn clear(&mut self) {
        let known = self.state.cooldowns.keys().next().cloned();
        let Some((playbook, target)) = known else { return };
        let target = target.map(|target| target.name().clone());
        self.operator("amy", Operator::ClearCooldown { playbook, target });
    }

    /// The phases that an engine can be in at the end of a history.
    pub fn is_sound(&self) -> bool {
        self.state.phase != Phase::Frozen
    }

    /// What was reached of what a run can do.
    pub fn kinds(&self, seen: &mut std::collections::BTreeSet<&'static str>) {
        for run in self.state.runs.values() {
            seen.extend(run.stages().map(|(_, stage)| match stage {
                Stage::Dispatched(_) => "dispatched",
                Stage::Revoking(..) => "revoking",
                Stage::Running(..) => "running",
                Stage::Again(..) => "again",
                Stage::Looking(..) => "looking",
                Stage::Asking(_) => "asking",
                Stage::Approving(_) => "approving",
                Stage::Waiting(..) => "waiting",
                Stage::Verifying(..) => "verifying",
                Stage::Failing(_) => "failing",
                Stage::Branch(_) => "branch",
                Stage::Parallel => "parallel",
                Stage::Loop => "loop",
                Stage::Sub => "sub",
            }));
        }
    }
}

fn result_of(action: &str) -> serde_json::Value {
    match action {
        "lab.node.read" => serde_json::json!({"n": 3, "words": ["a"]}),
        "lab.group.make" => serde_json::json!({"node": "a3"}),
        _ => serde_json::Value::Null,
    }
}

/// A set's identity, for its text.
pub fn fact_of(text: &str) -> Set {
    let hash = regreen_schemas::hash::sha256_hex(text.as_bytes());
    Set { files: vec![regreen_schemas::fact::SetFile { path: "lab.yaml".into(), hash: hash.into() }] }
}
