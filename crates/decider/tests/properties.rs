//! Ten thousand random histories through the decider: facts, duplicates, reorderings, lost and late answers, time,
//! takeovers, stops. After each step an independent model checks the invariants of docs/reliability.md that it can
//! see. Then each invariant is shown to be able to fail: a decider with one mistake must be caught.
//!
//! `REGREEN_SEED=n` starts at another seed, `REGREEN_CASES=n` runs more; a failure prints its seed.

#![expect(
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test tells its seeds, and a model is one match"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use regreen_decider::{Input, Library, Phase, Progress, Stage, State, TimerKey, decide, due};
use regreen_playbook::{diagnostic::Source, load};
use regreen_schemas::{
    CheckName, Fingerprint, Instance, RunId, Span, Timestamp,
    action::Effect,
    alert::{Alert, Status as Firing},
    check::{Look, Status},
    command::{Kind, Task},
    event::{AfterUnknown, DiscoveryEvent, Event, RunEvent},
    fact::{
        Alerts, Answer, Engine, Failure, Item, Looks, NotCalled, Operator, Outcome, Serves, Set, SetFile,
        Verb,
    },
    id::Nonce,
    mutation::{self, Mutation},
    rate::{Credential, Limit, Told},
    record::Cause,
    roster::{By, Roster, discovery_id, discovery_instance},
    ticket::Holder,
};

const SET: &str = r#"apiVersion: regreen/v1
inventory: lab
groups:
  web: {health: web, storm: 100%, nodes: {a1: {}, a2: {}, a3: {}}}
  db: {provider: lab, discover: {tag: db}, nodes: {d1: {id: '1'}}}
---
apiVersion: regreen/v1
actions:
  lab.inventory.list: {description: d, effect: read, destructive: false, with: {tag: {type: text}}, result: {nodes: json}}
  lab.node.make: {description: d, effect: reconcilable, destructive: false, with: {group: {type: group}}, result: {node: node}, adds: node}
  lab.node.drop: {description: d, effect: idempotent, destructive: false, with: {node: {type: node}}, removes: node}
---
apiVersion: regreen/v1
checks:
  web: {kind: tcp, each: node, in: [web], with: {address: "h:1"}, vantages: [main, far], quorum: 2}
  db: {kind: tcp, each: node, in: [db], with: {address: "h:1"}, vantages: [main, far], quorum: 2}
---
apiVersion: regreen/v1
policy: lab
receivers: {oncall: {log: {}}}
approvers: {sre: [amy, "slack:U1"], default: sre}
---
apiVersion: regreen/v1
playbook: once
mode: auto
target: node
triggers: [{alert: ['alertname="Once"', 'node!=""'], target: "{{ alert.labels.node }}"}]
when: down("web/" + target.name)
guard: {lock: {scope: group}, cooldown: 10m, budget: [{max: 2, per: 1h}], min_healthy: {at_least: 1}}
steps:
  - {id: hit, use: http.request, with: {node: "{{ target }}", url: "http://x/", method: POST}}
verify: [{check: "web/{{ target.name }}", for: 2s, within: 1m}]
escalate: [{to: oncall}]
---
apiVersion: regreen/v1
playbook: looked-up
mode: auto
target: node
triggers: [{alert: ['alertname="Looked"', 'node!=""'], target: "{{ alert.labels.node }}"}, {manual: {}}]
when: down("web/" + target.name)
guard: {cooldown: 5m, budget: [{max: 3, per: 30m, scope: domain}], min_healthy: {at_least: 1}}
on_resolved: continue
deadline: 20m
steps:
  - {id: first, use: http.request, with: {node: "{{ target }}", url: "http://x/", method: POST, observe: {url: "http://x/", done: "status == 200"}}}
  - {id: pause, if: steps.first.ok, wait: 5s}
  - {id: again, use: http.request, with: {node: "{{ target }}", url: "http://x/", method: PUT}, attempts: 3, on_failure: continue}
  - {id: seen, verify: {check: "web/{{ target.name }}", for: 1s, within: 20s}, on_failure: continue}
verify: [{check: "web/{{ target.name }}", for: 2s, within: 1m}]
escalate: [{to: oncall, after: 1m}]
---
apiVersion: regreen/v1
playbook: asked
mode: approve
target: node
triggers: [{alert: ['alertname="Asked"', 'node!=""'], target: "{{ alert.labels.node }}"}]
when: down("web/" + target.name)
guard: {cooldown: 5m, budget: [{max: 9, per: 1h}], min_healthy: {at_least: 1}, approval: {within: 3m}}
steps:
  - {id: hit, use: http.request, with: {node: "{{ target }}", url: "http://x/", method: PUT}}
  - {id: sure, approve: {by: sre, within: 1m, text: "and {{ target.name }}?"}}
