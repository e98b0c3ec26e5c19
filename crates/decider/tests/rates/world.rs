//! A domain whose runner reaches two providers, each by a credential of its own, and everything that was sent.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use rand::{Rng as _, rngs::SmallRng};
use regreen_decider::{Input, Library, Stage, State, TimerKey, decide, due};
use regreen_playbook::{diagnostic::Source, load};
use regreen_schemas::{
    RunId, Span, Timestamp,
    command::Kind,
    event::{Event, RunEvent, Target},
    fact::{Answer, Engine, Failure, Item, Operator, Outcome, Serves, Set, SetFile, Verb},
    rate::{Credential, Draw, Limit, Told},
    record::Cause,
    run::RunResult,
    ticket::Holder,
};
use serde_json::Value;

pub const CLOUD: &str = "cloud/key";
const OTHER: &str = "other/key";
/// What providers may allow.
pub const LIMITS: [(u32, Span); 4] =
    [(40, Span::minutes(1)), (20, Span::seconds(10)), (7, Span::seconds(5)), (1, Span::seconds(1))];

const SET: &str = r#"apiVersion: regreen/v1
inventory: lab
groups:
  web: {nodes: {a1: {}, a2: {}, a3: {}, a4: {}, b1: {}, b2: {}, b3: {}, b4: {}, b5: {}, b6: {}}}
  db: {provider: cloud, discover: {tag: db}, nodes: {d1: {id: '1'}}}
---
apiVersion: regreen/v1
actions:
  cloud.inventory.list: {description: d, effect: read, destructive: false, with: {tag: {type: text}}, result: {nodes: json}}
  cloud.node.read: {description: d, effect: read, destructive: false, with: {node: {type: node}}}
  cloud.node.hit: {description: d, effect: reconcilable, destructive: false, with: {node: {type: node}}}
  other.node.hit: {description: d, effect: idempotent, destructive: false, with: {node: {type: node}}}
---
apiVersion: regreen/v1
policy: lab
receivers: {oncall: {log: {}}}
---
apiVersion: regreen/v1
playbook: hit
mode: auto
target: node
deadline: 20m
triggers: [{manual: {}}]
steps: [{id: act, use: cloud.node.hit, with: {node: "{{ target }}"}, attempts: 3}]
---
apiVersion: regreen/v1
playbook: soon
mode: auto
target: node
deadline: 5s
triggers: [{manual: {}}]
steps: [{id: act, use: cloud.node.hit, with: {node: "{{ target }}"}}]
---
apiVersion: regreen/v1
playbook: read
mode: auto
target: node
deadline: 20m
triggers: [{manual: {}}]
steps: [{id: act, use: cloud.node.read, with: {node: "{{ target }}"}}]
---
apiVersion: regreen/v1
playbook: other
mode: auto
target: node
deadline: 20m
triggers: [{manual: {}}]
steps: [{id: act, use: other.node.hit, with: {node: "{{ target }}"}}]
---
apiVersion: regreen/v1
playbook: two
mode: auto
target: node
deadline: 20m
triggers: [{manual: {}}]
steps:
  - {id: both, parallel: [{id: act, use: cloud.node.hit, with: {node: "{{ target }}"}}, {id: more, use: cloud.node.read, with: {node: "{{ target }}"}}, {id: else, use: other.node.hit, with: {node: "{{ target }}"}}]}
  - {id: then, use: cloud.node.read, with: {node: "{{ target }}"}}
"#;

/// The bound of a history: whatever waits for its rate has gone by then.
const END: Span = Span::minutes(600);

pub struct World {
    pub state: State,
    shadow: State,
    library: Library,
    pub now: Timestamp,
    facts: u64,
    credentials: BTreeMap<Arc<str>, Credential>,
    pub events: Vec<(Timestamp, Event)>,
    targets: BTreeMap<RunId, String>,
    /// Every credential's pause, by what was told.
    paused: BTreeMap<Arc<str>, Timestamp>,
}

fn limits(of: &[(u32, Span)]) -> BTreeMap<Arc<str>, Credential> {
    let limits: Vec<Limit> = of
        .iter()
        .map(|(requests, per)| Limit { requests: NonZeroU32::new(*requests).expect("some"), per: *per })
        .collect();
    let credential = |name: &str| Credential { name: name.into(), limits: limits.clone() };
    BTreeMap::from([("cloud".into(), credential(CLOUD)), ("other".into(), credential(OTHER))])
}

