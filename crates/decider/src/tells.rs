//! Telling people: escalations of runs and of blocked alerts. A message is a command with a ticket like any other,
//! of class *tell*: it goes out while the stop switch is on, and twice is better than never.

use std::sync::Arc;

use regreen_playbook::set::Receiver;
use regreen_schemas::{
    Fingerprint, PlaybookName, RunId, Span, Zone,
    action::{Effect, NOTIFY_LOG, NOTIFY_WEBHOOK},
    command::{Kind, Task},
    event::{Event, TellEvent},
    fact::{Alerts, Outcome, TellKey, Verb, episode_id},
    hash::h,
    id::ReceiverName,
    run::RunResult,
};

use crate::{
    advance::backoff,
    bounds,
    decide::Decider,
    env::World,
    run::{Run, Stage},
    state::Illegal,
};

/// Numbers of messages that ask begin here.
const ASKS: u32 = 1 << 24;

impl Decider<'_> {
    fn tell(&mut self, key: &TellKey, what: TellEvent) -> Result<(), Illegal> {
        self.emit(Event::Tell { key: key.clone(), what })
    }

    fn queue(
        &mut self,
        key: TellKey,
        after: Span,
        text: Arc<str>,
        playbook: Option<&PlaybookName>,
        fingerprint: Option<Fingerprint>,
    ) -> Result<(), Illegal> {
        let at = self.s.now + after;
        self.tell(&key, TellEvent::Queued { at, text, playbook: playbook.cloned(), fingerprint })?;
        let catching_up = matches!(self.s.phase, crate::state::Phase::CatchingUp { .. });
        if after == Span::ZERO && !catching_up { self.tell_due(&key) } else { Ok(()) }
    }

    /// A run failed, is unknown or blocked: its `escalate`, once an episode.
    pub(crate) fn escalate(&mut self, run: &Run, result: RunResult, reason: &str) -> Result<(), Illegal> {
        let Some((set, playbook)) = self.plan(run) else { return Ok(()) };
        let told = |fp: &Fingerprint| {
            self.s.episodes.get(fp).is_some_and(|episode| episode.told.contains(&run.playbook))
        };
        if run.episodes.iter().any(told) {
            return Ok(());
        }
        let target = run.target.as_ref().map_or_else(String::new, |target| format!(" on {}", target.name()));
        let default = format!("{}{target}: {} — {reason} (run {})", run.playbook, result.word(), run.id);
        for (n, escalate) in (0..).zip(&playbook.escalate) {
            let text = escalate.text.as_ref().map_or_else(
                || default.clone(),
                |text| format!("{} [{default}]", text.text(&World::of(&self.s, &set, run))),
            );
            let key = TellKey { run: run.id.clone(), receiver: ReceiverName::new(escalate.to.clone()), n };
            self.queue(
                key,
                escalate.after,
                text.into(),
                Some(&run.playbook),
                run.episodes.iter().next().cloned(),
            )?;
        }
        Ok(())
    }

    /// Nobody but a person can say whether an effect took place: they are asked at once, for until then the lock is
    /// held. Their `escalate` at the end comes all the same.
    pub(crate) fn ask(&mut self, id: &RunId) -> Result<(), Illegal> {
        let Some(run) = self.s.runs.get(id).cloned() else { return Ok(()) };
        let (Stage::Asking(attempt), Some((_, playbook))) = (&run.stage, self.plan(&run)) else {
            return Ok(());
        };
        if run.cancelled.is_some() || run.until.is_some_and(|until| self.s.now >= until) {
            // It ends at once, and that is told.
            return Ok(());
        }
        let target = run.target.as_ref().map_or_else(String::new, |target| format!(" on {}", target.name()));
        let until = run.until.map_or_else(String::new, |at| format!(" At {at} it ends unknown."));
        let text: Arc<str> = format!(
            "{}{target}: did {} ({}, attempt {}) take place? Nobody but you can tell. `regreen settle {id} --done` or `--not-done`; until then nothing else acts there.{until}",
            run.playbook, attempt.instance, attempt.task.action, attempt.number
        )
        .into();
        // A number of its own for each time that it asks; those of the end are below.
        let first = ASKS + u32::try_from(self.s.seq % u64::from(ASKS)).unwrap_or_default() * 16;
        for (n, escalate) in (first..).zip(&playbook.escalate) {
            let key = TellKey { run: id.clone(), receiver: ReceiverName::new(escalate.to.clone()), n };
            // Of no episode: it is asked though the alert resolves, and the end is told all the same.
            self.queue(key, Span::ZERO, text.clone(), Some(&run.playbook), None)?;
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
        if escalate.is_empty() {
            // That nobody is to be told is put on record too, once; it is given up at once.
            let key = TellKey { run: run.clone(), receiver: ReceiverName::from("nobody"), n: first };
            return self.queue(key, Span::ZERO, text.into(), Some(name), Some(fingerprint.clone()));
        }
        for (n, escalate) in (first..).zip(&escalate) {
            let run = run.clone();
            let key = TellKey { run, receiver: ReceiverName::new(escalate.to.clone()), n };
            self.queue(key, escalate.after, text.into(), Some(name), Some(fingerprint.clone()))?;
        }
        Ok(())
    }

    /// Alertmanager cut alerts off: nobody decides what was never sent, so people hear of it, once an hour.
    pub(crate) fn truncated(&mut self, alerts: &Alerts) -> Result<(), Illegal> {
        let lately = self.s.system_told.is_some_and(|at| self.s.now - at < bounds::SYSTEM_TELLS);
        let Some(set) = self.set().filter(|_| alerts.truncated > 0 && !lately) else { return Ok(()) };
        let text: Arc<str> = format!(
            "Alertmanager cut {} alerts off a payload for receiver {}: raise its max_alerts, they are not decided",
            alerts.truncated, alerts.receiver
        )
        .into();
        let now = self.s.now.0.to_be_bytes();
        let run = RunId::from(h(&[self.s.genesis.as_str().as_bytes(), b"system", &now]));
        for (n, receiver) in (0..).zip(&set.system) {
            let key = TellKey { run: run.clone(), receiver: ReceiverName::new(receiver.clone()), n };
            self.queue(key, Span::ZERO, text.clone(), None, None)?;
        }
        Ok(())
    }

    /// Messages of a resolved alert that are not due yet.
    pub(crate) fn drop_tells(&mut self, fingerprint: &Fingerprint) -> Result<(), Illegal> {
        if self.s.episodes.get(fingerprint).is_none_or(|episode| episode.told.is_empty()) {
            return Ok(());
        }
        let waiting = |tell: &crate::state::Tell| {
            !tell.out && tell.attempt == 0 && tell.fingerprint.as_ref() == Some(fingerprint)
        };
        let keys: Vec<TellKey> =
            self.s.tells.iter().filter(|(_, tell)| waiting(tell)).map(|(key, _)| key.clone()).collect();
        keys.iter().try_for_each(|key| self.tell(key, TellEvent::Dropped))
    }

    /// A message's moment: its first try, its next one, or the end of waiting for an answer.
    pub(crate) fn tell_due(&mut self, key: &TellKey) -> Result<(), Illegal> {
        let Some(tell) = self.s.tells.get(key).cloned() else { return Ok(()) };
        if tell.attempt >= bounds::TELL_TRIES {
            return self.tell(key, TellEvent::GivenUp { reason: "nobody could be told in time".into() });
        }
        let receiver = self.set().and_then(|set| set.receivers.get(key.receiver.as_str()).cloned());
        let mut params = serde_json::json!({"receiver": key.receiver, "text": tell.text});
        let action = match receiver {
            None => {
                return self.tell(
                    key,
                    TellEvent::GivenUp { reason: "the receiver is not in force any more".into() },
                );
            }
            Some(Receiver::Log) => NOTIFY_LOG.name,
            Some(Receiver::Webhook(url)) => {
                params["url"] = url;
                NOTIFY_WEBHOOK.name
            }
        };
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
        self.tell(key, TellEvent::Dispatched { attempt: tell.attempt + 1, task, until })
    }

    /// The notifier answered.
    pub(crate) fn told(&mut self, outcome: &Outcome) -> Result<(), Illegal> {
        let open = self.s.tells.iter().find(|(key, tell)| {
            key.run == outcome.run
                && key.instance() == outcome.instance
                && tell.out
                && tell.attempt == outcome.attempt
        });
        let Some((key, tell)) = open.map(|(key, tell)| (key.clone(), tell.clone())) else { return Ok(()) };
        let reason: Arc<str> = match &outcome.outcome {
            Verb::Ok { .. } => return self.tell(&key, TellEvent::Told),
            Verb::Failed { reason, .. } | Verb::Unknown { reason } => reason.clone(),
            Verb::NotCalled { detail, .. } => detail.clone(),
            Verb::Observed { .. } => return Ok(()),
        };
        let again_at = self.s.now + backoff(tell.attempt);
        self.tell(&key, TellEvent::Failed { reason, again_at })
    }
}
