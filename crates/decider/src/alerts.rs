//! Alerts: episodes, and what the playbooks make of each alert. Every stored alert gets exactly one `AlertDecided`.

use std::{collections::BTreeSet, sync::Arc};

use regreen_playbook::{
    Set,
    model::{Busy, On, OnResolved, Playbook},
};
use regreen_schemas::{
    Fingerprint, PlaybookName, RunId, Timestamp,
    alert::{Alert, Status},
    event::{Closing, Event, Mode, Origin, Read, RunEvent, Source},
    mutation::{self, Mutation},
    run::{Block, Decision, Outcome, RunResult, Skip},
};

use crate::{
    bounds,
    decide::Decider,
    evaluate::{Evaluation, Signal, evaluate},
    guards,
    signals::open_for,
    state::Illegal,
};

/// Decisions of one alert with what they read.
pub(crate) struct Judged {
    decisions: Vec<Decision>,
    reads: Vec<Read>,
    again_at: Option<Timestamp>,
}

impl Decider<'_> {
    pub(crate) fn alert(&mut self, alert: &Alert, trace: Option<&Arc<str>>) -> Result<(), Illegal> {
        assert!(!(mutation::is(Mutation::Poison) && alert.labels.contains_key("poison")), "poison");
        match alert.status {
            Status::Firing => {
                self.firing(alert, trace)?;
                self.heard_watchdog(alert)?;
            }
            Status::Resolved => self.resolved(alert)?,
        }
        if mutation::is(Mutation::DecideTwice)
            && let Some(event) =
                self.events.iter().rev().find(|event| matches!(event, Event::AlertDecided { .. })).cloned()
        {
            self.emit(event)?;
        }
        Ok(())
    }

    fn firing(&mut self, alert: &Alert, trace: Option<&Arc<str>>) -> Result<(), Illegal> {
        let fingerprint = &alert.fingerprint;
        let closed = self.s.episodes.get(fingerprint).and_then(|episode| episode.closed);
        let straggler = closed.is_some_and(|(ended, learned)| {
            alert.starts_at <= ended && self.s.now - learned < bounds::STRAGGLERS
        });
        if straggler {
            return self.write(fingerprint, self.skipped(alert, &Skip::Resolved), Some(alert.status));
        }
        let open = self.s.episodes.get(fingerprint).is_some_and(|episode| episode.closed.is_none());
        if !open && self.s.episodes.len() < bounds::EPISODES_MAX {
            self.emit(Event::EpisodeOpened { alert: alert.clone(), source: Source::Alert })?;
        }
        let judged = self.judge(alert, &Source::Alert, trace)?;
        self.write(fingerprint, judged, Some(alert.status))
    }

    fn resolved(&mut self, alert: &Alert) -> Result<(), Illegal> {
        let fingerprint = &alert.fingerprint;
        let ended = alert.ends_at.unwrap_or(self.s.now);
        let closes = self
            .s
            .episodes
            .get(fingerprint)
            .is_some_and(|episode| episode.closed.is_none() && ended >= episode.alert.starts_at);
        let mut judged = self.judge(alert, &Source::Alert, None)?;
        judged.decisions.extend(self.skipped(alert, &Skip::Resolved).decisions);
        self.write(fingerprint, judged, Some(alert.status))?;
        if !closes {
            return Ok(());
        }
        self.emit(Event::EpisodeClosed { fingerprint: fingerprint.clone(), ended, why: Closing::Resolved })?;
        self.after_closing(fingerprint)
    }

    /// Messages that wait for this alert are dropped; runs whose alerts are all over learn of it.
    pub(crate) fn after_closing(&mut self, fingerprint: &Fingerprint) -> Result<(), Illegal> {
        self.close_tells(fingerprint)?;
        let concerned: Vec<RunId> = self
            .s
            .episodes
            .get(fingerprint)
            .map(|episode| episode.running.values().cloned().collect())
            .unwrap_or_default();
        for id in concerned {
            let Some(run) = self.s.runs.get(&id).filter(|run| !run.resolved) else { continue };
            let over = run
                .episodes
                .iter()
                .all(|fp| self.s.episodes.get(fp).is_none_or(|episode| episode.closed.is_some()));
            let set = self.pinned(run);
            let playbook = set.as_ref().and_then(|set| set.playbooks.get(&run.playbook));
            let cancels = playbook.is_some_and(|playbook| {
                playbook.on_resolved == OnResolved::Cancel && !starts_on_resolved(playbook, run)
            }) && run.source.lasts();
            if over && cancels {
                self.run_event(&id, RunEvent::Resolved)?;
                self.advance(&id)?;
            }
        }
        Ok(())
    }

    /// Decisions for an alert that no playbook may start on.
    fn skipped(&self, alert: &Alert, skip: &Skip) -> Judged {
        let set = self.set().unwrap_or_default();
        let matches = |playbook: &&Playbook| {
            playbook.triggers.iter().any(|trigger| {
                let On::Alert { matchers, resolved: false } = &trigger.on else { return false };
                matchers.iter().all(|matcher| matcher.matches(&alert.labels))
            })
        };
        let decisions = set
            .playbooks
            .values()
            .filter(matches)
            .map(|playbook| Decision {
                playbook: playbook.name.clone(),
                outcome: Outcome::Skipped(skip.clone()),
            })
            .collect();
        Judged { decisions, reads: Vec::new(), again_at: None }
    }

    /// Lets every playbook judge the alert, and starts what wants to start. A start is seen by the next playbook.
    pub(crate) fn judge(
        &mut self,
        alert: &Alert,
        source: &Source,
        trace: Option<&Arc<str>>,
    ) -> Result<Judged, Illegal> {
        let mut judged = Judged { decisions: Vec::new(), reads: vec![Read::Domain], again_at: None };
        let Some(set) = self.set() else { return Ok(judged) };
        for playbook in set.playbooks.values() {
            let evaluation = self.evaluated(&set, playbook, alert, source)?;
            if !evaluation.matched {
                continue;
            }
            match &evaluation.outcome {
                Outcome::Started { run } => {
                    let origin = Origin::Alert { fingerprint: alert.fingerprint.clone() };
                    self.start(playbook, run, &evaluation, origin, trace)?;
                    self.started_from_window(playbook, alert, run)?;
                }
                Outcome::Joined { run } => self.join(run, &alert.fingerprint)?,
                Outcome::Blocked(Block::Storm { group, down, of }) => {
                    let text = format!(
                        "storm: {down} of {of} nodes of {group} are not up; nothing destructive is done to it"
                    );
                    self.tell_system(&format!("storm/{group}"), &text)?;
                }
                // What comes and goes is told once, until it has been away for a while.
                Outcome::Blocked(_) if self.is_quiet(&alert.fingerprint, &playbook.name) => {}
                Outcome::Blocked(block) => {
                    let text = format!("{} is blocked for {}: {block}", playbook.name, describe(alert));
                    self.tell_playbook(&playbook.name, &alert.fingerprint, &text)?;
                }
                Outcome::Skipped(_) => {}
            }
            judged.reads.extend(evaluation.reads);
            judged.again_at = match (judged.again_at, evaluation.again_at) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            judged.decisions.push(Decision { playbook: playbook.name.clone(), outcome: evaluation.outcome });
        }
        judged.reads.sort();
        judged.reads.dedup();
        Ok(judged)
    }

    fn is_quiet(&self, fingerprint: &Fingerprint, playbook: &PlaybookName) -> bool {
        self.s.episodes.get(fingerprint).is_some_and(|episode| episode.quiet.contains(playbook))
    }

    pub(crate) fn join(&mut self, run: &RunId, fingerprint: &Fingerprint) -> Result<(), Illegal> {
        let known = self.s.runs.get(run).is_none_or(|run| run.episodes.contains(fingerprint));
        if known {
            Ok(())
        } else {
            self.run_event(run, RunEvent::Joined { fingerprint: fingerprint.clone() })
        }
    }

    pub(crate) fn start(
        &mut self,
        playbook: &Playbook,
        run: &RunId,
        evaluation: &Evaluation,
        origin: Origin,
        trace: Option<&Arc<str>>,
    ) -> Result<(), Illegal> {
        let hash = self
            .s
            .set
            .as_ref()
            .map(|(hash, _)| hash.clone())
            .ok_or_else(|| Illegal("a start without set".into()))?;
        let Some(set) = self.set() else { return Err(Illegal("a start without set".into())) };
        let mode = evaluation.mode;
        let target = evaluation.target.clone();
        let locks = match mode {
            Mode::Observe => Vec::new(),
            Mode::Approve | Mode::Auto => guards::locks(&set, playbook, target.as_ref()),
        };
        let active = target.as_ref().and_then(|target| self.s.serving_of(&set, target));
        let in_the_way: BTreeSet<RunId> = match playbook.guard.busy {
            Busy::CancelRunning => self.s.locks_holders(&locks).cloned().collect(),
            Busy::Queue | Busy::Skip => BTreeSet::new(),
        };
        self.run_event(
            run,
            RunEvent::Started {
                playbook: playbook.name.clone(),
                set: hash,
                target,
                origin,
                inputs: evaluation.inputs.clone(),
                mode,
                locks,
                wait_until: self.s.now + playbook.guard.wait,
                trigger: evaluation.trigger.clone(),
                asks: evaluation.asks.clone(),
                trial: evaluation.trial,
                active,
                trace: trace.cloned(),
            },
        )?;
        for holder in in_the_way {
            self.give_way(&holder, playbook)?;
        }
        self.advance(run)
    }

    /// Ends the run that holds a lock: another one is more urgent, says its playbook.
    fn give_way(&mut self, holder: &RunId, playbook: &Playbook) -> Result<(), Illegal> {
        if self.s.runs.get(holder).is_none_or(|run| run.cancelled.is_some()) {
            return Ok(());
        }
        let by = playbook.name.as_str().into();
        let reason = "it needs the lock (`busy: cancel_running`)".into();
        self.run_event(holder, RunEvent::Cancelled { by, reason })?;
        self.advance(holder)
    }

    /// What a playbook makes of something; one that correlates takes it into its window first.
    fn evaluated(
        &mut self,
        set: &Set,
        playbook: &Playbook,
        alert: &Alert,
        source: &Source,
    ) -> Result<Evaluation, Illegal> {
        let opened = self.s.episodes.get(&alert.fingerprint).map_or(self.s.now, |episode| episode.opened);
        let signal = Signal { alert, source, opened };
        let evaluation = evaluate(&self.s, set, playbook, signal);
        let waits = matches!(evaluation.outcome, Outcome::Skipped(Skip::Correlation { .. }));
        match &evaluation.trigger {
            Some(trigger) if waits => {
                self.correlate(playbook, trigger, alert)?;
                Ok(evaluate(&self.s, set, playbook, signal))
            }
            _ => Ok(evaluation),
        }
    }

    /// `status`: the alert as it came; none when it is decided again.
    pub(crate) fn write(
        &mut self,
        fingerprint: &Fingerprint,
        judged: Judged,
        status: Option<Status>,
    ) -> Result<(), Illegal> {
        let Judged { decisions, reads, again_at } = judged;
        // Reads only matter where something may still change the outcome.
        let waits = decisions.iter().any(|d| {
            matches!(
                d.outcome,
                Outcome::Blocked(_)
                    | Outcome::Skipped(
                        Skip::WhenFalse
                            | Skip::WhenUnknown { .. }
                            | Skip::Pending { .. }
                            | Skip::Correlation { .. }
                            | Skip::Maintenance { .. }
                    )
            )
        });
        let reads = if waits || decisions.is_empty() { reads } else { Vec::new() };
        let fingerprint = fingerprint.clone();
        self.emit(match status {
            Some(status) => Event::AlertDecided { fingerprint, status, decisions, reads, again_at },
            None => Event::AlertReconsidered { fingerprint, decisions, reads, again_at },
        })
    }

    /// An episode's deadline: it is forgotten, over by silence, told about, or decided again.
    pub(crate) fn episode_due(&mut self, fingerprint: &Fingerprint) -> Result<(), Illegal> {
        let Some(episode) = self.s.episodes.get(fingerprint).cloned() else { return Ok(()) };
        let fp = fingerprint.clone();
        if episode.closed.is_some() {
            self.emit(Event::EpisodeForgotten { fingerprint: fp })?;
            if !episode.straggler {
                return Ok(());
            }
            self.emit(Event::EpisodeOpened { alert: episode.alert.clone(), source: episode.source.clone() })?;
            return self.reconsider(fingerprint);
        }
        if open_for(&episode.source).is_some_and(|open| self.s.now >= episode.heard + open) {
            self.emit(Event::EpisodeClosed { fingerprint: fp, ended: self.s.now, why: Closing::Silent })?;
            return self.after_closing(fingerprint);
        }
        for (playbook, (run, result, ended)) in &episode.handled {
            if *result == RunResult::Repaired
                && episode.source.lasts()
                && !episode.told.contains(playbook)
                && self.s.now >= *ended + bounds::STILL_FIRING
            {
                let text = format!(
                    "{} still fires {} after run {run} of {playbook} said repaired",
                    describe(&episode.alert),
                    bounds::STILL_FIRING
                );
                self.tell_playbook(playbook, fingerprint, &text)?;
            }
        }
        if episode.again_at.is_some_and(|at| self.s.now >= at) {
            self.reconsider(fingerprint)
        } else {
            Ok(())
        }
    }

    pub(crate) fn reconsider(&mut self, fingerprint: &Fingerprint) -> Result<(), Illegal> {
        let Some(episode) = self.s.episodes.get(fingerprint).cloned() else { return Ok(()) };
        if episode.closed.is_some() {
            return Ok(());
        }
        let judged = self.judge(&episode.alert, &episode.source, None)?;
        if judged.decisions == episode.decisions && judged.again_at == episode.again_at {
            return Ok(());
        }
        self.write(fingerprint, judged, None)
    }
}

/// Whether a run was started by the end of its alert: that end is no news to it.
fn starts_on_resolved(playbook: &Playbook, run: &crate::run::Run) -> bool {
    let own = playbook.triggers.iter().find(|trigger| Some(&trigger.id) == run.trigger.as_ref());
    own.is_some_and(|trigger| matches!(trigger.on, On::Alert { resolved: true, .. }))
}

/// An alert in a few words.
pub(crate) fn describe(alert: &Alert) -> String {
    let name = alert.labels.get("alertname").map_or("an alert", |name| name);
    format!("{name} ({})", alert.fingerprint)
}
