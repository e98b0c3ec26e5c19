//! Runs as state: their locks, their place in line, what they watch, and what their end leaves behind.

use std::sync::Arc;

use regreen_schemas::{
    CheckName, Instance, RunId,
    event::{Read, RunEvent},
    run::{Block, RunResult},
};

use crate::{
    bounds,
    run::{Progress, Run},
    state::{Illegal, State, TimerKey},
};

impl State {
    pub(crate) fn apply_run(&mut self, id: &RunId, what: &RunEvent) -> Result<(), Illegal> {
        if let RunEvent::Started { .. } = what {
            return self.start_run(id, what);
        }
        let Some(run) = self.runs.get_mut(id) else { return Err(Illegal(format!("run {id} is not open"))) };
        let run = Arc::make_mut(run);
        let (unwatched, unpaced) = (run.watched(), run.paced.clone());
        run.next(what, self.now, self.seq)?;
        let paced = run.paced.clone();
        let (watched, locks, order, deadline) = (run.watched(), run.locks.clone(), run.order, run.deadline());
        let (ended, playbook) = (run.progress == Progress::Over, run.playbook.clone());
        for check in unwatched.iter().filter(|check| ended || !watched.contains(check)) {
            self.unwatch(check, id);
        }
        for check in watched.iter().filter(|check| !unwatched.contains(check)) {
            self.watchers.entry(check.clone()).or_default().insert(id.clone());
        }
        self.change_lines((id, order), &unpaced, &paced);
        match what {
            RunEvent::Joined { fingerprint } => {
                self.change_episode(fingerprint, |episode| {
                    drop(episode.running.insert(playbook, id.clone()));
                });
            }
            RunEvent::LockTaken { .. } => {
                self.queue.remove(&order);
                self.locks.extend(locks.into_iter().map(|lock| (lock, id.clone())));
            }
            RunEvent::Dispatched { spends, draws, .. } => {
                self.apply_draws(draws);
                for spend in spends {
                    let stamps = self.spent.entry(spend.key.clone()).or_default();
                    stamps.push_back(self.now);
                    while stamps.len() > spend.keep as usize {
                        stamps.pop_front();
                    }
                }
            }
            RunEvent::SubEnded { instance, result, .. } => self.end_sub(id, instance, *result),
            RunEvent::Ended { result, .. } => return self.end_run(id, *result),
            _ => {}
        }
        self.arm(TimerKey::Run(id.clone()), deadline);
        Ok(())
    }

    pub(crate) fn unwatch(&mut self, check: &CheckName, id: &RunId) {
        if let Some(watchers) = self.watchers.get_mut(check) {
            watchers.remove(id);
            if watchers.is_empty() {
                self.watchers.remove(check);
            }
        }
    }

    pub(crate) fn start_run(&mut self, id: &RunId, what: &RunEvent) -> Result<(), Illegal> {
        if self.runs.contains_key(id) {
            return Err(Illegal(format!("run {id} started twice")));
        }
        self.ids += 1;
        let mut run =
            Run::started(id.clone(), what, self.now, self.ids).ok_or_else(|| Illegal("no start".into()))?;
        if let Some(episode) = run.episodes.iter().next().and_then(|fp| self.episodes.get(fp)) {
            run.alert = Some(episode.alert.clone());
            run.source = episode.source.clone();
        }
        self.open.insert((run.playbook.clone(), run.target.clone()), id.clone());
        self.queue.insert(run.order, id.clone());
        for fingerprint in &run.episodes {
            self.change_episode(fingerprint, |episode| {
                drop(episode.running.insert(run.playbook.clone(), id.clone()));
            });
        }
        let at = run.deadline();
        self.runs.insert(id.clone(), Arc::new(run));
        self.arm(TimerKey::Run(id.clone()), at);
        Ok(())
    }

    pub(crate) fn end_run(&mut self, id: &RunId, result: RunResult) -> Result<(), Illegal> {
        let run = self.runs.remove(id).ok_or_else(|| Illegal(format!("run {id} is not open")))?;
        self.arm(TimerKey::Run(id.clone()), None);
        let key = (run.playbook.clone(), run.target.clone());
        if self.open.get(&key) == Some(id) {
            self.open.remove(&key);
        }
        for fingerprint in &run.episodes {
            self.change_episode(fingerprint, |episode| {
                if episode.running.get(&run.playbook) == Some(id) {
                    episode.running.remove(&run.playbook);
                }
            });
        }
        self.queue.remove(&run.order);
        if !run.locks.is_empty() && !self.queue.is_empty() {
            self.arm(TimerKey::Queue, Some(self.now));
        }
        for lock in &run.locks {
            if self.locks.get(lock) == Some(id) {
                self.locks.remove(lock);
                self.changed(&Read::Lock(lock.clone()));
            }
        }
        // A no is for the episode, not for its next notification.
        let refused = matches!(result, RunResult::Denied | RunResult::Expired);
        if run.effects > 0 {
            self.cooldowns.insert(key, self.now);
            self.note_failure(&run.playbook, result);
        }
        if run.effects == 0 && matches!(result, RunResult::Blocked | RunResult::Failed) {
            self.decide_again(&run);
        }
        if run.effects > 0 || refused {
            let now = self.now;
            for fingerprint in &run.episodes {
                self.change_episode(fingerprint, |episode| {
                    episode.handled.insert(run.playbook.clone(), (id.clone(), result, now));
                });
            }
        }
        Ok(())
    }

    /// A run that did nothing leaves its alerts to be decided again: at the release of what it waited for, or soon.
    fn decide_again(&mut self, run: &Run) {
        let held = self.locks_holder(&run.locks).map(|(lock, _)| Read::Lock(lock.clone()));
        let again = self.now + bounds::AFTER_NOTHING;
        for fingerprint in &run.episodes {
            if self.episodes.get(fingerprint).is_none_or(|episode| episode.closed.is_some()) {
                continue;
            }
            if let Some(read) = &held {
                self.readers.entry(read.clone()).or_default().insert(fingerprint.clone());
            }
            self.change_episode(fingerprint, |episode| match &held {
                Some(read) => episode.reads.push(read.clone()),
                None => episode.again_at = Some(episode.again_at.map_or(again, |at| at.min(again))),
            });
        }
    }

    /// A playbook within a run is over: its own cooldown begins, where it did anything.
    fn end_sub(&mut self, id: &RunId, instance: &Instance, result: RunResult) {
        let Some(run) = self.runs.get(id) else { return };
        let Some(sub) = run.subs.get(instance).filter(|sub| run.effects > sub.effects_before) else { return };
        let key = (sub.playbook.clone(), sub.target.clone());
        self.cooldowns.insert(key.clone(), self.now);
        self.note_failure(&key.0, result);
    }

    pub(crate) fn change_run(&mut self, id: &RunId, change: impl FnOnce(&mut Run)) {
        let Some(run) = self.runs.get_mut(id) else { return };
        change(Arc::make_mut(run));
        let at = run.deadline();
        self.arm(TimerKey::Run(id.clone()), at);
    }

    /// What held runs is gone: each is due at once, as an item of its own, so that thousands fit no single record.
    pub(crate) fn release(&mut self, ended: impl Fn(&Block) -> bool) {
        let held = |(id, run): (&RunId, &Arc<Run>)| run.held.as_ref().is_some_and(&ended).then(|| id.clone());
        let released: Vec<RunId> = self.runs.iter().filter_map(held).collect();
        for id in released {
            self.change_run(&id, |run| {
                run.held = None;
                run.woken = true;
            });
        }
    }
}
