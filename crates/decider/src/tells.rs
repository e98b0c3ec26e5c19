//! Telling people: escalations of runs and of blocked alerts. A message is a command with a ticket like any other,
//! of class *tell*: it goes out while the stop switch is on, and twice is better than never.

use std::sync::Arc;

use regreen_playbook::set::Receiver;
use regreen_schemas::{
    Fingerprint, Instance, PlaybookName, RunId, Span, Zone,
    action::{Effect, TellVerb, telling},
    command::{Kind, Task},
    event::{Event, Mode, RunEvent, TellEvent},
    fact::{Alerts, Outcome, TellKey, Verb, episode_id},
    hash::h,
    id::ReceiverName,
    message::{Ask, Message, Telling, Tone},
    run::RunResult,
};

use crate::{advance::backoff, bounds, decide::Decider, env::World, run::Run, state::Illegal, thread};

/// Numbers of messages that ask begin here.
const ASKS: u32 = 1 << 24;
/// Numbers of what steps say begin here.
const SAYS: u32 = 1 << 16;
/// Numbers of the threads that follow a run begin here.
const FOLLOWS: u32 = 1 << 20;

/// Who asks for a message.
#[derive(Clone, Copy, Default)]
struct Asked<'a> {
    /// The playbook; none where the system speaks of itself.
    playbook: Option<&'a PlaybookName>,
    /// Open episodes that it is about: with the last of them it is over, and that is told too.
    about: &'a [Fingerprint],
    /// The thread stays open though no episode closes it.
    keeps: bool,
}