verify: [{check: "web/{{ target.name }}", for: 2s, within: 1m}]
notify: [oncall]
escalate: [{to: oncall}]
---
apiVersion: regreen/v1
playbook: grow
mode: auto
target: node
triggers: [{alert: ['alertname="Grow"', 'node!=""'], target: "{{ alert.labels.node }}"}]
guard: {cooldown: 5m}
steps:
  - {id: make, use: lab.node.make, with: {group: db}, on_failure: continue}
  - {id: drop, if: steps.make.ok, use: lab.node.drop, with: {node: "{{ steps.make.result.node }}"}, on_failure: continue}
  - {id: old, use: lab.node.drop, with: {node: d1}, on_failure: continue}
"#;

/// What the model knows of an open attempt, from dispatches alone.
#[derive(Clone, Debug)]
struct Open {
    run: RunId,
    instance: Instance,
    number: u32,
    task: Task,
    /// Who won its ticket.
    holder: Option<Holder>,
    revoked: bool,
}

struct Case {
    rng: SmallRng,
    state: State,
    shadow: State,
    library: Library,
    now: Timestamp,
    facts: u64,
    record: u64,
    n: BTreeMap<&'static str, u64>,
    open: Vec<Open>,
    /// Attempts that may be repeated: closed for sure.
    closed: BTreeSet<(RunId, Instance, u32)>,
    statuses: BTreeMap<(&'static str, CheckName), Status>,
    synced: BTreeSet<&'static str>,
    heard: BTreeMap<&'static str, Timestamp>,
    /// Fresh looks of each vantage since the record that took in the run's last result.
    fresh: BTreeMap<RunId, BTreeMap<&'static str, Status>>,
    runs: BTreeMap<RunId, Model>,
    /// Approvals that were given by somebody who may, to the plan that was shown, in time.
    approved: BTreeSet<(RunId, Instance)>,
    ended: BTreeMap<(String, String), Timestamp>,
    spent: BTreeMap<String, Vec<Timestamp>>,
    acted: BTreeSet<(Fingerprint, String)>,
    alerts: u64,
    decided: u64,
    stopped: bool,
    caught_up: bool,
    suspect: bool,
    /// Nodes of `db` that the provider's last good answer had, and that the newest answer has.
    listed: (usize, usize),
}

#[derive(Clone, Debug)]
struct Model {
    playbook: String,
    node: String,
    locked: bool,
    effects: u32,
    fingerprint: Option<Fingerprint>,
    result_seq: u64,
}

const VANTAGES: [&str; 2] = ["main", "far"];
const NODES: [&str; 3] = ["a1", "a2", "a3"];
/// What the provider may list, by name and id: also another one under the name of a file's, and two of one name.
const LISTS: [&[(&str, &str)]; 6] = [
    &[("d1", "1")],
    &[("d1", "1"), ("m1", "11")],
    &[("d1", "1"), ("m1", "11"), ("m2", "12"), ("m3", "13")],
    &[("d1", "9"), ("m1", "12")],
    &[("m1", "11"), ("m1", "12")],
    &[("a1", "14")],
];

fn library() -> (Library, Set) {
    let (set, findings) = load(vec![Source { path: "lab".into(), text: SET.into() }]);
    let set = set.unwrap_or_else(|| panic!("{}", findings.render(false)));
    let fact = Set { files: vec![SetFile { path: "lab".into(), hash: "x".into() }] };
    (Library::new(BTreeMap::from([(fact.hash(), Arc::new(set))])), fact)
}

impl Case {
    fn new(seed: u64, library: &Library, set: &Set) -> Self {
        let mut case = Self {
            rng: SmallRng::seed_from_u64(seed),
            state: State::default(),
            shadow: State::default(),
            library: library.clone(),
            now: Timestamp(1_000_000),
            facts: 0,
            record: 0,
            n: BTreeMap::new(),
            open: Vec::new(),
            closed: BTreeSet::new(),
            statuses: BTreeMap::new(),
            synced: BTreeSet::new(),
            heard: BTreeMap::new(),
            fresh: BTreeMap::new(),
            runs: BTreeMap::new(),
            approved: BTreeSet::new(),
            ended: BTreeMap::new(),
            spent: BTreeMap::new(),
            acted: BTreeSet::new(),
            alerts: 0,
            decided: 0,
            stopped: false,
            caught_up: false,
            suspect: false,
            listed: (1, 1),
        };
        case.log(Event::Genesis { genesis: "g".into(), domain: "default".into() });
        case.takeover(false);
        case.fact("loader", Item::Set(set.clone()), None);
        let known = case.library.sets.values().flat_map(|set| set.actions.values());
        let actions = known.map(|action| (action.name.clone(), action.declared.clone())).collect();
        let limits = vec![Limit { requests: NonZeroU32::MIN.saturating_add(19), per: Span::seconds(30) }];
        let key = Credential { name: "lab/key".into(), limits };
        let credentials = BTreeMap::from([("lab".into(), key)]);
        case.fact(
            "r1",
            Item::Serves(Serves { nonce: Nonce::from("n1"), zone: "main".into(), actions, credentials }),
            None,
        );
        for vantage in VANTAGES {
            case.look_all(vantage);
        }
        case
    }

