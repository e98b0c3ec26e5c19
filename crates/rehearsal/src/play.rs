//! Plays a case: the clock jumps from one thing that happens to the next, and the decider of production decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regreen_decider::{Input, Library, Phase, State, TimerKey, decide, due};
use regreen_playbook::{
    Set,
    cases::{Case, What},
    model::Maintenance,
};
use regreen_schemas::{
    CheckName, Fingerprint, PlaybookName, RunId, Span, Timestamp,
    alert::{Alert, Labels, Status as Firing},
    check::Status,
    command::Task,
    event::{DiscoveryEvent, Event, RunEvent, TellEvent},
    fact::{Alerts, Engine, Failure, Item, Operator, Outcome, Serves, Verb},
    hash::h,
    id::Vantage,
    roster::{discovery_id, discovery_instance},
    run::{Outcome as Decided, Skip},
    ticket::Holder,
};

use crate::{
    answers::{Answers, Reply},
    people,
    probe::Probe,
    record::Of,
    seen::Seen,
    stage,
};

/// Most inputs of a case: what goes on longer never comes to rest.
const TURNS_MAX: usize = 100_000;
/// Longest virtual time that a case may go on after its timeline.
const LONGEST: Span = Span::minutes(40 * 24 * 60);
/// Process of every virtual runner.
const NONCE: &str = "n";

/// A domain on its virtual clock.
pub(crate) struct Play<'c> {
    pub set: Arc<Set>,
    library: Library,
    pub state: State,
    playbook: &'c PlaybookName,
    case: &'c Case,
    answers: Answers<'c>,
    now: Timestamp,
    facts: u64,
    /// Results on their way.
    results: BTreeMap<(Timestamp, u64), (String, Outcome, Option<Holder>)>,
    /// When each alert began to fire.
    firing: BTreeMap<Fingerprint, Timestamp>,
    /// Verdicts before the moment.
    verdicts: BTreeMap<CheckName, Status>,
    turns: usize,
    pub seen: Seen,
}

/// Plays a case to its end.
pub(crate) fn play(set: &Arc<Set>, playbook: &PlaybookName, case: &Case) -> Seen {
    let fact = stage::fact();
    let library = Library::new(BTreeMap::from([(fact.hash(), set.clone())]));
    let mut play = Play {
        set: set.clone(),
        library,
        state: State::default(),
        playbook,
        case,
        answers: Answers::new(&case.answers),
        now: case.start,
        facts: 0,
        results: BTreeMap::new(),
        firing: BTreeMap::new(),
        verdicts: BTreeMap::new(),
        turns: 0,
        seen: Seen::new(case.start),
    };
    let mut probe = Probe::new(set);
    play.begin(&fact, &mut probe);
    play.go(&mut probe);
    play.end()
}

