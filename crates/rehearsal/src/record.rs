//! Takes in what the decider wrote, in words.

use std::sync::Arc;

use regreen_decider::{
    State,
    evaluate::{Clause, Signal, evaluate},
};
use regreen_playbook::{
    Set,
    action::{ENDPOINT_SET, NOTIFY_SEND, Param, ParamKind},
    cases::Word,
    model::StepKind,
};
use regreen_schemas::{
    Fingerprint, Instance, PlaybookName, RunId,
    action::ParamType,
    alert::Status as Firing,
    command::{Kind, Task},
    event::{Event, Origin, RunEvent, Source, TellEvent},
    fact::TellKey,
    run::{Block, Outcome, Skip},
};
use serde_json::{Value, json};

use crate::{
    coverage::{Mark, follows},
    seen::{Acted, Decided, Ran, Seen, Told},
    words::yaml,
};

/// Whose tests these are.
pub(crate) struct Of<'a> {
    pub set: &'a Set,
    pub playbook: &'a PlaybookName,
}

impl Seen {
    /// Takes in an event; the state is the one after all that was decided with it.
    pub(crate) fn event(&mut self, of: &Of<'_>, event: &Event, state: &State) {
        match event {
            Event::AlertDecided { fingerprint, status, decisions, .. } => {
                let own = decisions.iter().find(|decision| decision.playbook == *of.playbook);
                let outcome = match own {
                    Some(decision) => decision.outcome.clone(),
                    None if from_outside(state, fingerprint) && *status == Firing::Firing => {
                        Outcome::Skipped(Skip::Unmatched)
                    }
                    None => return,
                };
                // What is over starts nothing: that is no decision to wait for.
                if *status == Firing::Firing || outcome != Outcome::Skipped(Skip::Resolved) {
                    self.decided(of, fingerprint, &outcome, state);
                }
            }
            Event::AlertReconsidered { fingerprint, decisions, .. } => {
                let own = decisions.iter().find(|decision| decision.playbook == *of.playbook);
                if let Some(decision) = own {
                    self.decided(of, fingerprint, &decision.outcome, state);
                }
            }
            Event::StartRefused { playbook, reason, .. } => self.refused(playbook, reason),
            Event::Run { run, what } => self.run_event(of, run, what),
            Event::Tell { key, what } => self.tell(key, what),
            Event::ServiceMoved { service, active, run } => {
                self.line(Some(run), &format!("{service} is served by {active}"));
            }
            other => {
                if let Some(text) = said(other) {
                    self.line(None, &text);
                }
            }
        }
    }

    fn decided(&mut self, of: &Of<'_>, fingerprint: &Fingerprint, outcome: &Outcome, state: &State) {
        let (word, detail) = in_words(outcome);
        let detail = self.clean(&detail);
        let pending = matches!(outcome, Outcome::Skipped(Skip::Pending { .. }));
        let playbook = of.playbook;
        match outcome {
            Outcome::Skipped(Skip::WhenFalse) => self.marks.mark(playbook, Mark::When(false)),
            Outcome::Skipped(Skip::Maintenance { .. }) => {
                self.marks.mark(playbook, Mark::Guard("maintenance".into()));
            }
            Outcome::Blocked(_) => {
                let guard = word.reason.as_deref().unwrap_or_default().to_owned();
                self.marks.mark(playbook, Mark::Guard(guard));
            }
            _ => {}
        }
        let again = self.newest.get(fingerprint) == Some(&word);
        self.newest.insert(fingerprint.clone(), word.clone());
        if again && matches!(outcome, Outcome::Blocked(_) | Outcome::Skipped(_)) {
            return;
        }
        self.line(None, &format!("decided: {detail}"));
        let clauses = clauses(of, fingerprint, outcome, state);
        self.decisions.push(Decided { at: self.at(), word, detail, clauses, pending });
    }

    /// A start by hand that came to nothing.
    fn refused(&mut self, playbook: &PlaybookName, reason: &str) {
        let first = reason.split([':', ' ']).next().unwrap_or_default();
        let outcome = match first {
            "when_false" | "when_unknown" | "maintenance" => "skipped",
            "target" | "lock" | "cooldown" | "budget" | "min_healthy" | "breaker" | "storm" | "stopped"
            | "suspect" | "no_server" | "full" => "blocked",
            _ => "refused",
        };
        match first {
            "when_false" => self.marks.mark(playbook, Mark::When(false)),
            guard if outcome != "refused" => self.marks.mark(playbook, Mark::Guard(guard.to_owned())),
            _ => {}
        }
        let reason = self.clean(reason);
        let detail = format!("{outcome}: {reason}");
        self.line(None, &format!("decided: {detail}"));
        let word = match outcome {
            "refused" => Word { outcome: outcome.into(), reason: None },
            _ => Word { outcome: outcome.into(), reason: Some(first.into()) },
        };
        let clauses = vec![Clause { text: "start by hand".to_owned(), saw: reason, passed: false }];
        self.decisions.push(Decided { at: self.at(), word, detail, clauses, pending: false });
    }