    fn takeover(&mut self, suspect: bool) {
        let suspect_event =
            suspect.then_some(regreen_schemas::event::Suspicion::Silent { silence: Span::minutes(20) });
        let here = self.facts + 1;
        self.caught_up = false;
        self.suspect |= suspect;
        // Looks of before are not proof of anything any more for verifies under way.
        self.fresh.clear();
        for heard in self.heard.values_mut() {
            *heard = *heard + (self.now - self.state.now);
        }
        // Written at the old engine's `now`, as the shell does: the time between is our absence.
        let until = std::mem::replace(&mut self.now, self.state.now);
        self.log(Event::Takeover { here, until, suspect: suspect_event, streams: None });
        self.now = until;
    }

    fn here(&mut self) {
        let wall = self.now;
        self.fact("e1", Item::Engine(Engine::Here { boot: Nonce::from("b"), wall }), None);
    }

    fn log(&mut self, event: Event) {
        self.input(&Input::Log(Box::new(event)), &Cause::Log);
    }

    fn fact(&mut self, source: &str, item: Item, ticket: Option<&Holder>) {
        self.facts += 1;
        let seq = self.facts;
        let cause = Cause::Fact { seq, item: 0, last: true, ticket: ticket.cloned() };
        self.timers();
        self.input(&Input::Fact { source, seq, item: &item, ticket }, &cause);
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

    fn input(&mut self, input: &Input<'_>, cause: &Cause) {
        self.record += 1;
        self.state.seq = self.record;
        self.shadow.seq = self.record;
        let (mut state, events) = decide(self.state.clone(), &self.library, input, self.now)
            .expect("the decider contradicts itself");
        self.shadow.now = self.shadow.now.max(self.now);
        for event in &events {
            self.check(event);
            self.shadow.apply(event).expect("a committed event never fails to apply");
        }
        state.close_item(cause);
        self.shadow.close_item(cause);
        assert!(state.cursor >= self.state.cursor, "the cursor grows");
        self.state = state;
    }

    // The independent model: it knows events and what was fed in, never the decider's state.

    fn verdict(&self, node: &str) -> Status {
        let check = CheckName::from(format!("web/{node}"));
        let said: Vec<Status> = VANTAGES
            .iter()
            .filter(|vantage| self.synced.contains(*vantage))
            .filter_map(|vantage| self.statuses.get(&(*vantage, check.clone())).copied())
            .collect();
        match said.as_slice() {
            [a, b] if a == b => *a,
            _ => Status::Unknown,
        }
    }

    fn check(&mut self, event: &Event) {
        match event {
            Event::AlertDecided { .. } => self.decided += 1,
            Event::CaughtUp => self.caught_up = true,
            Event::EpisodeOpened { alert, .. } => {
                self.acted.retain(|(fingerprint, _)| *fingerprint != alert.fingerprint);
            }
            Event::SuspectCleared { .. } => self.suspect = false,
            Event::Stopped { .. } => self.stopped = true,
            Event::Resumed { .. } => self.stopped = false,
            Event::VantageSilent { vantage } | Event::ResyncAsked { vantage, .. } => {
                self.synced.retain(|known| *known != vantage.as_str());
                for fresh in self.fresh.values_mut() {
                    fresh.retain(|known, _| *known != vantage.as_str());
                }
            }
            Event::NodeAdded { group, .. } => assert_eq!(&**group, "db"),
            Event::NodeRemoved { node, by: By::Discovery, .. } => {
                let (known, newest) = self.listed;
                assert!(
                    newest > 0 && newest * 2 >= known,
                    "{node:?} left by an answer of {newest} of {known}"
                );
            }
            Event::Discovery { what: DiscoveryEvent::Found { .. }, .. } => {
                let (known, newest) = self.listed;
                assert!(newest > 0 && newest * 2 >= known, "an answer of {newest} of {known} was believed");
            }
            Event::Run { run, what } => self.check_run(run, what),
            _ => {}
        }
    }

    fn check_run(&mut self, id: &RunId, what: &RunEvent) {
        if let RunEvent::Started { playbook, target, origin, .. } = what {
            let node = target.as_ref().expect("all playbooks have a target").name().to_string();
            let fingerprint = match origin {
                regreen_schemas::event::Origin::Alert { fingerprint } => Some(fingerprint.clone()),
                regreen_schemas::event::Origin::Manual { .. } => None,
            };
            let model = Model {
                playbook: playbook.to_string(),
                node,
                locked: false,
                effects: 0,
                fingerprint,
                result_seq: 0,
            };
            assert!(self.runs.insert(id.clone(), model).is_none(), "an id is given once");
            return;
        }
        let run = self.runs.get(id).expect("only open runs have events").clone();
        match what {
            RunEvent::LockTaken { .. } => {
                let wide = |model: &Model| model.playbook == "once";
                let clash = self
                    .runs
                    .values()
                    .find(|other| other.locked && (wide(other) || wide(&run) || other.node == run.node));
                assert!(clash.is_none(), "lock: {run:?} and {clash:?}");
                self.change(id, |run| run.locked = true);
                let seq = self.record;
                self.change(id, |run| run.result_seq = seq);
                self.fresh.insert(id.clone(), BTreeMap::new());
            }
            RunEvent::Dispatched { instance, attempt, task, .. } => {
                self.check_dispatch(id, &run, instance, *attempt, task);
            }
            RunEvent::Revoked { instance, attempt, .. } => {
                // Only a won revoke, or the holder's own word, says that nothing began.
                let open = self.open.iter().find(|o| {
                    o.run == *id
                        && o.instance == *instance
                        && o.number == *attempt
                        && o.task.kind == Kind::Perform
                });
                let looks = self.open.iter().any(|o| o.run == *id && matches!(o.task.kind, Kind::Observe(_)));
                assert!(
                    looks || open.is_none_or(|o| o.revoked),
                    "revoked without winning the ticket: {open:?}"
                );
                if !looks {
                    self.close(id, instance, *attempt);
                }
            }
            RunEvent::AttemptFailed { instance, attempt, .. } => self.close(id, instance, *attempt),
            RunEvent::AttemptUnknown { instance, attempt, next, .. } => {
                self.result(id);
                if matches!(next, AfterUnknown::Retry { .. }) {
                    self.close(id, instance, *attempt);
                }
            }
            RunEvent::Observed { instance, attempt, look, answer, again_at } => {
                self.result(id);
                if *look == 2 && *answer == Answer::NotDone && again_at.is_some() {
                    self.close(id, instance, *attempt);
                }
            }
            RunEvent::Settled { instance, attempt, done: false, .. } => self.close(id, instance, *attempt),
            RunEvent::StepSucceeded { .. } => self.result(id),
            RunEvent::Approved { instance, .. } => {
                assert!(self.approved.contains(&(id.clone(), instance.clone())), "nobody said yes");
                self.result(id);
            }
            RunEvent::VerifyHeld { .. } => {
                let fresh = self.fresh.get(id).cloned().unwrap_or_default();
                let up = VANTAGES.iter().all(|vantage| fresh.get(vantage) == Some(&Status::Up));
                assert!(up, "held without a quorum of fresh looks after the result: {fresh:?}");
            }
            RunEvent::Ended { .. } => {
                let model = self.runs.remove(id).expect("open");
                self.open.retain(|open| open.run != *id);
                if model.effects > 0 {
                    self.ended.insert((model.playbook.clone(), model.node.clone()), self.now);
                    if let Some(fingerprint) = model.fingerprint
                        && self
                            .state
                            .episodes
                            .get(&fingerprint)
                            .is_some_and(|episode| episode.closed.is_none())
                    {
                        assert!(
                            self.acted.insert((fingerprint, model.playbook)),
                            "two runs with effects for one episode"
                        );
                    }
                }
            }
            _ => {}
        }
    }

    fn change(&mut self, id: &RunId, change: impl FnOnce(&mut Model)) {
        change(self.runs.get_mut(id).expect("open"));
    }

    /// A result was taken in: looks from before it prove nothing.
    fn result(&mut self, id: &RunId) {
        let seq = self.record;
        self.change(id, |run| run.result_seq = seq);
        self.fresh.insert(id.clone(), BTreeMap::new());
    }

    fn close(&mut self, id: &RunId, instance: &Instance, number: u32) {
        self.closed.insert((id.clone(), instance.clone(), number));
        self.result(id);
    }

    fn check_dispatch(&mut self, id: &RunId, run: &Model, instance: &Instance, number: u32, task: &Task) {
        assert!(self.caught_up && !self.suspect, "dispatched while catching up or suspect");
        assert!(!self.stopped, "dispatched while stopped");
        assert!(run.locked, "dispatched without lock");
        self.open.retain(|open| open.run != *id);
        self.open.push(Open {
            run: id.clone(),
            instance: instance.clone(),
            number,
            task: task.clone(),
            holder: None,
            revoked: false,
        });
        if task.kind != Kind::Perform {
            return;
        }
        let asks = run.playbook == "asked";
        let yes = (id.clone(), Instance::from("guard"));
        assert!(!asks || self.approved.contains(&yes), "nobody said yes");
        if number > 1 {
            let before = (id.clone(), instance.clone(), number - 1);
            assert!(self.closed.contains(&before), "attempt {number} while {} may still act", number - 1);
        } else if run.effects == 0 {
            let down = self.verdict(&run.node) == Status::Down;
            assert!(down || run.playbook == "grow", "`when` does not hold");
            let cooldown = if run.playbook == "once" { Span::minutes(10) } else { Span::minutes(5) };
            if let Some(ended) = self.ended.get(&(run.playbook.clone(), run.node.clone())) {
                assert!(self.now - *ended >= cooldown, "within the cooldown");
            }
        }
        if run.playbook == "grow" {
            // It destroys nothing, and has no guard.
            return self.change(id, |run| run.effects += 1);
        }
        let healthy =
            NODES.iter().filter(|node| **node != run.node && self.verdict(node) == Status::Up).count();
        assert!(healthy >= 1, "below min_healthy");
        let (key, max, per) = match run.playbook.as_str() {
            "once" => ("once", 2, Span::minutes(60)),
            "asked" => ("asked", 9, Span::minutes(60)),
            _ => ("domain", 3, Span::minutes(30)),
        };
        let now = self.now;
        let spent = self.spent.entry(key.into()).or_default().iter().filter(|at| now - **at < per).count();
        assert!(spent < max, "budget {key} overspent");
        for key in BTreeSet::from([run.playbook.as_str(), "domain"]) {
            self.spent.entry(key.into()).or_default().push(now);
        }
        self.change(id, |run| run.effects += 1);
        self.open.last_mut().expect("just pushed").task.effect = task.effect;
    }

    fn invariants(&self) {
        for (key, tell) in &self.state.tells {
            let open = |fp: &Fingerprint| self.state.episodes.get(fp).is_some_and(|e| e.closed.is_none());
            let ends = self.state.runs.contains_key(&key.run) || tell.about.iter().any(open);
            assert!(!tell.said || ends, "nothing will ever end the thread {key:?}: {tell:?}");
        }
        assert_eq!(self.alerts, self.decided, "every stored alert has exactly one decision");
        let set = self.library.in_force(&self.state).expect("it is in force");
        let members = |group: &str| set.inventory.groups[group].nodes.keys().cloned().collect::<Vec<_>>();
        assert_eq!(members("web"), NODES.map(Arc::from));
        let gone =
            |roster: &Roster| roster.groups.get("db").is_some_and(|known| known.gone.contains_key("d1"));
        let stays = members("db").contains(&"d1".into());
        assert!(stays || gone(&self.state.roster), "only a run takes a file's node away");
        for node in members("db") {
            assert!(set.checks.contains_key(format!("db/{node}").as_str()), "nobody looks at {node}");
        }
        for (id, run) in &self.state.runs {
            let waits_for_a_fact = run.stages().any(|(_, stage)| matches!(stage, Stage::Revoking(..)));
            let at = self.state.armed.get(&TimerKey::Run(id.clone()));
            assert!(at.is_none_or(|at| at.0 < i64::MAX), "run {id} waits for ever: {:?}", run.acts);
            assert!(
                waits_for_a_fact || self.state.armed.contains_key(&TimerKey::Run(id.clone())),
                "run {id} has neither deadline nor question: {:?}",
                run.acts
            );
        }
    }

    // What happens.

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..=15 => self.alert(),
            16..=17 => self.list(),
            18..=35 => self.look(),
            36..=39 => self.approve(),
            40..=49 => self.wait(),
            50..=74 => self.answer(),
            75..=79 => self.revoke(),
            80..=82 => self.toggle_stop(),
            83 => {
                let away = Span(self.rng.random_range(0..1_200_000));
                self.now = self.now + away;
                let suspect = self.rng.random_bool(0.2);
                self.takeover(suspect);
            }
            84..=86 => {
                if !self.caught_up {
                    self.here();
                }
                if self.suspect && self.rng.random_bool(0.7) {
                    self.fact("amy", Item::Operator(Operator::ResumeSuspect), None);
                }
            }
            87..=88 => self.settle(),
            89..=90 => {
                let target = Some((*NODES.choose(&mut self.rng).expect("some")).into());
                let start = Operator::Start { playbook: "looked-up".into(), target, inputs: BTreeMap::new() };
                self.fact("amy", Item::Operator(start), None);
            }
            91..=93 => {
                let vantage = *VANTAGES.choose(&mut self.rng).expect("some");
                self.look_all(vantage);
            }
            _ => {
                self.now = self.now + Span(self.rng.random_range(0..3000));
                for vantage in VANTAGES {
                    self.look_all(vantage);
                }
            }
        }
        self.timers();
        self.invariants();
    }

