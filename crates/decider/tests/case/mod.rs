//! A small domain with one run, for tests that tell one story each.

#![allow(dead_code, unreachable_pub, reason = "every test takes what it needs")]

use std::{collections::BTreeMap, sync::Arc};

use regreen_decider::{Input, Library, State, decide, due};
use regreen_playbook::{diagnostic::Source, load};
use regreen_schemas::{
    Instance, RunId, Timestamp, action,
    check::{Look, Status},
    command::Kind,
    event::{Event, RunEvent, TellEvent},
    fact::{Item, Looks, Operator, Outcome, Serves, Set, SetFile, Verb},
    ticket::Holder,
};

pub const SET: &str = r#"apiVersion: regreen/v1
inventory: lab
groups: {web: {health: web, nodes: {a1: {}, a2: {}}}}
---
apiVersion: regreen/v1
checks: {web: {kind: tcp, each: node, in: [web], with: {address: "h:1"}, vantages: [main]}}
---
apiVersion: regreen/v1
policy: lab
receivers: {oncall: {log: {}}}
---
apiVersion: regreen/v1
playbook: repair
mode: auto
target: node
triggers: [{manual: {}}]
guard: {cooldown: 1m, budget: [{max: 9, per: 1h}], min_healthy: {at_least: 1}}
steps:
  - {id: hit, use: http.request, with: {node: "{{ target }}", url: "http://x/", method: POST, observe: {url: "http://x/", done: "status == 200"}}}
verify: [{check: "web/{{ target.name }}", for: 2s, within: 5m}]
escalate: [{to: oncall}]
"#;

/// A domain with the playbook in force, a runner, and one run whose step was just dispatched.
pub struct Case {
    pub state: State,
    pub library: Library,
    pub now: i64,
    pub seq: u64,
    pub events: Vec<Event>,
}

impl Case {
    pub fn new() -> Self {
        Self::with(SET)
    }

    pub fn with(set: &str) -> Self {
        let (set, findings) = load(vec![Source { path: "p".into(), text: set.into() }]);
        let set = set.unwrap_or_else(|| panic!("{}", findings.render(false)));
        let fact = Set { files: vec![SetFile { path: "p".into(), hash: "h".into() }] };
        let library = Library::new(BTreeMap::from([(fact.hash(), Arc::new(set))]));
        let mut case = Self { state: State::default(), library, now: 1000, seq: 0, events: Vec::new() };
        let takeover = Event::Takeover { here: 1, until: Timestamp(1), suspect: None, streams: None };
        case.input(&Input::Log(Box::new(takeover)));
        let actions = action::all().map(|known| (known.name.into(), known.hash().into())).collect();
        case.fact(Item::Set(fact), None);
        case.fact(
            Item::Serves(Serves {
                nonce: "n".into(),
                zone: "main".into(),
                actions,
                credentials: BTreeMap::new(),
            }),
            None,
        );
        case.look(Status::Down, false, 0);
        let start =
            Operator::Start { playbook: "repair".into(), target: Some("a1".into()), inputs: BTreeMap::new() };
        case.fact(Item::Operator(start), None);
        case
    }

    pub fn input(&mut self, input: &Input<'_>) {
        self.state.seq += 1;
        let state = std::mem::take(&mut self.state);
        let (state, events) = decide(state, &self.library, input, Timestamp(self.now)).expect("legal");
        self.state = state;
        self.events.extend(events);
    }

    pub fn fact(&mut self, item: Item, ticket: Option<&Holder>) {
        let source = if matches!(item, Item::Looks(_)) { "main" } else { "r1" };
        self.fact_of(source, &item, ticket);
    }

    pub fn fact_of(&mut self, source: &str, item: &Item, ticket: Option<&Holder>) {
        self.seq += 1;
        let seq = self.seq;
        self.input(&Input::Fact { source, seq, item, ticket });
    }

    pub fn look(&mut self, status: Status, wavers: bool, tick: u64) {
        let look = Look { check: "web/a1".into(), status, reason: "".into(), tick, wavers };
        let other = Look { check: "web/a2".into(), status: Status::Up, wavers: false, ..look.clone() };
        let n = self.seq + 1;
        let version = self.state.set.as_ref().map_or(0, |(_, version)| *version);
        let changes = vec![look, other];
        self.fact(
            Item::Looks(Looks {
                boot: "b".into(),
                n,
                set_version: version,
                sighted: true,
                changes,
                all: true,
                digest: None,
            }),
            None,
        );
    }

    pub fn wait(&mut self, millis: i64) {
        self.now += millis;
        while due(&self.state, Timestamp(self.now)).is_some() {
            self.input(&Input::Timer);
        }
    }

    /// The newest attempt that was dispatched.
    pub fn open(&self) -> (RunId, Instance, u32, Kind) {
        let dispatched = self.events.iter().rev().find_map(|event| match event {
            Event::Run { run, what: RunEvent::Dispatched { instance, attempt, task, .. } } => {
                Some((run.clone(), instance.clone(), *attempt, task.kind))
            }
            _ => None,
        });
        dispatched.expect("a dispatch")
    }

    pub fn outcome(&mut self, outcome: Verb) {
        let (run, instance, attempt, _) = self.open();
        let holder = Holder { seq: 1, runner: "r1".into(), nonce: "n".into(), pre_state: None };
        let item = Outcome { run, instance, attempt, nonce: "n".into(), outcome, timing: None, rate: None };
        self.fact(Item::Result(item), Some(&holder));
    }

    /// What people were told.
    pub fn told(&self) -> Vec<String> {
        let text = |event: &Event| match event {
            Event::Tell { what: TellEvent::Queued { text, .. }, .. } => Some(text.to_string()),
            _ => None,
        };
        self.events.iter().filter_map(text).collect()
    }

    pub fn count(&self, wanted: impl Fn(&RunEvent) -> bool) -> usize {
        let runs = self.events.iter().filter_map(|event| match event {
            Event::Run { what, .. } => Some(what),
            _ => None,
        });
        runs.filter(|what| wanted(what)).count()
    }
}
