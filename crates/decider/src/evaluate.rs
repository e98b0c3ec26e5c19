//! What a playbook makes of an alert, clause by clause. `decide` takes the outcome, `explain` shows the clauses:
//! the same code, so what is explained is what was decided.

use std::{collections::BTreeMap, sync::Arc};

use regreen_playbook::{
    Set,
    cel::{self, Stop},
    model::{Busy, Failback, Maintenance, On, Playbook, TargetKind, Trigger},
    template::plain,
    value::Value,
};
use regreen_schemas::{
    Fingerprint, RunId, Span, Timestamp,
    alert::{Alert, Status as Firing},
    check::Status,
    event::{Asks, Mode, Read, Source, Target},
    mutation::{self, Mutation},
    run::{Block, Outcome, Skip},
};

use crate::{
    bounds,
    cx::ask_default,
    env::World,
    episodes::Episode,
    guards::{self, At, Moment},
    state::{Phase, State},
    windows,
};

/// One clause and what it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// As written, or the guard's name.
    pub text: String,
    /// What it read.
    pub saw: String,
    /// Whether it let through.
    pub passed: bool,
}

/// A playbook's answer to an alert.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The outcome; `Started` carries the id that the run would get.
    pub outcome: Outcome,
    /// Every clause that was looked at, in order.
    pub clauses: Vec<Clause>,
    /// What was read.
    pub reads: Vec<Read>,
    /// A known end of a block.
    pub again_at: Option<Timestamp>,
    /// The target, as far as it was found.
    pub target: Option<Target>,
    /// Whether any trigger matched.
    pub matched: bool,
    /// Which one.
    pub trigger: Option<Arc<str>>,
    /// Who must say yes before the run's first effect.
    pub asks: Option<Asks>,
    /// The run would be the one that is tried after the breaker's rest.
    pub trial: bool,
    /// Whether the run may act.
    pub mode: Mode,
    /// The run's inputs.
    pub inputs: BTreeMap<Arc<str>, serde_json::Value>,
}

/// Something that playbooks may start on.
#[derive(Clone, Copy)]
pub struct Signal<'a> {
    /// The alert, or what is written like one.
    pub alert: &'a Alert,
    /// What it is.
    pub source: &'a Source,
    /// When its episode was opened.
    pub opened: Timestamp,
}

struct Evaluate<'a> {
    state: &'a State,
    set: &'a Set,
    playbook: &'a Playbook,
    clauses: Vec<Clause>,
    reads: Vec<Read>,
    again_at: Option<Timestamp>,
    target: Option<Target>,
    trigger: Option<&'a Trigger>,
    asks: Option<Asks>,
    trial: bool,
    mode: Mode,
    inputs: BTreeMap<Arc<str>, serde_json::Value>,
}