    fn run_event(&mut self, of: &Of<'_>, id: &RunId, what: &RunEvent) {
        self.marks.event(id, what);
        let text = match what {
            RunEvent::Started { playbook, target, origin, .. } => {
                self.ids.push(id.clone());
                let on = target.as_ref().map_or_else(String::new, |target| format!(" on {}", target.name()));
                let started = self.at();
                let stands = String::new();
                self.runs.push(Ran { playbook: playbook.as_str().into(), started, ended: None, stands });
                if matches!(origin, Origin::Manual { .. }) && playbook == of.playbook {
                    let word = Word { outcome: "started".into(), reason: None };
                    let detail = "started".to_owned();
                    self.decisions.push(Decided {
                        at: started,
                        word,
                        detail,
                        clauses: Vec::new(),
                        pending: false,
                    });
                }
                Some(format!("{playbook}{on} starts"))
            }
            RunEvent::Joined { .. } => Some("another start joins it".to_owned()),
            RunEvent::Dispatched { instance, attempt, task, .. } if task.kind == Kind::Perform => {
                let with = self.clean_value(with_subject(of, task));
                let nth = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                let text = format!("{instance}: {} {}{nth}", task.action, yaml(&with));
                let step = instance.as_str().into();
                self.actions.push(Acted { at: self.at(), step, action: task.action.clone(), with });
                Some(text)
            }
            RunEvent::StepFailed { then, .. } => what.said().map(|said| said + follows(*then)),
            RunEvent::StepSucceeded { result, .. } => {
                let shown = match result {
                    Value::Null => String::new(),
                    Value::Object(map) if map.is_empty() => String::new(),
                    result => format!(" {}", yaml(result)),
                };
                what.said().map(|said| said + &shown)
            }
            RunEvent::Ended { result, reason } => {
                let ended = Some((self.at(), *result, self.clean(reason)));
                if let Some(run) = self.run(id) {
                    run.ended = ended;
                }
                what.said()
            }
            other => other.said(),
        };
        if let Some(text) = text {
            self.line(Some(id), &text);
        }
    }