impl Play<'_> {
    /// An engine takes over, the set comes in force, runners and vantages are there.
    fn begin(&mut self, set: &regreen_schemas::fact::Set, probe: &mut Probe) {
        self.state.now = self.now;
        let genesis = Event::Genesis { genesis: "test".into(), domain: "test".into() };
        self.input(&Input::Log(Box::new(genesis)), probe);
        let takeover = Event::Takeover { here: 1, until: self.now, suspect: None, streams: None };
        self.input(&Input::Log(Box::new(takeover)), probe);
        let here = Engine::Here { boot: NONCE.into(), wall: self.now };
        self.fact("engine", &Item::Engine(here), None, probe);
        self.fact("loader", &Item::Set(set.clone()), None, probe);
        let actions = stage::served(&self.set);
        for zone in stage::zones(&self.set) {
            let runner = runner_of(&zone);
            let serves =
                Serves { nonce: NONCE.into(), zone, actions: actions.clone(), credentials: BTreeMap::new() };
            self.fact(&runner, &Item::Serves(serves), None, probe);
        }
        let reports = probe.all(&self.state);
        self.reports(reports, probe);
        self.timers(probe);
        self.verdicts = self.all_verdicts();
        self.seen.lines.clear();
    }

    fn go(&mut self, probe: &mut Probe) {
        let timeline = &self.case.timeline;
        let mut order: Vec<usize> = (0..timeline.len()).collect();
        order.sort_by_key(|nth| timeline[*nth].at);
        let mut moments = order.into_iter().map(|nth| &timeline[nth]).peekable();
        let last = timeline.iter().map(|moment| moment.at).max().unwrap_or_default();
        let latest = self.case.start + last + LONGEST;
        while self.seen.problem.is_none() {
            let moment = moments.peek().map(|moment| self.case.start + moment.at);
            if moment.is_none() && self.rests() {
                return;
            }
            let result = self.results.keys().next().map(|(at, _)| *at);
            let look = probe.next(&self.state, self.now);
            let Some(at) = moment.into_iter().chain(result).chain(look).chain(self.timer()).min() else {
                return;
            };
            if at > latest || self.turns > TURNS_MAX {
                let lasted = self.now - self.case.start;
                self.seen.problem = Some(format!("it has not come to rest after {lasted}"));
                return;
            }
            self.turns += 1;
            self.until(at, probe);
            self.timers(probe);
            if moment == Some(at) {
                if let Some(moment) = moments.next() {
                    self.happens(&moment.what, probe);
                }
            } else if result == Some(at) {
                self.result(probe);
            } else if look.is_some_and(|look| look <= self.now) {
                let reports = probe.look(&self.state, self.now);
                self.reports(reports, probe);
            }
            self.timers(probe);
            self.verdict_lines();
        }
    }

    /// The clock goes on; vantages that would have fallen silent are there.
    fn until(&mut self, at: Timestamp, probe: &mut Probe) {
        self.now = self.now.max(at);
        self.seen.now = self.now;
        let reports = probe.heard(&self.state, self.now);
        self.reports(reports, probe);
    }

    /// The next deadline of the decider; silence of vantages aside, for they are never silent.
    fn timer(&self) -> Option<Timestamp> {
        let mut timers = self.state.timers.iter().filter(|(_, key)| !matches!(key, TimerKey::Vantage(_)));
        timers.next().map(|(at, _)| (*at).max(self.now))
    }

    fn timers(&mut self, probe: &mut Probe) {
        while self.seen.problem.is_none() && due(&self.state, self.now).is_some() {
            self.input(&Input::Timer, probe);
        }
    }

    /// Whether nothing is left that the case waits for: no run, no message, nothing that begins by itself.
    fn rests(&self) -> bool {
        let waits = |key: &TimerKey| {
            matches!(key, TimerKey::Run(_) | TimerKey::Tell(_) | TimerKey::Queue | TimerKey::Window(..))
        };
        let open = self.state.episodes.values().filter(|episode| episode.closed.is_none());
        let mut decisions =
            open.filter(|episode| episode.again_at.is_some()).flat_map(|episode| &episode.decisions);
        let begins = |decided: &Decided, playbook: &PlaybookName| match decided {
            Decided::Skipped(Skip::Pending { .. } | Skip::Correlation { .. }) => true,
            Decided::Skipped(Skip::Maintenance { .. }) => {
                let playbook = self.set.playbooks.get(playbook);
                playbook.is_some_and(|playbook| playbook.guard.maintenance == Maintenance::Wait)
            }
            _ => false,
        };
        self.results.is_empty()
            && self.state.runs.is_empty()
            && !self.state.armed.keys().any(waits)
            && !decisions.any(|decision| begins(&decision.outcome, &decision.playbook))
    }

    pub fn happens(&mut self, what: &What, probe: &mut Probe) {
        match what {
            What::Pass => {}
            What::Firing { labels, annotations } => self.alert(labels, annotations, Firing::Firing, probe),
            What::Resolved { labels, annotations } => {
                self.alert(labels, annotations, Firing::Resolved, probe);
            }
            What::Verdicts(verdicts) => {
                let reports = probe.change(verdicts, &self.state, self.now);
                self.reports(reports, probe);
                self.verdict_lines();
            }
            What::Event(event) => {
                self.seen.line(None, &format!("event {} at {}", event.kind, event.path));
                self.fact("ingest", &Item::Event(event.clone()), None, probe);
            }
            What::Stop => {
                let stopped =
                    Engine::Stopped { stop_no: self.state.stop_no, by: "operator".into(), seq: self.facts };
                self.fact("engine", &Item::Engine(stopped), None, probe);
            }
            person => match people::does(self, self.playbook, person) {
                Ok((by, operator)) => self.person(&by, operator, probe),
                Err(why) => self.seen.line(None, &why),
            },
        }
    }

    fn person(&mut self, by: &str, operator: Operator, probe: &mut Probe) {
        let source = if by.starts_with("slack:") { "slack" } else { by };
        self.fact(source, &Item::Operator(operator), None, probe);
    }

    fn alert(&mut self, labels: &Labels, annotations: &Labels, status: Firing, probe: &mut Probe) {
        let parts: Vec<&[u8]> =
            labels.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]).collect();
        let fingerprint = Fingerprint::from(&h(&parts)[..16]);
        let starts_at = *self.firing.entry(fingerprint.clone()).or_insert(self.now);
        let ends_at = (status == Firing::Resolved).then_some(self.now);
        if ends_at.is_some() {
            self.firing.remove(&fingerprint);
        }
        let verb = if ends_at.is_some() { "is over" } else { "fires" };
        self.seen.line(None, &format!("{} {verb}", alert_text(labels)));
        let (labels, annotations) = (labels.clone(), annotations.clone());
        let generator_url = "".into();
        let alert = Alert { status, fingerprint, labels, annotations, starts_at, ends_at, generator_url };
        self.fact("ingest", &Item::Alerts(Alerts { alerts: vec![alert], ..Alerts::default() }), None, probe);
    }

    fn result(&mut self, probe: &mut Probe) {
        let Some((_, (source, outcome, ticket))) = self.results.pop_first() else { return };
        self.fact(&source, &Item::Result(outcome), ticket.as_ref(), probe);
    }

    fn reports(&mut self, reports: Vec<(Vantage, regreen_schemas::fact::Looks)>, probe: &mut Probe) {
        for (vantage, looks) in reports {
            self.fact(vantage.as_str(), &Item::Looks(looks), None, probe);
        }
    }

    fn fact(&mut self, source: &str, item: &Item, ticket: Option<&Holder>, probe: &mut Probe) {
        self.facts += 1;
        let seq = self.facts;
        self.input(&Input::Fact { source, seq, item, ticket }, probe);
    }

    fn input(&mut self, input: &Input<'_>, probe: &mut Probe) {
        if self.seen.problem.is_some() {
            return;
        }
        self.turns += 1;
        self.state.seq += 1;
        let state = std::mem::take(&mut self.state);
        let events = match decide(state, &self.library, input, self.now) {
            Ok((state, events)) => {
                self.state = state;
                events
            }
            Err(illegal) => {
                self.seen.problem = Some(format!("a mistake of the decider, not of the test: {illegal}"));
                return;
            }
        };
        let nodes =
            events.iter().any(|event| matches!(event, Event::NodeAdded { .. } | Event::NodeRemoved { .. }));
        if let Some(set) = self.library.in_force(&self.state) {
            self.set = set;
        }
        let of = Of { set: &self.set.clone(), playbook: self.playbook };
        for (nth, event) in events.iter().enumerate() {
            self.seen.event(&of, event, &self.state);
            self.seen.done_inside(&of, &events[..=nth]);
        }
        events.iter().for_each(|event| self.react(event, probe));
        if nodes {
            let reports = probe.list(&self.set.clone(), &self.state);
            self.reports(reports, probe);
        }
    }

    /// What the world does about it.
    fn react(&mut self, event: &Event, probe: &mut Probe) {
        match event {
            Event::Run { what: RunEvent::VerifyBegan { watches, .. }, .. } => {
                watches.iter().for_each(|watch| probe.watch(&watch.check));
            }
            Event::Run { run, what: RunEvent::Dispatched { instance, attempt, task, .. } } => {
                self.dispatched(run, instance, *attempt, task);
            }
            Event::Run { run, what: RunEvent::Overdue { instance, attempt, .. } } => {
                // The virtual runner takes every ticket at once: the engine comes too late for it.
                let (run, instance, attempt) = (run.clone(), instance.clone(), *attempt);
                let started = Engine::Started { run, instance, attempt, nonce: NONCE.into() };
                self.fact("engine", &Item::Engine(started), None, probe);
            }
            Event::Tell { key, what: TellEvent::Dispatched { attempt, nth, .. } } => {
                let outcome = Outcome {
                    run: key.run.clone(),
                    instance: key.instance(*nth),
                    attempt: *attempt,
                    nonce: NONCE.into(),
                    outcome: Verb::Ok { result: serde_json::Value::Null },
                    timing: None,
                    rate: None,
                };
                self.answered("notifier".to_owned(), Span::ZERO, outcome, None);
            }
            // Nobody finds nodes in a test: what is there is what it says.
            Event::Discovery { group, what: DiscoveryEvent::Asked { attempt, .. } } => {
                let outcome = Outcome {
                    run: discovery_id(group),
                    instance: discovery_instance(group),
                    attempt: *attempt,
                    nonce: NONCE.into(),
                    outcome: Verb::Failed {
                        kind: Failure::Permanent,
                        reason: "a test finds no nodes".into(),
                        retry_after: None,
                    },
                    timing: None,
                    rate: None,
                };
                self.answered("runner".to_owned(), Span::ZERO, outcome, None);
            }
            _ => {}
        }
    }

    fn dispatched(&mut self, run: &RunId, instance: &regreen_schemas::Instance, attempt: u32, task: &Task) {
        let (after, verb) = match self.answers.reply(instance, task) {
            Reply::After(after, verb) => (after, verb),
            Reply::Nothing => return,
            Reply::Unsaid { nth } => {
                let at = self.now - self.case.start;
                self.seen.problem = Some(format!(
                    "attempt {nth} of step `{instance}` ({}) at {at} has no answer: add one to `answers: {{{instance}: [{}{{ok: {{}}}}]}}`",
                    task.action,
                    if nth > 1 { "…, " } else { "" },
                ));
                return;
            }
        };
        let runner = runner_of(&task.zone);
        let ticket =
            Holder { seq: self.facts, runner: runner.as_str().into(), nonce: NONCE.into(), pre_state: None };
        let (run, instance) = (run.clone(), instance.clone());
        let outcome =
            Outcome { run, instance, attempt, nonce: NONCE.into(), outcome: verb, timing: None, rate: None };
        self.answered(runner, after, outcome, Some(ticket));
    }

    fn answered(&mut self, source: String, after: Span, outcome: Outcome, ticket: Option<Holder>) {
        self.turns += 1;
        let key = (self.now + after, u64::try_from(self.turns).unwrap_or(u64::MAX));
        self.results.insert(key, (source, outcome, ticket));
    }

    fn all_verdicts(&self) -> BTreeMap<CheckName, Status> {
        self.state.verdicts.iter().map(|(check, (status, _))| (check.clone(), *status)).collect()
    }

    /// Verdicts that changed, in a line.
    fn verdict_lines(&mut self) {
        let now = self.all_verdicts();
        let known = |check: &CheckName| self.verdicts.get(check).copied().unwrap_or(Status::Unknown);
        let mut by: BTreeMap<Status, BTreeSet<&CheckName>> = BTreeMap::new();
        for (check, status) in now.iter().filter(|(check, status)| known(check) != **status) {
            by.entry(*status).or_default().insert(check);
        }
        let said: Vec<String> = by
            .iter()
            .map(|(status, checks)| {
                let checks: Vec<&str> = checks.iter().map(|check| check.as_str()).collect();
                format!("{}: {}", status.word(), checks.join(", "))
            })
            .collect();
        said.iter().for_each(|said| self.seen.line(None, said));
        self.verdicts = now;
    }

    fn end(mut self) -> Seen {
        self.seen.lasted = self.now - self.case.start;
        let stands: Vec<(RunId, String)> = self
            .state
            .runs
            .iter()
            .map(|(id, run)| {
                let at: Vec<&str> = run.stages().map(|(instance, _)| instance.as_str()).collect();
                let waits = if at.is_empty() { "waiting for its lock".to_owned() } else { at.join(", ") };
                (id.clone(), waits)
            })
            .collect();
        for (id, at) in stands {
            if let Some(run) = self.seen.run(&id) {
                run.stands = at;
            }
        }
        if self.seen.problem.is_none() && self.state.phase != Phase::Live {
            self.seen.problem = Some("the domain is not live".to_owned());
        }
        self.seen
    }
}

fn runner_of(zone: &regreen_schemas::Zone) -> String {
    format!("runner-{zone}")
}

fn alert_text(labels: &Labels) -> String {
    let rest = labels.iter().filter(|(name, _)| name.as_ref() != "alertname");
    let rest: Vec<String> = rest.map(|(name, value)| format!("{name}={value:?}")).collect();
    let name = labels.get("alertname").map_or("an alert", |name| name);
    if rest.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", rest.join(", ")) }
}