impl Decider<'_> {
    fn tell(&mut self, key: &TellKey, what: TellEvent) -> Result<(), Illegal> {
        self.emit(Event::Tell { key: key.clone(), what })
    }

    fn queue(
        &mut self,
        key: TellKey,
        after: Span,
        message: Message,
        asked: Asked<'_>,
    ) -> Result<(), Illegal> {
        let queued = TellEvent::Queued {
            at: self.s.now + after,
            text: message.text.clone(),
            playbook: asked.playbook.cloned(),
            fingerprint: asked.about.first().cloned(),
            about: asked.about.get(1..).unwrap_or_default().to_vec(),
            message: Some(Box::new(message)),
            keeps: asked.keeps || !asked.about.is_empty(),
        };
        self.tell(&key, queued)?;
        if after == Span::ZERO { self.say_now(&key) } else { Ok(()) }
    }

    /// The first try at once, where nothing stands against it.
    fn say_now(&mut self, key: &TellKey) -> Result<(), Illegal> {
        let catching_up = matches!(self.s.phase, crate::state::Phase::CatchingUp { .. });
        let due = self.s.tells.get(key).is_some_and(|tell| !tell.said && !tell.out && tell.due <= self.s.now);
        if due && !catching_up { self.tell_due(key) } else { Ok(()) }
    }

    /// The next message of a thread, where there is one.
    fn renew(&mut self, key: &TellKey, message: Message, verb: TellVerb) -> Result<(), Illegal> {
        if !self.s.tells.contains_key(key) {
            return Ok(());
        }
        self.tell(key, TellEvent::Renewed { message: Box::new(message), verb })?;
        self.say_now(key)
    }

    /// What all messages about a run, or about its alert, have in common.
    fn thread_of(&self, run: &Run) -> RunId {
        let episode = run.episodes.iter().next();
        let opened = episode.and_then(|fp| Some((fp, self.s.episodes.get(fp)?.opened)));
        opened.map_or_else(|| run.id.clone(), |(fp, opened)| episode_id(fp, opened))
    }

    /// A run failed, is unknown or blocked: its `escalate`, once an episode.
    pub(crate) fn escalate(&mut self, run: &Run, result: RunResult, reason: &str) -> Result<(), Illegal> {
        let Some(set) = self.pinned(run) else { return Ok(()) };
        let Some(playbook) = set.playbooks.get(&run.playbook) else { return Ok(()) };
        let told = |fp: &Fingerprint| {
            self.s.episodes.get(fp).is_some_and(|episode| episode.told.contains(&run.playbook))
        };
        if run.episodes.iter().any(told) {
            return Ok(());
        }
        let title = title(run);
        let open =
            |fp: &&Fingerprint| self.s.episodes.get(*fp).is_some_and(|episode| episode.closed.is_none());
        let about: Vec<Fingerprint> = run.episodes.iter().filter(open).cloned().collect();
        let reason = cut(reason, bounds::NEWS_BYTES_MAX);
        let default = format!("{title}: {} — {reason} (run {})", result.word(), run.id);
        let thread = format!("{}/{}/{}", self.s.domain, run.playbook, self.thread_of(run));
        for (n, escalate) in (0..).zip(&playbook.escalate) {
            let text = escalate.text.as_ref().map_or_else(
                || default.clone(),
                |text| format!("{} [{default}]", text.text(&World::of(&self.s, &set, run))),
            );
            let key = TellKey { run: run.id.clone(), receiver: ReceiverName::new(escalate.to.clone()), n };
            let message = Message {
                run: Some(run.id.clone()),
                ..thread::plain(
                    thread.as_str().into(),
                    title.as_str().into(),
                    cut(&text, bounds::TELL_BYTES_MAX),
                )
            };
            let asked = Asked { playbook: Some(&run.playbook), about: &about, ..Asked::default() };
            self.queue(key, escalate.after, message, asked)?;
        }
        Ok(())
    }

    /// Whether anybody follows a run.
    pub(crate) fn is_followed(&self, run: &Run) -> bool {
        let set = self.library.sets.get(&run.set);
        let playbook = set.and_then(|set| set.playbooks.get(&run.playbook));
        playbook.is_some_and(|playbook| !playbook.notify.is_empty())
    }

    /// What happened to a run, to those who follow it: one thread, brought up to date.
    pub(crate) fn follow(&mut self, id: &RunId, what: &RunEvent, before: Run) -> Result<(), Illegal> {
        let run = self.s.runs.get(id).map_or(before, |run| Run::clone(run));
        let set = self.pinned(&run);
        let playbook = set.as_ref().and_then(|set| set.playbooks.get(&run.playbook));
        let (Some(playbook), Some(said)) = (playbook, what.said()) else { return Ok(()) };
        let ask = match what {
            RunEvent::ApprovalAsked { ask } => Some(Ask::clone(ask)),
            _ => None,
        };
        let (tone, verb) = match what {
            RunEvent::Ended { result, .. } => {
                (if result.escalates() { Tone::Bad } else { Tone::Good }, TellVerb::Close)
            }
            RunEvent::ApprovalAsked { .. } => (Tone::Asking, TellVerb::Update),
            _ if run.in_doubt().next().is_some() || run.approvals().next().is_some() => {
                (Tone::Asking, TellVerb::Update)
            }
            _ => (Tone::Working, TellVerb::Update),
        };
        // What only observes has nothing to follow: its end is all there is to say.
        let observes = run.mode == Mode::Observe;
        let said = cut(&said, bounds::NEWS_BYTES_MAX);
        let message = Message {
            tone,
            news: Vec::new(),
            run: Some(id.clone()),
            ask,
            ..thread::plain(format!("{}/{id}", self.s.domain).into(), title(&run).into(), said)
        };
        for (n, receiver) in (FOLLOWS..).zip(&playbook.notify) {
            let key = TellKey { run: id.clone(), receiver: ReceiverName::new(receiver.clone()), n };
            let opens = match what {
                RunEvent::LockTaken { .. } => !observes,
                // What never began has no thread: its end is all there is to say.
                RunEvent::Ended { .. } => !self.s.tells.contains_key(&key),
                _ => false,
            };
            if opens {
                let keeps = verb != TellVerb::Close;
                let asked = Asked { playbook: Some(&run.playbook), keeps, ..Asked::default() };
                self.queue(key, Span::ZERO, message.clone(), asked)?;
            } else {
                let news = vec![message.text.clone()];
                self.renew(&key, Message { news, ..message.clone() }, verb)?;
            }
        }
        Ok(())
    }

    /// What a step says to somebody: it is said once, in a message of its own.
    pub(crate) fn say(
        &mut self,
        run: &Run,
        instance: &Instance,
        to: &Arc<str>,
        text: Arc<str>,
    ) -> Result<(), Illegal> {
        let n = SAYS + u32::try_from(run.done.len()).unwrap_or_default();
        let key = TellKey { run: run.id.clone(), receiver: ReceiverName::new(to.clone()), n };
        let thread = format!("{}/{}/{instance}", self.s.domain, run.id);
        let message = Message {
            tone: Tone::Working,
            run: Some(run.id.clone()),
            ..thread::plain(thread.into(), title(run).into(), cut(&text, bounds::TELL_BYTES_MAX))
        };
        self.queue(key, Span::ZERO, message, Asked { playbook: Some(&run.playbook), ..Asked::default() })
    }

    /// Somebody is at it: what nobody has heard yet is not said any more, and who was told hears who has it.
    pub(crate) fn acknowledge(&mut self, by: &str, of: &Arc<str>) -> Result<(), Illegal> {
        let (run, alert) = (RunId::from(of.as_ref()), Fingerprint::from(of.as_ref()));
        let follows = |key: &TellKey| (FOLLOWS..ASKS).contains(&key.n);
        let of_it = |(key, tell): &(&TellKey, &Arc<thread::Tell>)| {
            !follows(key) && (key.run == run || tell.about.contains(&alert))
        };
        let keys: Vec<TellKey> = self.s.tells.iter().filter(of_it).map(|(key, _)| key.clone()).collect();
        if keys.is_empty() {
            return self.refuse(by, format!("acknowledge {of}"), "nobody is told of it now, or it is over");
        }
        self.emit(Event::Acknowledged { by: by.into(), of: of.clone() })?;
        for key in keys {
            let Some(tell) = self.s.tells.get(&key).cloned() else { continue };
            if tell.unheard() {
                self.tell(&key, TellEvent::Dropped)?;
            } else if tell.keeps {
                let text: Arc<str> = format!("acknowledged by {by}").into();
                let message =
                    Message { tone: Tone::Working, news: vec![text.clone()], text, ..tell.message.clone() };
                self.renew(&key, message, TellVerb::Update)?;
            }
        }
        Ok(())
    }

    /// Nobody but a person can say whether an effect took place: they are asked at once, for until then the lock is
    /// held. Their `escalate` at the end comes all the same.
    pub(crate) fn ask(&mut self, id: &RunId, instance: &Instance) -> Result<(), Illegal> {
        let Some(run) = self.s.runs.get(id).cloned() else { return Ok(()) };
        let set = self.pinned(&run);
        let playbook = set.as_ref().and_then(|set| set.playbooks.get(&run.playbook));
        let attempt = run.in_doubt().find(|attempt| attempt.instance == *instance);
        let (Some(attempt), Some(playbook)) = (attempt, playbook) else { return Ok(()) };
        if run.cancelled.is_some() || run.last().is_some_and(|until| self.s.now >= until) {
            // It ends at once, and that is told.
            return Ok(());
        }
        let until = run.last().map_or_else(String::new, |at| format!(" At {at} it ends unknown."));
        let text: Arc<str> = format!(
            "{}: did {} ({}, attempt {}) take place? Nobody but you can tell. `regreen settle {id} --done` or `--not-done`; until then nothing else acts there.{until}",
            title(&run), attempt.instance, attempt.task.action, attempt.number
        )
        .into();
        // A number of its own for each time that it asks; those of the end are below.
        let first = ASKS + u32::try_from(self.s.seq % u64::from(ASKS)).unwrap_or_default() * 16;
        for (n, escalate) in (first..).zip(&playbook.escalate) {
            let key = TellKey { run: id.clone(), receiver: ReceiverName::new(escalate.to.clone()), n };
            let message = Message {
                tone: Tone::Asking,
                run: Some(id.clone()),
                ..thread::plain(
                    format!("{}/{id}/asks", self.s.domain).into(),
                    title(&run).into(),
                    text.clone(),
                )
            };
            // Of no episode: it is asked though the alert resolves, and the end is told all the same.
            self.queue(
                key,
                Span::ZERO,
                message,
                Asked { playbook: Some(&run.playbook), ..Asked::default() },
            )?;
        }
        Ok(())
    }

    /// A playbook's `escalate` for an alert without run: it is blocked, or outlived its repair. Once an episode.
    pub(crate) fn tell_playbook(
        &mut self,
        name: &PlaybookName,
        fingerprint: &Fingerprint,
        text: &str,
    ) -> Result<(), Illegal> {
        let Some(episode) = self.s.episodes.get(fingerprint).cloned() else { return Ok(()) };
        let playbook = self.set().and_then(|set| set.playbooks.get(name).cloned());
        if episode.told.contains(name) {
            return Ok(());
        }
        let first = u32::try_from(episode.told.len()).unwrap_or(u32::MAX).saturating_mul(16);
        let run = episode_id(fingerprint, episode.opened);
        let escalate = playbook.map(|playbook| playbook.escalate.clone()).unwrap_or_default();
        let about = [fingerprint.clone()];
        let asked = Asked { playbook: Some(name), about: &about, ..Asked::default() };
        let thread: Arc<str> = format!("{}/{name}/{run}", self.s.domain).into();
        let message = thread::plain(thread, name.as_str().into(), cut(text, bounds::TELL_BYTES_MAX));
        if escalate.is_empty() {
            // That nobody is to be told is put on record too, once; it is given up at once.
            let key = TellKey { run, receiver: ReceiverName::from("nobody"), n: first };
            return self.queue(key, Span::ZERO, message, asked);
        }
        for (n, escalate) in (first..).zip(&escalate) {
            let key = TellKey { run: run.clone(), receiver: ReceiverName::new(escalate.to.clone()), n };
            self.queue(key, escalate.after, message.clone(), asked)?;
        }
        Ok(())
    }

    /// Alertmanager cut alerts off: nobody decides what was never sent, so people hear of it.
    pub(crate) fn truncated(&mut self, alerts: &Alerts) -> Result<(), Illegal> {
        if alerts.truncated == 0 {
            return Ok(());
        }
        let text = format!(
            "Alertmanager cut {} alerts off a payload for receiver {}: raise its max_alerts, they are not decided",
            alerts.truncated, alerts.receiver
        );
        self.tell_system("truncated", &text)
    }

    /// The system speaks of itself, of the same thing once an hour.
    pub(crate) fn tell_system(&mut self, of: &str, text: &str) -> Result<(), Illegal> {
        let thread: Arc<str> = format!("{}/system/{of}", self.s.domain).into();
        let lately =
            self.s.system_told.get(&thread).is_some_and(|at| self.s.now - *at < bounds::SYSTEM_TELLS);
        let Some(set) = self.set().filter(|_| !lately) else { return Ok(()) };
        let now = self.s.now.0.to_be_bytes();
        let run = RunId::from(h(&[self.s.genesis.as_str().as_bytes(), thread.as_bytes(), &now]));
        let message = thread::plain(thread, "regreen".into(), text.into());
        for (n, receiver) in (0..).zip(&set.system) {
            let key = TellKey { run: run.clone(), receiver: ReceiverName::new(receiver.clone()), n };
            self.queue(key, Span::ZERO, message.clone(), Asked::default())?;
        }
        Ok(())
    }

    /// The alert is over: what was not said yet is not said any more, and who was told hears of the end.
    pub(crate) fn close_tells(&mut self, fingerprint: &Fingerprint) -> Result<(), Illegal> {
        if self.s.episodes.get(fingerprint).is_none_or(|episode| episode.told.is_empty()) {
            return Ok(());
        }
        let open = |fp: &Fingerprint| self.s.episodes.get(fp).is_some_and(|episode| episode.closed.is_none());
        let of_it = |tell: &thread::Tell| tell.about.contains(fingerprint) && !tell.about.iter().any(open);
        let keys: Vec<TellKey> =
            self.s.tells.iter().filter(|(_, tell)| of_it(tell)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(tell) = self.s.tells.get(&key).cloned() else { continue };
            if tell.unheard() {
                self.tell(&key, TellEvent::Dropped)?;
                continue;
            }
            let text: Arc<str> = "the alert is over".into();
            let message =
                Message { tone: Tone::Good, news: vec![text.clone()], text, ..tell.message.clone() };
            self.renew(&key, message, TellVerb::Close)?;
        }
        Ok(())
    }

    /// A message's moment: its first try, its next one, or the end of waiting for an answer.
    pub(crate) fn tell_due(&mut self, key: &TellKey) -> Result<(), Illegal> {
        let Some(tell) = self.s.tells.get(key).cloned() else { return Ok(()) };
        if tell.attempt >= bounds::TELL_TRIES {
            return self.tell(key, TellEvent::GivenUp { reason: "nobody could be told in time".into() });
        }
        let receiver = self.set().and_then(|set| set.receivers.get(key.receiver.as_str()).cloned());
        let Some(Receiver { kind, to }) = receiver else {
            let reason = "the receiver is not in force any more".into();
            return self.tell(key, TellEvent::GivenUp { reason });
        };
        let Some(action) = telling(kind, tell.verb).map(|declaration| declaration.name) else {
            return Err(Illegal(format!("nobody declares how to tell by {kind}")));
        };
        let telling = Telling {
            receiver: key.receiver.clone(),
            to,
            message: tell.message.clone(),
            opened: tell.opened.clone(),
        };
        let params = serde_json::to_value(telling).map_err(|error| Illegal(error.to_string()))?;
        let task = Task {
            kind: Kind::Perform,
            action: action.into(),
            effect: Effect::Tell,
            zone: Zone::from("main"),
            params: Arc::new(params),
            node: None,
            claim_by: self.s.now + bounds::CLAIM,
            timeout: bounds::TELL_TIMEOUT,
        };
        // Sent again after that, under a new number: a page that went unanswered is worse than two pages.
        let until = task.claim_by + bounds::CALL_WINDOW + task.timeout;
        self.tell(key, TellEvent::Dispatched { attempt: tell.attempt + 1, nth: tell.nth, task, until })
    }

    /// The notifier answered.
    pub(crate) fn told(&mut self, outcome: &Outcome) -> Result<(), Illegal> {
        let first = TellKey { run: outcome.run.clone(), receiver: ReceiverName::from(""), n: 0 };
        let of_run = self.s.tells.range(first..).take_while(|(key, _)| key.run == outcome.run);
        let open = of_run.into_iter().find(|(key, tell)| {
            key.instance(tell.nth) == outcome.instance && tell.out && tell.attempt == outcome.attempt
        });
        let Some((key, tell)) = open.map(|(key, tell)| (key.clone(), tell.clone())) else { return Ok(()) };
        let pause = match &outcome.outcome {
            Verb::Failed { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Span::ZERO,
        };
        let reason: Arc<str> = match &outcome.outcome {
            Verb::Ok { result } if tell.keeps => {
                self.tell(&key, TellEvent::Posted { opened: result.clone() })?;
                return self.say_now(&key);
            }
            Verb::Ok { .. } => return self.tell(&key, TellEvent::Told),
            Verb::Failed { reason, .. } | Verb::Unknown { reason } => reason.clone(),
            Verb::NotCalled { detail, .. } => detail.clone(),
            Verb::Observed { .. } => return Ok(()),
        };
        let again_at = self.s.now + backoff(tell.attempt).max(pause.min(bounds::TELL_PAUSE_MAX));
        self.tell(&key, TellEvent::Failed { reason, again_at })
    }
}

/// Text of at most so many bytes: it stands in the log, in the state and in a command.
fn cut(text: &str, max: usize) -> Arc<str> {
    text[..text.floor_char_boundary(max)].into()
}

/// What a run is about, in a line.
fn title(run: &Run) -> String {
    let target = run.target.as_ref().map_or_else(String::new, |target| format!(" on {}", target.name()));
    format!("{}{target}", run.playbook)
}