    fn tell(&mut self, key: &TellKey, what: &TellEvent) {
        match what {
            TellEvent::Queued { .. } | TellEvent::Renewed { .. } => {}
            TellEvent::Dispatched { attempt: 1, task, .. } => {
                let message = &task.params["message"];
                let text = message["text"].as_str().unwrap_or_default();
                let news = message["news"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let said: Vec<String> = std::iter::once(text)
                    .chain(news.filter(|news| *news != text))
                    .map(|text| self.clean(text))
                    .collect();
                let (at, to) = (self.at(), key.receiver.as_str());
                let next = self.told.len();
                let nth = *self.threads.entry(key.clone()).or_insert(next);
                // What a thread goes on with stands in the trace already.
                if nth == next {
                    self.line(None, &format!("tells {to}: {}", said.join("; ")));
                    self.told.push(Told { at, to: to.into(), texts: Vec::new() });
                }
                self.told[nth].texts.extend(said);
            }
            _ => {}
        }
    }

    /// What the decider did itself, when the newest of these events says that its step is done.
    pub(crate) fn done_inside(&mut self, of: &Of<'_>, events: &[Event]) {
        let [.., before, Event::Run { what: RunEvent::StepSucceeded { instance, .. }, .. }] = events else {
            return;
        };
        match before {
            Event::ServiceMoved { service, active, .. } => {
                self.inside(instance, ENDPOINT_SET, json!({"service": &**service, "active": &**active}));
            }
            Event::Tell { key, .. } if says(of, instance) => {
                let queued = events.iter().rev().find_map(|event| match event {
                    Event::Tell { key: other, what: TellEvent::Queued { text, .. } } if other == key => {
                        Some(text)
                    }
                    _ => None,
                });
                let text = self.clean(queued.map_or("", |text| text));
                self.inside(instance, NOTIFY_SEND, json!({"to": key.receiver.as_str(), "text": text}));
            }
            _ => {}
        }
    }

    fn inside(&mut self, instance: &Instance, action: &str, with: Value) {
        let (at, step) = (self.at(), instance.as_str().into());
        self.actions.push(Acted { at, step, action: action.into(), with });
    }
}

/// Whether a step of this path sends a message itself.
fn says(of: &Of<'_>, instance: &Instance) -> bool {
    let last = instance.as_str().rsplit('.').next().unwrap_or_default();
    let all = of.set.playbooks.values().flat_map(|playbook| playbook.all_steps());
    all.into_iter().any(|step| {
        *step.id == *last && matches!(&step.kind, StepKind::Use(used) if *used.action.name == *NOTIFY_SEND)
    })
}

/// Whether it came from outside: each of these is a start that something must be made of.
fn from_outside(state: &State, fingerprint: &Fingerprint) -> bool {
    let source = state.episodes.get(fingerprint).map(|episode| &episode.source);
    matches!(source, None | Some(Source::Alert | Source::Webhook(_)))
}

/// The parameters, with the object that it acts on by its name.
fn with_subject(of: &Of<'_>, task: &Task) -> Value {
    let mut with = Value::clone(&task.params);
    let (Some(name), Some(action)) = (&task.node, of.set.actions.get(&task.action)) else { return with };
    let inventory = &of.set.inventory;
    let fits = |param: &&Param| match param.kind {
        ParamKind::Is(ParamType::Node) => inventory.node(name).is_some(),
        ParamKind::Is(ParamType::Group) => inventory.group(name).is_some(),
        ParamKind::Service => inventory.service(name).is_some(),
        _ => false,
    };
    if let (Some(param), Some(map)) = (action.params.iter().find(fits), with.as_object_mut()) {
        map.insert(param.name.to_string(), name.as_ref().into());
    }
    with
}

/// What was looked at for a decision that starts nothing.
fn clauses(of: &Of<'_>, fingerprint: &Fingerprint, outcome: &Outcome, state: &State) -> Vec<Clause> {
    let playbook = of.set.playbooks.get(of.playbook);
    let (Some(episode), Some(playbook)) = (state.episodes.get(fingerprint), playbook) else {
        return Vec::new();
    };
    if !matches!(outcome, Outcome::Skipped(_) | Outcome::Blocked(_)) {
        return Vec::new();
    }
    let signal = Signal { alert: &episode.alert, source: &episode.source, opened: episode.opened };
    let evaluation = evaluate(state, of.set, playbook, signal);
    if in_words(&evaluation.outcome).0 == in_words(outcome).0 { evaluation.clauses } else { Vec::new() }
}

/// A decision as a test writes it, and with its whole reason.
fn in_words(outcome: &Outcome) -> (Word, String) {
    let word =
        |outcome: &str, reason: Option<&str>| Word { outcome: outcome.into(), reason: reason.map(Arc::from) };
    match outcome {
        Outcome::Started { .. } => (word("started", None), "started".to_owned()),
        Outcome::Joined { .. } => (word("joined", None), "joined".to_owned()),
        Outcome::Blocked(block) => (word("blocked", Some(block_word(block))), format!("blocked: {block}")),
        Outcome::Skipped(skip) => (word("skipped", Some(skip_word(skip))), format!("skipped: {skip}")),
    }
}

const fn block_word(block: &Block) -> &'static str {
    match block {
        Block::Target { .. } => "target",
        Block::Lock { .. } => "lock",
        Block::Cooldown { .. } => "cooldown",
        Block::Budget { .. } => "budget",
        Block::MinHealthy { .. } => "min_healthy",
        Block::Stopped { .. } => "stopped",
        Block::Suspect => "suspect",
        Block::NoServer { .. } | Block::OtherDeclaration { .. } => "no_server",
        Block::WhenUnknown { .. } => "quorum",
        Block::Breaker { .. } => "breaker",
        Block::Storm { .. } => "storm",
        Block::Maintenance => "maintenance",
        Block::Full { .. } => "full",
    }
}

const fn skip_word(skip: &Skip) -> &'static str {
    match skip {
        Skip::Unmatched | Skip::NoSet => "unmatched",
        Skip::WhenFalse => "when_false",
        Skip::WhenUnknown { .. } => "when_unknown",
        Skip::Resolved => "resolved",
        Skip::Handled { .. } => "handled",
        Skip::Pending { .. } => "pending",
        Skip::Correlation { .. } => "correlation",
        Skip::Maintenance { .. } => "maintenance",
        Skip::Gone => "gone",
    }
}

/// What else is worth a line.
fn said(event: &Event) -> Option<String> {
    Some(match event {
        Event::Stopped { by, .. } => format!("{by} pulls the stop switch"),
        Event::Resumed { by, .. } => format!("{by} releases the stop switch"),
        Event::OperatorRefused { by, wanted, reason } => format!("{by} may not {wanted}: {reason}"),
        Event::Correlated { playbook, key, trigger, .. } => {
            format!("{playbook} waits for more with {key}: {trigger} came")
        }
        Event::BreakerOpened { playbook, until } => {
            format!("the circuit breaker of {playbook} opens until {until}")
        }
        Event::BreakerClosed { playbook } => format!("the circuit breaker of {playbook} closes"),
        Event::Flapping { check, changes } => format!("{check} flaps: {changes} changes"),
        Event::Steady { check } => format!("{check} is steady again"),
        Event::DrillMeasured { result, took, .. } => {
            format!("measured: {} after {took}", result.word())
        }
        Event::ResultIgnored { instance, reason, .. } => format!("{instance}: a result is ignored: {reason}"),
        _ => return None,
    })
}