    fn alert(&mut self) {
        let node = *NODES.choose(&mut self.rng).expect("some");
        let name = *["Once", "Looked", "Asked"].choose(&mut self.rng).expect("some");
        let name = if self.rng.random_bool(0.1) { "Grow" } else { name };
        let resolved = self.rng.random_bool(0.25);
        let early = Span(self.rng.random_range(0..60_000));
        let alert = Alert {
            status: if resolved { Firing::Resolved } else { Firing::Firing },
            fingerprint: Fingerprint::from(format!("{name}-{node}")),
            labels: BTreeMap::from([("alertname".into(), name.into()), ("node".into(), node.into())]),
            annotations: BTreeMap::new(),
            starts_at: Timestamp(self.now.0 - early.0),
            ends_at: resolved.then_some(self.now),
            generator_url: "".into(),
        };
        for _ in 0..self.rng.random_range(1..3) {
            if resolved {
                self.acted.retain(|(fingerprint, _)| *fingerprint != alert.fingerprint);
            }
            self.alerts += 1;
            self.fact("am", Item::Alerts(Alerts { alerts: vec![alert.clone()], ..Alerts::default() }), None);
        }
    }

    fn looks(&mut self, vantage: &'static str, changes: Vec<(&'static str, Status, u64)>, all: bool) {
        // What is due comes before the looks, for the model as for the decider.
        self.timers();
        let n = self.n.entry(vantage).or_default();
        *n += 1;
        let version = self.state.set.as_ref().map_or(0, |(_, seq)| *seq);
        let looks = Looks {
            boot: Nonce::from("p"),
            n: *n,
            set_version: version,
            sighted: true,
            all,
            digest: None,
            changes: changes
                .iter()
                .map(|(node, status, tick)| Look {
                    wavers: false,
                    check: CheckName::from(format!("web/{node}")),
                    status: *status,
                    reason: "".into(),
                    tick: *tick,
                })
                .collect(),
        };
        if all {
            self.synced.insert(vantage);
            self.heard.insert(vantage, self.now);
        }
        for (node, status, tick) in changes {
            self.statuses.insert((vantage, CheckName::from(format!("web/{node}"))), status);
            for (id, run) in &self.runs {
                if run.node == node && run.locked && tick >= run.result_seq {
                    self.fresh.entry(id.clone()).or_default().insert(vantage, status);
                }
            }
        }
        self.fact(vantage, Item::Looks(looks), None);
    }

    fn look_all(&mut self, vantage: &'static str) {
        let tick = self.record;
        let changes = NODES
            .iter()
            .map(|node| {
                (
                    *node,
                    self.statuses
                        .get(&(vantage, CheckName::from(format!("web/{node}"))))
                        .copied()
                        .unwrap_or(Status::Up),
                    tick,
                )
            })
            .collect();
        self.looks(vantage, changes, true);
    }

    fn look(&mut self) {
        let node = *NODES.choose(&mut self.rng).expect("some");
        let status = *[Status::Up, Status::Up, Status::Down, Status::Down, Status::Down, Status::Unknown]
            .choose(&mut self.rng)
            .expect("some");
        // Often both agree; sometimes a look is old.
        let both = self.rng.random_bool(0.8);
        for vantage in VANTAGES {
            let tick = if self.rng.random_bool(0.4) {
                self.record.saturating_sub(self.rng.random_range(0..50))
            } else {
                self.record
            };
            self.looks(vantage, vec![(node, status, tick)], false);
            if !both {
                break;
            }
        }
    }

    fn wait(&mut self) {
        let steps = [500, 2000, 10_000, 31_000, 120_000, 700_000];
        self.now = self.now + Span(*steps.choose(&mut self.rng).expect("some"));
    }

    fn holder(runner: &str, nonce: &str, seq: u64) -> Holder {
        Holder { seq, runner: runner.into(), nonce: nonce.into(), pre_state: None }
    }

    /// A runner takes the ticket and answers, or only takes it, or somebody else speaks.
    fn answer(&mut self) {
        let Some(at) = (!self.open.is_empty()).then(|| self.rng.random_range(0..self.open.len())) else {
            return;
        };
        let open = self.open[at].clone();
        let seq = self.facts;
        if let Kind::Observe(look) = open.task.kind {
            if self.rng.random_bool(0.15) {
                let lost = Verb::Failed { kind: Failure::Transient, reason: "503".into(), retry_after: None };
                return self.say(&open, "r1", "n1", lost, None);
            }
            let answer = match self.rng.random_range(0..4) {
                0 => Answer::CannotTell { state: "odd".into() },
                1 => Answer::Done { result: self.result_of(&open.task) },
                _ => Answer::NotDone,
            };
            return self.say(&open, "r1", "n1", Verb::Observed { look, answer }, None);
        }
        if open.revoked {
            // The engine won: whatever a runner says now has no ticket behind it.
            return self.say(&open, "r1", "n1", Verb::Ok { result: serde_json::Value::Null }, None);
        }
        let holder = open.holder.clone().unwrap_or_else(|| Self::holder("r1", "n1", seq));
        self.open[at].holder = Some(holder.clone());
        let verb = match self.rng.random_range(0..10) {
            0..=3 => Verb::Ok { result: self.result_of(&open.task) },
            4 => Verb::Failed { kind: Failure::Transient, reason: "busy".into(), retry_after: None },
            5 => Verb::Failed { kind: Failure::Permanent, reason: "no".into(), retry_after: None },
            6..=7 => Verb::Unknown { reason: "silence".into() },
            8 => {
                return self.say(
                    &open,
                    "r2",
                    "n2",
                    Verb::Ok { result: serde_json::Value::Null },
                    Some(&holder),
                );
            }
            _ => {
                self.open[at].revoked = true;
                Verb::NotCalled { reason: NotCalled::Late, detail: "late".into() }
            }
        };
        self.say(&open, "r1", "n1", verb, Some(&holder));
    }

    /// What a runner gives: a node where one is made, now and then one that is none, or another's.
    fn result_of(&mut self, task: &Task) -> serde_json::Value {
        if &*task.action != "lab.node.make" {
            return serde_json::json!({"status": 200});
        }
        let (name, id) = *LISTS.choose(&mut self.rng).expect("some").last().expect("some");
        match self.rng.random_range(0..6) {
            0 => serde_json::Value::Null,
            1 => serde_json::json!({"node": {"name": "No Name", "id": id}}),
            _ => serde_json::json!({"node": {"name": name, "id": id, "address": "h"}}),
        }
    }

    /// The provider lists what it has: all, a part, nothing, or what contradicts; perhaps too late.
    fn list(&mut self) {
        self.timers();
        let Some(discovery) = self.state.discoveries.get("db").filter(|discovery| discovery.out) else {
            return;
        };
        let (attempt, known) = (discovery.attempt, discovery.listed.as_ref().map_or(1, BTreeMap::len));
        let list = *LISTS.choose(&mut self.rng).expect("some");
        let list = if self.rng.random_bool(0.2) { &[] } else { list };
        self.listed = (known, list.len());
        let nodes: Vec<_> = list
            .iter()
            .map(|(name, id)| serde_json::json!({"name": name, "id": id, "address": "h"}))
            .collect();
        let outcome = match self.rng.random_range(0..8) {
            0 => Verb::Failed { kind: Failure::Transient, reason: "503".into(), retry_after: None },
            1 => Verb::Unknown { reason: "silence".into() },
            2 => Verb::NotCalled { reason: NotCalled::Busy, detail: "busy".into() },
            _ => Verb::Ok { result: serde_json::json!({"nodes": nodes}) },
        };
        let (run, instance) = (discovery_id("db"), discovery_instance("db"));
        let attempt = if self.rng.random_bool(0.1) { attempt.wrapping_sub(1) } else { attempt };
        let pause = self.rng.random_bool(0.2).then_some(Span::seconds(20));
        let rate = Some(Told { credential: "lab/key".into(), spent: 3, remaining: Some(5), pause });
        let outcome = Outcome { run, instance, attempt, nonce: "n1".into(), outcome, timing: None, rate };
        self.fact("r1", Item::Result(outcome), None);
    }

    fn say(&mut self, open: &Open, runner: &str, nonce: &str, outcome: Verb, ticket: Option<&Holder>) {
        self.timers();
        let before = self.state.runs.get(&open.run).map(|run| run.acts.clone());
        let outcome = Outcome {
            run: open.run.clone(),
            instance: open.instance.clone(),
            attempt: open.number,
            nonce: nonce.into(),
            outcome,
            timing: None,
            rate: None,
        };
        let entitled = ticket.is_some_and(|ticket| ticket.runner.as_str() == runner)
            || open.task.kind != Kind::Perform
            || open.task.effect == Effect::Read;
        // The fact that ends catching up releases held runs: then stages move for another reason.
        let succeeded = matches!(outcome.outcome, Verb::Ok { .. }) && self.caught_up;
        self.fact(runner, Item::Result(outcome), ticket);
        if !entitled && succeeded {
            let after = self.state.runs.get(&open.run).map(|run| run.acts.clone());
            assert_eq!(before, after, "a result from hands that do not hold the ticket was taken");
        }
    }

    /// The engine's revoke for an attempt that is overdue: won, or lost to a runner.
    fn revoke(&mut self) {
        let overdue: Vec<usize> = (0..self.open.len())
            .filter(|at| {
                self.state
                    .runs
                    .get(&self.open[*at].run)
                    .is_some_and(|run| run.stages().any(|(_, stage)| matches!(stage, Stage::Revoking(..))))
            })
            .collect();
        let Some(at) = overdue.choose(&mut self.rng).copied() else { return };
        let open = self.open[at].clone();
        let (run, instance, attempt) = (open.run, open.instance, open.number);
        let item = if open.holder.is_none() && self.rng.random_bool(0.5) {
            self.open[at].revoked = true;
            Engine::Revoked { run, instance, attempt }
        } else {
            self.open[at].holder.get_or_insert_with(|| Self::holder("r1", "n1", 1));
            Engine::Started { run, instance, attempt, nonce: "n1".into() }
        };
        self.fact("e1", Item::Engine(item), None);
    }

    fn toggle_stop(&mut self) {
        let stop_no = self.state.stop_no;
        if self.stopped {
            self.fact("amy", Item::Operator(Operator::Resume { stop_no }), None);
        } else {
            self.fact("e1", Item::Engine(Engine::Stopped { stop_no, by: "amy".into(), seq: 1 }), None);
        }
    }

    /// Somebody answers what is asked: who may, or a stranger; to the plan that was shown, or to another.
    fn approve(&mut self) {
        let asked = self.state.runs.values().find_map(|run| run.approvals().next().cloned());
        let Some(ask) = asked else { return };
        let (run, instance) = (ask.run.clone(), ask.instance.clone());
        let stranger = self.rng.random_bool(0.2);
        let other = self.rng.random_bool(0.1);
        let (source, user) = *[("amy", None), ("slack", Some("U1"))].choose(&mut self.rng).expect("some");
        let (source, user) = match (stranger, user) {
            (false, user) => (source, user),
            (true, None) => ("bob", Some("U1")),
            (true, Some(_)) => (source, Some("U2")),
        };
        let user = user.map(Arc::from);
        let plan_hash: Arc<str> = if other { "x".into() } else { ask.plan_hash.clone() };
        self.timers();
        if self.rng.random_bool(0.15) {
            let reason = "".into();
            let deny = Operator::Deny { run, instance, plan_hash, reason, user };
            return self.fact(source, Item::Operator(deny), None);
        }
        if !stranger && !other && self.now < ask.until {
            self.approved.insert((run.clone(), instance.clone()));
        }
        self.fact(source, Item::Operator(Operator::Approve { run, instance, plan_hash, user }), None);
    }

    fn settle(&mut self) {
        let asked = self.state.runs.iter().find_map(|(id, run)| {
            run.in_doubt().next().map(|attempt| (id.clone(), attempt.instance.clone(), attempt.number))
        });
        let Some((run, instance, attempt)) = asked else { return };
        let done = self.rng.random_bool(0.5);
        self.fact("amy", Item::Operator(Operator::Settle { run, instance, attempt, done }), None);
    }
}