impl World {
    pub fn new(of: &[(u32, Span)]) -> Self {
        let (set, findings) = load(vec![Source { path: "p".into(), text: SET.into() }]);
        let set = set.unwrap_or_else(|| panic!("{}", findings.render(false)));
        let fact = Set { files: vec![SetFile { path: "p".into(), hash: "h".into() }] };
        let mut world = Self {
            state: State::default(),
            shadow: State::default(),
            library: Library::new(BTreeMap::from([(fact.hash(), Arc::new(set))])),
            now: Timestamp(1_000_000),
            facts: 0,
            credentials: limits(of),
            events: Vec::new(),
            targets: BTreeMap::new(),
            paused: BTreeMap::new(),
        };
        world.absent(0);
        world.fact("loader", &Item::Set(fact), None);
        world.serve(limits(of));
        world
    }

    pub fn nodes(&self) -> Vec<String> {
        let set = self.library.in_force(&self.state).expect("it is in force");
        set.inventory.groups["web"].nodes.keys().map(ToString::to_string).collect()
    }

    // What comes in.

    fn input(&mut self, input: &Input<'_>, cause: &Cause) {
        self.state.seq += 1;
        self.shadow.seq += 1;
        let (mut state, events) =
            decide(self.state.clone(), &self.library, input, self.now).expect("it contradicts itself");
        self.shadow.now = self.shadow.now.max(self.now);
        for event in &events {
            self.shadow.apply(event).expect("a committed event is taken");
            self.note(event);
        }
        state.close_item(cause);
        self.shadow.close_item(cause);
        self.state = state;
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Run { run, what: RunEvent::Started { target: Some(Target::Node { name, .. }), .. } } => {
                self.targets.insert(run.clone(), name.to_string());
            }
            Event::Run { what: RunEvent::Dispatched { draws, .. }, .. } => {
                for Draw { credential, .. } in draws {
                    let paused = self.paused.get(credential).copied().unwrap_or_default();
                    assert!(paused <= self.now, "sent by {credential}, which is paused until {paused}");
                }
            }
            _ => {}
        }
        self.events.push((self.now, event.clone()));
    }

    fn fact(&mut self, source: &str, item: &Item, ticket: Option<&Holder>) {
        self.timers();
        self.facts += 1;
        let seq = self.facts;
        let cause = Cause::Fact { seq, item: 0, last: true, ticket: ticket.cloned() };
        self.input(&Input::Fact { source, seq, item, ticket }, &cause);
    }

    fn timers(&mut self) {
        for turn in 0.. {
            if due(&self.state, self.now).is_none() {
                return;
            }
            assert!(turn < 1000, "deadlines go round in circles");
            self.input(&Input::Timer, &Cause::Timer);
        }
    }

    pub fn serve(&mut self, credentials: BTreeMap<Arc<str>, Credential>) {
        let set = self.library.in_force(&self.state).expect("it is in force");
        let actions =
            set.actions.values().map(|known| (known.name.clone(), known.declared.clone())).collect();
        let serves = Serves { nonce: "n".into(), zone: "main".into(), actions, credentials };
        self.fact("r1", &Item::Serves(serves), None);
    }

    pub fn start(&mut self, playbook: &str, node: &str) {
        let (playbook, target) = (playbook.into(), Some(node.into()));
        self.fact(
            "amy",
            &Item::Operator(Operator::Start { playbook, target, inputs: BTreeMap::new() }),
            None,
        );
    }

    pub fn stop(&mut self) {
        let stop_no = self.state.stop_no;
        self.fact("e1", &Item::Engine(Engine::Stopped { stop_no, by: "amy".into(), seq: 1 }), None);
    }

    pub fn resume(&mut self) {
        let stop_no = self.state.stop_no;
        self.fact("amy", &Item::Operator(Operator::Resume { stop_no }), None);
    }

    /// Another engine takes over after a while.
    pub fn absent(&mut self, millis: i64) {
        let (here, until) = (self.facts + 1, self.now + Span(millis));
        let takeover = Event::Takeover { here, until, suspect: None, streams: None };
        self.input(&Input::Log(Box::new(takeover)), &Cause::Log);
        self.now = until;
        self.fact("e1", &Item::Engine(Engine::Here { boot: "b".into(), wall: until }), None);
    }

    /// Time passes, deadline by deadline.
    pub fn wait(&mut self, millis: i64) {
        let until = self.now + Span(millis);
        while let Some((at, _)) = due(&self.state, until) {
            self.now = self.now.max(at);
            self.timers();
        }
        self.now = until;
    }

    /// A run's call comes to this.
    pub fn answer(&mut self, node: &str, outcome: Verb, rate: Option<Told>) {
        self.answer_as("r1", node, outcome, rate);
    }

    /// Somebody says that it came to this.
    pub fn answer_as(&mut self, source: &str, node: &str, outcome: Verb, rate: Option<Told>) {
        let calls = self.calls();
        let of = |run: &RunId| self.targets.get(run).is_some_and(|target| target == node);
        let (run, open) = calls.into_iter().find(|(run, _)| of(run)).expect("a call is out");
        self.say(source, run, &open, outcome, rate);
    }

    fn say(
        &mut self,
        source: &str,
        run: RunId,
        open: &regreen_decider::Attempt,
        outcome: Verb,
        rate: Option<Told>,
    ) {
        self.timers();
        if let Some(Told { credential, pause: Some(pause), .. }) = rate.as_ref().filter(|_| source == "r1") {
            let paused = self.paused.entry(credential.clone()).or_default();
            *paused = (*paused).max(self.now + *pause);
        }
        let (instance, attempt, nonce) = (open.instance.clone(), open.number, "n".into());
        let outcome = Outcome { run, instance, attempt, nonce, outcome, timing: None, rate };
        let holder = Holder { seq: 1, runner: "r1".into(), nonce: "n".into(), pre_state: None };
        self.fact(source, &Item::Result(outcome), Some(&holder));
    }

    fn calls(&self) -> Vec<(RunId, regreen_decider::Attempt)> {
        let open = |stage: &Stage| match stage {
            Stage::Dispatched(open) | Stage::Running(open, _) => Some(open.clone()),
            _ => None,
        };
        let runs = self.state.runs.values();
        runs.flat_map(|run| run.stages().filter_map(move |(_, stage)| Some((run.id.clone(), open(stage)?))))
            .collect()
    }

    /// Any call comes to anything; now and then the provider refuses, or says how little is left.
    pub fn answer_any(&mut self, dice: &mut SmallRng) {
        self.timers();
        let calls = self.calls();
        if calls.is_empty() {
            return self.wait(500);
        }
        let (run, open) = calls[dice.random_range(0..calls.len())].clone();
        let credential = if open.task.action.starts_with("cloud.") { CLOUD } else { OTHER };
        let spent = if open.task.action.ends_with("read") { 1 } else { dice.random_range(0..=10) };
        let mut rate = Told { credential: credential.into(), spent, remaining: None, pause: None };
        let busy = Verb::Failed { kind: Failure::Transient, reason: "429".into(), retry_after: None };
        let verb = match (dice.random_range(0..10), open.task.kind) {
            (0..=1, _) => {
                rate.pause = Some(Span(dice.random_range(1..20_000)));
                busy
            }
            (2, Kind::Perform) => Verb::Unknown { reason: "?".into() },
            (_, Kind::Observe(look)) => {
                let done = Answer::Done { result: Value::Null };
                Verb::Observed { look, answer: if dice.random_bool(0.5) { done } else { Answer::NotDone } }
            }
            (_, Kind::Perform) => Verb::Ok { result: Value::Null },
        };
        rate.remaining = dice.random_bool(0.2).then(|| dice.random_range(0..40));
        let rate = dice.random_bool(0.9).then_some(rate);
        self.say("r1", run, &open, verb, rate);
    }

    /// Every call is answered well, and time goes on, until no run is open.
    pub fn end(&mut self) {
        let end = self.now + END;
        loop {
            self.timers();
            if let Some((run, open)) = self.calls().into_iter().next() {
                let done = Answer::Done { result: Value::Null };
                let verb = match open.task.kind {
                    Kind::Observe(look) => Verb::Observed { look, answer: done },
                    Kind::Perform => Verb::Ok { result: Value::Null },
                };
                self.say("r1", run, &open, verb, None);
                continue;
            }
            self.revoke();
            if self.state.runs.is_empty() {
                break;
            }
            let next =
                self.state.timers.iter().find(|(_, key)| matches!(key, TimerKey::Run(_) | TimerKey::Rate(_)));
            let (at, _) = next.expect("an open run has a deadline");
            self.now = self.now.max(*at);
            assert!(self.now < end, "it waits for ever: {:?}", self.state.runs.values().next());
        }
        assert!(self.state.rates.values().all(|rate| rate.line.is_empty()), "nobody is left in line");
    }

    fn revoke(&mut self) {
        let revoking = |run: &Arc<regreen_decider::Run>| {
            let open = run.stages().find_map(|(_, stage)| match stage {
                Stage::Revoking(open, _) => Some((open.instance.clone(), open.number)),
                _ => None,
            });
            open.map(|(instance, attempt)| (run.id.clone(), instance, attempt))
        };
        if let Some((run, instance, attempt)) = self.state.runs.values().find_map(revoking) {
            self.fact("e1", &Item::Engine(Engine::Revoked { run, instance, attempt }), None);
        }
    }

    // What came of it.

    /// On what calls went out, in order.
    pub fn sent(&self) -> Vec<String> {
        let sent = |event: &Event| match event {
            Event::Run { run, what: RunEvent::Dispatched { task, .. } } if task.kind == Kind::Perform => {
                self.targets.get(run).cloned()
            }
            _ => None,
        };
        self.events.iter().filter_map(|(_, event)| sent(event)).collect()
    }

    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| wanted(event)).count()
    }

    fn of<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a RunEvent> {
        self.events.iter().filter_map(move |(_, event)| match event {
            Event::Run { run, what } if self.targets.get(run).is_some_and(|target| target == node) => {
                Some(what)
            }
            _ => None,
        })
    }

    /// What a run says to people.
    pub fn lines(&self, node: &str) -> Vec<String> {
        self.of(node).filter_map(RunEvent::said).collect()
    }

    pub fn ended(&self, node: &str) -> Option<(RunResult, String)> {
        self.of(node).find_map(|what| match what {
            RunEvent::Ended { result, reason } => Some((*result, reason.to_string())),
            _ => None,
        })
    }

    /// Within every window of every limit; and the state is the fold of its events, and survives being written down.
    pub fn judge(&self) {
        for credential in self.credentials.values() {
            let sent: Vec<(Timestamp, u32)> =
                self.events.iter().flat_map(|(at, event)| drawn(*at, event, credential)).collect();
            for limit in &credential.limits {
                for (nth, (first, _)) in sent.iter().enumerate() {
                    let within = sent[nth..].iter().take_while(|(at, _)| *at - *first < limit.per);
                    let (requests, most) = within
                        .fold((0, 0), |(sum, most), (_, requests)| (sum + requests, most.max(*requests)));
                    // What alone is more than a bucket holds goes when that is full.
                    let size = (limit.requests.get() / 2).max(1);
                    let allowed = limit.requests.get() + most.saturating_sub(size);
                    assert!(
                        requests <= allowed,
                        "{requests} within {} from {first} on, of {allowed}",
                        limit.per
                    );
                }
            }
        }
        assert!(self.state == self.shadow, "fold(events) is the state");
        let bytes = serde_json::to_vec(&self.state).expect("plain data");
        let read: State = serde_json::from_slice(&bytes).expect("what was written is read");
        assert!(read == self.state, "a snapshot is the state");
    }
}

/// Requests that went out by a credential.
fn drawn(at: Timestamp, event: &Event, of: &Credential) -> Option<(Timestamp, u32)> {
    use regreen_schemas::event::DiscoveryEvent;
    let draws = match event {
        Event::Run { what: RunEvent::Dispatched { draws, .. }, .. }
        | Event::Discovery { what: DiscoveryEvent::Asked { draws, .. }, .. } => draws,
        _ => return None,
    };
    draws.iter().find(|draw| draw.credential == of.name).map(|draw| (at, draw.requests))
}