/// What starts a playbook for a signal.
enum Starts<'a> {
    /// One of its triggers.
    Trigger(&'a Trigger),
    /// Another playbook's `failback`.
    Failback(&'a Failback),
}

/// Judges one playbook for something that it may start on.
#[must_use]
pub fn evaluate(state: &State, set: &Set, playbook: &Playbook, signal: Signal<'_>) -> Evaluation {
    let mut evaluate = Evaluate::new(state, set, playbook);
    let starts = evaluate.starts(signal);
    let matched = starts.is_some();
    let outcome = match starts {
        None => Outcome::Skipped(Skip::Unmatched),
        Some(starts) => evaluate.signal(signal, &starts),
    };
    evaluate.end(outcome, matched)
}

/// Judges one playbook for a start by hand.
#[must_use]
pub fn evaluate_manual(
    state: &State,
    set: &Set,
    playbook: &Playbook,
    target: Option<&str>,
    inputs: &BTreeMap<Arc<str>, serde_json::Value>,
) -> Evaluation {
    let mut evaluate = Evaluate::new(state, set, playbook);
    evaluate.inputs = inputs.clone();
    let found = evaluate.find_target(target.map(str::to_owned));
    let outcome = match found {
        Err(wanted) => Outcome::Blocked(Block::Target { wanted: wanted.into() }),
        Ok(target) => {
            evaluate.target = target;
            evaluate.wants(None)
        }
    };
    evaluate.end(outcome, true)
}

impl<'a> Evaluate<'a> {
    fn new(state: &'a State, set: &'a Set, playbook: &'a Playbook) -> Self {
        Self {
            state,
            set,
            playbook,
            clauses: Vec::new(),
            reads: Vec::new(),
            again_at: None,
            target: None,
            trigger: None,
            asks: None,
            trial: false,
            mode: playbook.started_mode(),
            inputs: BTreeMap::new(),
        }
    }

    fn end(self, outcome: Outcome, matched: bool) -> Evaluation {
        let Self { clauses, mut reads, again_at, target, trigger, asks, trial, mode, inputs, .. } = self;
        let mode = mode.min(self.set.ceilings.mode);
        reads.sort();
        reads.dedup();
        let trigger = trigger.map(|trigger| trigger.id.clone());
        Evaluation { outcome, clauses, reads, again_at, target, matched, trigger, asks, trial, mode, inputs }
    }

    fn note(&mut self, text: impl Into<String>, saw: impl Into<String>, passed: bool) {
        self.clauses.push(Clause { text: text.into(), saw: saw.into(), passed });
    }

    /// What starts it: the first trigger that matches; the clauses of the others say why not.
    fn starts(&mut self, signal: Signal<'_>) -> Option<Starts<'a>> {
        if let Source::Failback { playbook, by, .. } = signal.source {
            let caller = self.set.playbooks.get(playbook)?;
            let failback = caller.failback.as_ref()?;
            // Without triggers the mode is its caller's.
            self.mode = self.playbook.called_mode(caller.started_mode());
            return (*by == self.playbook.name && failback.run == *by).then_some(Starts::Failback(failback));
        }
        let playbook = self.playbook;
        playbook.triggers.iter().find(|trigger| self.matches(trigger, signal)).map(Starts::Trigger)
    }

    fn matches(&mut self, trigger: &Trigger, signal: Signal<'_>) -> bool {
        let Signal { alert, source, .. } = signal;
        match (&trigger.on, source) {
            (On::Alert { matchers, resolved }, Source::Alert) => {
                let mut all = *resolved == (alert.status == Firing::Resolved);
                for matcher in matchers {
                    let passed = matcher.matches(&alert.labels);
                    let value = alert.labels.get(matcher.label.as_str()).map_or("", |value| value);
                    self.note(matcher.text.clone(), format!("{}={value:?}", matcher.label), passed);
                    all &= passed;
                }
                all
            }
            (On::Verdict { check, is }, Source::Verdict { check: found, is: word }) => {
                let passed = covers(check, found.as_str()) && is.word() == &**word;
                self.note(format!("verdict {check} is {}", is.word()), found.as_str(), passed);
                passed
            }
            (On::Webhook { path, secret }, Source::Webhook(event)) => {
                let passed = *path == event.path && *secret == event.secret;
                self.note(format!("webhook {path}"), format!("{} {}", event.path, event.kind), passed);
                passed
            }
            (On::Schedule(schedule), Source::Schedule { playbook, trigger: due }) => {
                let passed = *playbook == self.playbook.name && *due == trigger.id;
                if passed {
                    self.note(format!("schedule {}", schedule.text), "due", true);
                }
                passed
            }
            (On::Run { playbook, result }, Source::Run { playbook: ended, result: how, .. }) => {
                let passed = playbook == ended && result.is_none_or(|result| result == *how);
                self.note(format!("run of {playbook}"), format!("{ended} {}", how.word()), passed);
                passed
            }
            _ => false,
        }
    }

    fn signal(&mut self, signal: Signal<'_>, starts: &Starts<'a>) -> Outcome {
        let Signal { alert, source, .. } = signal;
        if let Some(handled) = self.handled(&alert.fingerprint) {
            self.note("once an episode", "a run has dealt with this", false);
            return Outcome::Skipped(handled);
        }
        let found = match starts {
            Starts::Trigger(trigger) => {
                self.trigger = Some(trigger);
                self.triggered(trigger, signal)
            }
            Starts::Failback(_) => match source {
                Source::Failback { target, .. } => Ok(target.clone()),
                _ => Ok(None),
            },
        };
        match found {
            Err(wanted) => return Outcome::Blocked(Block::Target { wanted: wanted.into() }),
            Ok(target) => self.target = target,
        }
        if let Some(run) = self.open_run(&alert.fingerprint) {
            self.note("one run a target", format!("run {run} is open"), true);
            return Outcome::Joined { run };
        }
        let lasts = match starts {
            Starts::Trigger(trigger) => self.lasts(trigger, signal),
            Starts::Failback(failback) => self.goes_back(failback, source),
        };
        if let Some(skip) = lasts.or_else(|| self.correlated(signal)) {
            return Outcome::Skipped(skip);
        }
        self.wants(Some(signal))
    }

    /// The target and the inputs that a trigger gives.
    fn triggered(&mut self, trigger: &Trigger, signal: Signal<'_>) -> Result<Option<Target>, String> {
        let world = World {
            alert: Some(signal.alert),
            source: signal.source,
            ..World::before(self.state, self.set, self.playbook)
        };
        let given = trigger.inputs.iter().map(|(name, template)| {
            let value = template.render(&world, plain)?;
            let named = value.name().map(|name| serde_json::Value::from(name.as_ref()));
            Ok::<_, String>((name.clone(), named.unwrap_or_else(|| value.to_json())))
        });
        let given: BTreeMap<_, _> = given.collect::<Result<_, _>>()?;
        let name = trigger.target.as_ref().map(|template| template.render(&world, plain)).transpose()?;
        let name = name.map(|value| value.name().map_or_else(|| value.to_string(), ToString::to_string));
        self.inputs = crate::env::inputs(self.state, self.set, self.playbook, &given)?;
        match (signal.source, name) {
            (Source::Run { target, .. }, None) if self.playbook.target != TargetKind::None => {
                Ok(target.clone())
            }
            (_, name) => self.find_target(name),
        }
    }

    /// Why it has not lasted long enough; none: it has.
    fn lasts(&mut self, trigger: &Trigger, signal: Signal<'_>) -> Option<Skip> {
        let since = match (&trigger.on, signal.source) {
            (On::Verdict { is, .. }, Source::Verdict { check, .. }) => {
                self.reads.push(Read::Verdict(check.clone()));
                let now = self.state.verdicts.get(check);
                let Some((_, since)) = now.filter(|(status, _)| is.holds(*status)) else {
                    self.note(format!("{check} is {}", is.word()), "not any more", false);
                    return Some(Skip::WhenFalse);
                };
                *since
            }
            _ => signal.opened,
        };
        // What happened while nobody listened is not known.
        let since = since.max(self.state.listening);
        let until = since + trigger.hold;
        if trigger.hold == Span::ZERO || self.state.now >= until {
            return None;
        }
        self.note(format!("for {}", trigger.hold), format!("{} so far", self.state.now - since), false);
        self.again_at = Some(until);
        Some(Skip::Pending { until })
    }

    /// Why a repair is not taken back yet; none: all has been well for long enough.
    fn goes_back(&mut self, failback: &Failback, source: &Source) -> Option<Skip> {
        // It was written beside the repair: that playbook's constants and quorum it reads.
        let of = match source {
            Source::Failback { playbook, .. } => self.set.playbooks.get(playbook),
            _ => None,
        };
        let before = World::before(self.state, self.set, of.unwrap_or(self.playbook));
        let (found, saw, reads) = judge(&failback.when, &World { target: self.target.as_ref(), ..before });
        let changed = |read: &Read| match read {
            Read::Verdict(check) => self.state.verdicts.get(check).map(|(_, since)| *since),
            _ => None,
        };
        let since = reads.iter().filter_map(changed).max().unwrap_or(self.state.now);
        let since = since.max(self.state.listening);
        self.reads.extend(reads);
        self.note(format!("failback when: {}", failback.when.text), saw, found == Ok(true));
        self.asks = failback.approval.as_ref().map(|asks| Asks { by: asks.by.clone(), within: asks.within });
        let until = since + failback.hold;
        match found {
            Ok(true) if self.state.now >= until => None,
            Ok(true) => {
                self.again_at = Some(until);
                Some(Skip::Pending { until })
            }
            Ok(false) => Some(Skip::WhenFalse),
            Err(because) => Some(Skip::WhenUnknown { because: because.into() }),
        }
    }

    /// What else must have come; none: it has, or nothing else must.
    fn correlated(&mut self, signal: Signal<'_>) -> Option<Skip> {
        let correlate = self.playbook.correlate.as_ref()?;
        let key = windows::key(correlate, signal.alert);
        let window = self.state.windows.get(&(self.playbook.name.clone(), key.clone()));
        let found = windows::met(correlate, window, self.state.now);
        self.note(format!("correlate by {key}"), found.saw.clone(), found.met);
        if found.met {
            return None;
        }
        self.again_at = found.until;
        Some(Skip::Correlation { saw: found.saw.into() })
    }

    fn handled(&self, fingerprint: &Fingerprint) -> Option<Skip> {
        if mutation::is(Mutation::ForgetHandled) {
            return None;
        }
        let episode: &Episode = self.state.episodes.get(fingerprint)?;
        let (run, result, _) = episode.handled.get(&self.playbook.name)?;
        Some(Skip::Handled { run: run.clone(), result: *result })
    }

    fn find_target(&mut self, name: Option<String>) -> Result<Option<Target>, String> {
        let inventory = &self.set.inventory;
        let found = match (self.playbook.target, &name) {
            (TargetKind::None, _) => return Ok(None),
            (_, None) => return Err("none was given".into()),
            (TargetKind::Node, Some(name)) => inventory.node(name),
            (TargetKind::Group, Some(name)) => inventory.group(name),
            (TargetKind::Service, Some(name)) => inventory.service(name),
        };
        let name = name.unwrap_or_default();
        let passed = found.is_some();
        self.note(
            "target",
            if passed { name.clone() } else { format!("`{name}` is not in the inventory") },
            passed,
        );
        self.reads.push(Read::Domain);
        found.map(Some).ok_or_else(|| format!("`{name}` is not in the inventory"))
    }

    fn open_run(&self, fingerprint: &Fingerprint) -> Option<RunId> {
        // The episode's own run first: a playbook without target may have many open ones.
        let own =
            self.state.episodes.get(fingerprint).and_then(|episode| episode.running.get(&self.playbook.name));
        if let Some(own) = own.filter(|_| !mutation::is(Mutation::ForgetHandled)) {
            return Some(own.clone());
        }
        self.target.as_ref()?;
        self.state.open.get(&(self.playbook.name.clone(), self.target.clone())).cloned()
    }

    /// Stop, `when`, maintenance, servers, lock, guards: in this order, the first that forbids is the reason.
    fn wants(&mut self, signal: Option<Signal<'_>>) -> Outcome {
        let state = self.state;
        self.reads.push(Read::Domain);
        if self.target.as_ref().is_some_and(|target| self.set.inventory.is_gone(target)) {
            self.note("target", "a run took it away", false);
            return Outcome::Skipped(Skip::Gone);
        }
        if state.stopped.is_some() && !mutation::is(Mutation::IgnoreStop) {
            self.note("stop switch", "it is on", false);
            return Outcome::Blocked(Block::Stopped { stop_no: state.stop_no });
        }
        if matches!(state.phase, Phase::Suspect | Phase::Frozen) {
            self.note("suspect", "an operator must look first", false);
            return Outcome::Blocked(Block::Suspect);
        }
        let max = u32::try_from(bounds::RUNS_MAX).unwrap_or(u32::MAX);
        if state.runs.len() >= bounds::RUNS_MAX {
            self.again_at = Some(state.now + bounds::RECONSIDER);
            return Outcome::Blocked(Block::Full { max });
        }
        let target = self.target.clone();
        let (state, set, playbook) = (self.state, self.set, self.playbook);
        let inputs = self.inputs.clone();
        let mut world = World::before(state, set, playbook);
        (world.target, world.inputs) = (target.as_ref(), Some(&inputs));
        if let Some(signal) = signal {
            (world.alert, world.source) = (Some(signal.alert), signal.source);
        }
        match self.when(&world) {
            Ok(true) => {}
            Ok(false) => return Outcome::Skipped(Skip::WhenFalse),
            Err(because) => return Outcome::Skipped(Skip::WhenUnknown { because: because.into() }),
        }
        let (on, moment) = (None, Moment::Begins);
        let at = At { set, playbook, target: target.as_ref(), on, world: &world, moment };
        if let Some(skip) = self.maintained(&at) {
            return Outcome::Skipped(skip);
        }
        self.reads.push(Read::Servers);
        if let Some(block) = state.unserved(set, playbook, target.as_ref()) {
            self.note("a runner serves every action", block.to_string(), false);
            return Outcome::Blocked(block);
        }
        let asked = self.asked();
        self.asks = self.asks.take().or(asked);
        let started = Outcome::Started { run: state.next_id() };
        let locks = guards::locks(set, playbook, target.as_ref());
        if let Some((held, holder)) = state.locks_holder(&locks) {
            let queue = playbook.guard.busy != Busy::Skip;
            self.note(format!("lock {}", locks.join(", ")), format!("{held} is held by run {holder}"), queue);
            self.reads.push(Read::Lock(held.clone()));
            // A queued run is judged when it gets its lock.
            return if queue {
                started
            } else {
                Outcome::Blocked(Block::Lock { lock: held.clone(), holder: holder.clone() })
            };
        }
        if !locks.is_empty() {
            self.note(format!("lock {}", locks.join(", ")), "free", true);
        }
        self.guards(&at).map_or(started, Outcome::Blocked)
    }

    /// Who must say yes before the first effect.
    fn asked(&mut self) -> Option<Asks> {
        let open =
            self.state.breakers.get(&self.playbook.name).is_some_and(|breaker| breaker.until.is_some());
        self.trial = open && self.playbook.guard.breaker.is_some();
        let by = self.playbook.guard.approval.as_ref();
        let by = by.map(|approval| Asks { by: approval.by.clone(), within: approval.within });
        let mode = self.mode.min(self.set.ceilings.mode);
        by.or_else(|| (self.trial || mode == Mode::Approve).then(ask_default))
    }

    fn maintained(&mut self, at: &At<'_>) -> Option<Skip> {
        let target = at.target?;
        let silences = self.state.silences(at.set, target).cloned().map(Read::Verdict);
        self.reads.extend(silences);
        let until = self.state.maintenance(at)?;
        let saw = until.map_or_else(|| "silenced".to_owned(), |until| format!("until {until}"));
        self.note("maintenance", saw, false);
        if self.playbook.guard.maintenance == Maintenance::Wait {
            self.again_at = until;
        }
        Some(Skip::Maintenance { until })
    }

    fn guards(&mut self, at: &At<'_>) -> Option<Block> {
        let said = self.state.guards(at, &mut self.reads);
        let mut first = None;
        for said in said {
            self.note(said.guard, said.saw, said.block.is_none());
            if first.is_none() && said.block.is_some() {
                first = said.block;
                self.again_at = said.until;
            }
        }
        first
    }

    /// `when`, with the verdicts that it read.
    fn when(&mut self, world: &World<'_>) -> Result<bool, String> {
        let Some(when) = &self.playbook.when else { return Ok(true) };
        let (found, saw, reads) = judge(when, world);
        self.reads.extend(reads);
        self.note(format!("when: {}", when.text), saw, found == Ok(true));
        found
    }
}

/// Whether a check is the one that is named, or one of its members.
pub(crate) fn covers(pattern: &str, check: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == check, |prefix| check.starts_with(prefix))
}

/// Evaluates a condition: true, false, or why neither; what it saw; and the verdicts that it read.
pub(crate) fn judge(expr: &cel::Expr, world: &World<'_>) -> (Result<bool, String>, String, Vec<Read>) {
    let recorder = Recorder { world, reads: std::cell::RefCell::default() };
    let mut trace = cel::Trace::new();
    let value = cel::eval(expr, &recorder, &mut trace);
    let mut saw: Vec<String> =
        trace.into_iter().map(|(range, value)| format!("{} → {value}", &expr.text[range])).collect();
    saw.dedup();
    let found = match value {
        Ok(Value::Bool(found)) => Ok(found),
        Ok(_) => Err("neither true nor false".to_owned()),
        Err(stop @ (Stop::Unknown(_) | Stop::Failed { .. })) => Err(stop.because()),
    };
    if let Err(because) = &found {
        saw.push(because.clone());
    }
    (found, saw.join("; "), recorder.reads.into_inner())
}

/// Notes which verdicts an expression reads.
struct Recorder<'w, 'a> {
    world: &'w World<'a>,
    reads: std::cell::RefCell<Vec<Read>>,
}

impl cel::Env for Recorder<'_, '_> {
    fn root(&self, name: &str) -> Option<Value> {
        self.world.root(name)
    }
    fn verdict(&self, check: &str) -> Status {
        self.reads.borrow_mut().push(Read::Verdict(check.into()));
        self.world.verdict(check)
    }
    fn group(&self, name: &str) -> Option<Value> {
        self.world.group(name)
    }
}