/// One history; returns how much of the state machine it went through.
fn run(seed: u64, library: &Library, set: &Set) -> BTreeSet<&'static str> {
    let mut case = Case::new(seed, library, set);
    case.here();
    let mut seen = BTreeSet::new();
    for _ in 0..80 {
        case.step();
        let members = case.state.roster.groups.values();
        for by in members.clone().flat_map(|members| members.nodes.values()).map(|member| &member.by) {
            seen.insert(if matches!(by, By::Discovery) { "found" } else { "made" });
        }
        if members.clone().any(|members| !members.gone.is_empty()) {
            seen.insert("gone");
        }
        if !case.state.contradicted.is_empty() {
            seen.insert("contradicted");
        }
        for run in case.state.runs.values() {
            if run.progress == Progress::Queued {
                seen.insert("queued");
            }
            if run.acts.is_empty() && run.held.is_some() {
                seen.insert("ready");
            }
            if !run.paced.is_empty() {
                seen.insert("paced");
            }
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
    let (state, shadow) = (&case.state, &case.shadow);
    assert_eq!(state, shadow, "fold(events) is the state");
    assert!(state.phase != Phase::Frozen);
    seen
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs histories until one fails; the seed of the failure and its words.
fn first_failure(first: u64, cases: u64, seen: &mut BTreeSet<&'static str>) -> Option<(u64, String)> {
    let (library, set) = library();
    (first..first + cases).find_map(|seed| {
        match catch_unwind(AssertUnwindSafe(|| run(seed, &library, &set))) {
            Ok(stages) => {
                seen.extend(stages);
                None
            }
            Err(panic) => {
                let text = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Some((seed, text.unwrap_or_default()))
            }
        }
    })
}

#[test]
fn ten_thousand_histories_keep_the_invariants() {
    let (first, cases) = (number("REGREEN_SEED", 1), number("REGREEN_CASES", 10_000));
    println!("seeds {first} to {}", first + cases - 1);
    let mut seen = BTreeSet::new();
    if let Some((seed, why)) = first_failure(first, cases, &mut seen) {
        panic!(
            "seed {seed}: {why}\nagain: REGREEN_SEED={seed} REGREEN_CASES=1 cargo test -p regreen-decider --test properties"
        );
    }
    let wanted = [
        "queued",
        "ready",
        "paced",
        "dispatched",
        "revoking",
        "running",
        "again",
        "looking",
        "asking",
        "waiting",
        "approving",
        "verifying",
        "found",
        "made",
        "gone",
        "contradicted",
    ];
    let missing: Vec<_> = wanted.into_iter().filter(|stage| !seen.contains(stage)).collect();
    assert!(missing.is_empty(), "the histories never reach {missing:?}");
}

#[test]
fn each_mistake_is_caught() {
    use Mutation as M;
    let mistakes = [
        M::DispatchWhileCatchingUp,
        M::RepeatBlindly,
        M::IgnoreLock,
        M::IgnoreCooldown,
        M::IgnoreBudget,
        M::IgnoreMinHealthy,
        M::StaleLooks,
        M::DecideTwice,
        M::IgnoreStop,
        M::UnknownIsDown,
        M::ForgetHandled,
        M::AnyHands,
        M::NoDeadline,
        M::AnybodyApproves,
        M::AnyPlan,
    ];
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for mistake in mistakes {
        mutation::set([mistake]);
        match first_failure(1, 10_000, &mut BTreeSet::new()) {
            Some((seed, why)) => {
                println!("{mistake:?}: seed {seed}: {}", why.lines().next().unwrap_or_default());
            }
            None => missed.push(mistake),
        }
    }
    mutation::set([]);
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
