//! What playbooks may start on beside alerts: verdicts, times, ends of runs, events from outside, and repairs that may
//! be taken back. Each is written like an alert and decided like one, so that all of it can be explained alike.

use std::{collections::BTreeSet, sync::Arc};

use regreen_playbook::model::On;
use regreen_schemas::{
    CheckName, Fingerprint, PlaybookName, Span, Timestamp,
    alert::{Alert, Labels, Status as Firing},
    check::Status,
    event::{Closing, Event, Source, Target},
    fact,
    hash::h,
    run::RunResult,
};

use crate::{
    bounds,
    decide::Decider,
    evaluate::covers,
    run::Run,
    state::{Illegal, Phase, State, TimerKey},
};

fn fingerprint(parts: &[&str]) -> Fingerprint {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    Fingerprint::from(h(&parts))
}

/// What is no alert, written like one.
fn like_an_alert(fingerprint: Fingerprint, name: &str, labels: &[(&str, &str)], at: Timestamp) -> Alert {
    let labels = labels.iter().map(|(name, value)| (Arc::from(*name), Arc::from(*value)));
    let labels: Labels = labels.chain([("alertname".into(), name.into())]).collect();
    Alert {
        status: Firing::Firing,
        fingerprint,
        labels,
        annotations: Labels::new(),
        starts_at: at,
        ends_at: None,
        generator_url: "".into(),
    }
}

/// How long an episode that has no end of its own stays open: as long as it may still be decided again.
pub(crate) const fn open_for(source: &Source) -> Option<Span> {
    match source {
        Source::Alert => Some(bounds::SILENT_AFTER),
        Source::Verdict { .. } => None,
        Source::Webhook(_) | Source::Schedule { .. } | Source::Run { .. } => Some(bounds::EVENT_OPEN),
        Source::Failback { .. } => Some(bounds::FAILBACK_OPEN),
    }
}

impl State {
    /// The group that serves a service now: the one that it was moved to, or the preferred one.
    #[must_use]
    pub fn serving(&self, set: &regreen_playbook::Set, service: &str) -> Option<Arc<str>> {
        let sides = set.inventory.services.get(service)?;
        let moved = self.serving.get(service).filter(|group| sides.contains(group));
        moved.or_else(|| sides.first()).cloned()
    }

    /// The same for what a run acts on; none where that is no service.
    pub(crate) fn serving_of(&self, set: &regreen_playbook::Set, target: &Target) -> Option<Arc<str>> {
        match target {
            Target::Service { name } => self.serving(set, name),
            Target::Node { .. } | Target::Group { .. } => None,
        }
    }
}

impl Decider<'_> {
    /// Something happened that playbooks may start on: it is decided like an alert.
    fn signal(&mut self, alert: &Alert, source: Source) -> Result<(), Illegal> {
        if self.s.episodes.len() >= bounds::EPISODES_MAX {
            return self.too_many(alert);
        }
        self.emit(Event::EpisodeOpened { alert: alert.clone(), source: source.clone() })?;
        let judged = self.judge(alert, &source, None)?;
        self.write(&alert.fingerprint, judged, Some(alert.status))
    }

    /// There is no room to remember it: people hear of what nobody decides.
    fn too_many(&mut self, alert: &Alert) -> Result<(), Illegal> {
        let name = alert.labels.get("alertname").map_or("something", |name| name);
        let text =
            format!("{} alerts are open; `{name}` and what follows it is not decided", bounds::EPISODES_MAX);
        self.tell_system("episodes", &text)
    }

    /// A verdict changed: triggers on it begin, and those that it ends are over.
    pub(crate) fn verdict_signals(&mut self, check: &CheckName, to: Status) -> Result<(), Illegal> {
        let Some(set) = self.set() else { return Ok(()) };
        let on = set.verdicts_wanted.iter().filter(|(pattern, _)| covers(pattern, check.as_str()));
        let words: BTreeSet<_> = on.map(|(_, is)| *is).collect();
        for is in words {
            let of = fingerprint(&["verdict", check.as_str(), is.word()]);
            let open = self.s.episodes.get(&of).is_some_and(|episode| episode.closed.is_none());
            if is.holds(to) && !open {
                let alert = self.verdict_alert(&set, check, is.word(), of);
                self.signal(&alert, Source::Verdict { check: check.clone(), is: is.word().into() })?;
            } else if open && to != Status::Unknown && !is.holds(to) {
                let ended = self.s.now;
                self.emit(Event::EpisodeClosed { fingerprint: of.clone(), ended, why: Closing::Resolved })?;
                self.after_closing(&of)?;
            }
        }
        Ok(())
    }

    fn verdict_alert(
        &self,
        set: &regreen_playbook::Set,
        check: &CheckName,
        is: &str,
        of: Fingerprint,
    ) -> Alert {
        let member = check.as_str().rsplit('/').next().unwrap_or_default();
        let mut labels = vec![("check", check.as_str()), ("is", is)];
        let node = set.inventory.node(member);
        let group = match &node {
            Some(Target::Node { group, .. }) => Some(group.as_ref()),
            _ => set.inventory.group(member).map(|_| member),
        };
        labels.extend(node.as_ref().map(|_| ("node", member)));
        labels.extend(group.map(|group| ("group", group)));
        let holds =
            |sides: &Vec<Arc<str>>| group.is_some_and(|group| sides.iter().any(|side| **side == *group));
        let mut services = set.inventory.services.iter().filter(|(_, sides)| holds(sides));
        if let (Some((service, _)), None) = (services.next(), services.next()) {
            labels.push(("service", service));
        }
        like_an_alert(of, &format!("{check} is {is}"), &labels, self.s.now)
    }

    /// An event came in from outside. The same one may come twice.
    pub(crate) fn webhook(&mut self, event: &fact::Event) -> Result<(), Illegal> {
        let of = fingerprint(&["event", &event.path, &event.source, &event.id]);
        if self.s.episodes.contains_key(&of) {
            return Ok(());
        }
        let labels =
            [("path", &*event.path), ("id", &*event.id), ("type", &*event.kind), ("source", &*event.source)];
        let alert =
            like_an_alert(of, &format!("event {} at {}", event.kind, event.path), &labels, self.s.now);
        self.signal(&alert, Source::Webhook(event.clone()))
    }

    /// What follows the end of a run: other playbooks, the way back, and what a drill measures.
    pub(crate) fn after_end(&mut self, run: &Run, result: RunResult) -> Result<(), Illegal> {
        self.measure(run, result)?;
        self.way_back(run, result)?;
        if self.set().is_none_or(|set| !set.followed.contains(&run.playbook)) {
            return Ok(());
        }
        let labels =
            [("playbook", run.playbook.as_str()), ("result", result.word()), ("run", run.id.as_str())];
        let name = format!("{} ended {}", run.playbook, result.word());
        let alert = like_an_alert(fingerprint(&["run", run.id.as_str()]), &name, &labels, self.s.now);
        let (run, playbook, target) = (run.id.clone(), run.playbook.clone(), run.target.clone());
        let source = Source::Run { run, playbook, result, target };
        if self.s.episodes.len() >= bounds::EPISODES_MAX {
            return self.too_many(&alert);
        }
        // What follows is decided on its own, soon: a chain of playbooks is no single decision.
        self.emit(Event::EpisodeOpened { alert: alert.clone(), source })?;
        self.emit(Event::AlertDecided {
            fingerprint: alert.fingerprint,
            status: alert.status,
            decisions: Vec::new(),
            reads: Vec::new(),
            again_at: Some(self.s.now),
        })
    }

    /// A repair that may be taken back: from now on it is watched whether all is well.
    fn way_back(&mut self, run: &Run, result: RunResult) -> Result<(), Illegal> {
        let set = self.pinned(run);
        let failback = set.as_ref().and_then(|set| set.playbooks.get(&run.playbook)?.failback.as_ref());
        let Some(failback) = failback.filter(|_| result == RunResult::Repaired) else { return Ok(()) };
        let target = run.target.as_ref().map_or("", |target| target.name());
        let of = fingerprint(&["failback", run.playbook.as_str(), target]);
        let labels = [("playbook", failback.run.as_str()), ("of", run.playbook.as_str()), ("target", target)];
        let alert = like_an_alert(of, &format!("{} may be taken back", run.playbook), &labels, self.s.now);
        let source = Source::Failback {
            run: run.id.clone(),
            playbook: run.playbook.clone(),
            by: failback.run.clone(),
            target: run.target.clone(),
        };
        self.signal(&alert, source)
    }

    /// A drill of this playbook is under way: how long the repair took since the drill's first effect.
    fn measure(&mut self, run: &Run, result: RunResult) -> Result<(), Illegal> {
        if self.set().is_none_or(|set| !set.drills) {
            return Ok(());
        }
        let measures = |drill: &&Arc<Run>| {
            let set = self.library.sets.get(&drill.set);
            let of = set.and_then(|set| set.playbooks.get(&drill.playbook)?.drill.as_ref());
            of.is_some_and(|of| of.of == run.playbook)
                && drill.measured.is_none()
                && drill.first_effect.is_some_and(|at| at <= run.started)
        };
        let drills: Vec<_> = self.s.runs.values().filter(measures).cloned().collect();
        for drill in drills {
            let took = self.s.now - drill.first_effect.unwrap_or(self.s.now);
            let (of, run) = (drill.id.clone(), run.id.clone());
            self.emit(Event::DrillMeasured { drill: of.clone(), run, result, took })?;
            self.advance(&of)?;
        }
        Ok(())
    }

    /// Whether a drill still waits for what it measures.
    pub(crate) fn drill_waits(&self, run: &Run) -> bool {
        let set = self.pinned(run);
        let drill = set.as_ref().and_then(|set| set.playbooks.get(&run.playbook)?.drill.as_ref());
        drill.is_some()
            && run.effects > 0
            && run.measured.is_none()
            && run.last().is_some_and(|until| self.s.now < until)
    }

    /// A drill that went well by its own steps must have met its objectives too.
    pub(crate) fn judge_drill(
        &self,
        run: &Run,
        result: RunResult,
        reason: Arc<str>,
    ) -> (RunResult, Arc<str>) {
        let set = self.pinned(run);
        let playbook = set.as_ref().and_then(|set| set.playbooks.get(&run.playbook));
        let drill = playbook.and_then(|playbook| playbook.drill.as_ref());
        let Some(drill) = drill.filter(|_| result.is_well() && run.effects > 0) else {
            return (result, reason);
        };
        let Some((_, how, took)) = &run.measured else {
            return (RunResult::Failed, format!("{} has not repaired it", drill.of).into());
        };
        let late = drill.rto.is_some_and(|rto| *took > rto);
        let lost = drill
            .canary
            .as_ref()
            .zip(set.as_ref())
            .is_some_and(|(canary, set)| self.s.verdict(set, canary, None) != Status::Up);
        let said = format!("{} {} after {took}", drill.of, how.word());
        match (how.is_well(), late, lost) {
            (true, false, false) => (result, said.into()),
            (false, ..) => (RunResult::Failed, said.into()),
            (true, true, _) => {
                let rto = drill.rto.map_or_else(String::new, |rto| format!(", {rto} were allowed"));
                (RunResult::Failed, format!("{said}{rto}").into())
            }
            (true, false, true) => (RunResult::Failed, format!("{said}; the canary is not up").into()),
        }
    }

    /// The set in force is a new one: verdicts that nobody waits for any more are over.
    pub(crate) fn forget_verdicts(&mut self) -> Result<(), Illegal> {
        let Some(set) = self.set() else { return Ok(()) };
        let unwanted = |episode: &crate::episodes::Episode| match &episode.source {
            Source::Verdict { check, is } if episode.closed.is_none() => {
                !set.checks.contains_key(check)
                    || !set
                        .verdicts_wanted
                        .iter()
                        .any(|(pattern, word)| covers(pattern, check.as_str()) && *word.word() == **is)
            }
            _ => false,
        };
        let over = self.s.episodes.iter().filter(|(_, episode)| unwanted(episode));
        let over: Vec<Fingerprint> = over.map(|(of, _)| of.clone()).collect();
        for fingerprint in over {
            let (ended, why) = (self.s.now, Closing::Silent);
            self.emit(Event::EpisodeClosed { fingerprint: fingerprint.clone(), ended, why })?;
            self.after_closing(&fingerprint)?;
        }
        Ok(())
    }

    /// The set in force is a new one: its times are noted, those of the old one forgotten.
    pub(crate) fn schedule_all(&mut self) -> Result<(), Illegal> {
        let Some(set) = self.set() else { return Ok(()) };
        let mut wanted = BTreeSet::new();
        for playbook in set.playbooks.values() {
            for trigger in &playbook.triggers {
                let On::Schedule(schedule) = &trigger.on else { continue };
                let key = (playbook.name.clone(), trigger.id.clone());
                let next = schedule.after(self.s.now);
                // A new text means new times; one that is due and was not looked at yet stays due.
                let keeps =
                    self.s.schedules.get(&key).is_some_and(|at| Some(*at) == next || *at <= self.s.now);
                wanted.insert(key.clone());
                if !keeps {
                    self.emit(Event::Scheduled { playbook: key.0, trigger: key.1, at: next })?;
                }
            }
        }
        let gone: Vec<_> = self.s.schedules.keys().filter(|key| !wanted.contains(*key)).cloned().collect();
        gone.into_iter()
            .try_for_each(|(playbook, trigger)| self.emit(Event::Scheduled { playbook, trigger, at: None }))
    }

    /// A time has come, perhaps while nobody was there.
    pub(crate) fn schedule_due(&mut self, name: &PlaybookName, id: &Arc<str>) -> Result<(), Illegal> {
        let due = self.s.schedules.get(&(name.clone(), id.clone())).copied();
        let set = self.set();
        let trigger = set
            .as_ref()
            .and_then(|set| set.playbooks.get(name)?.triggers.iter().find(|trigger| trigger.id == *id));
        let schedule = match trigger.map(|trigger| &trigger.on) {
            Some(On::Schedule(schedule)) => Some(schedule),
            _ => None,
        };
        let at = schedule.and_then(|schedule| schedule.after(self.s.now));
        self.emit(Event::Scheduled { playbook: name.clone(), trigger: id.clone(), at })?;
        let (Some(due), Some(schedule)) = (due, schedule) else { return Ok(()) };
        let missed =
            self.s.now - due > bounds::SCHEDULE_LATE || matches!(self.s.phase, Phase::CatchingUp { .. });
        if missed && !schedule.once {
            return Ok(());
        }
        let of = fingerprint(&["schedule", name.as_str(), id, &due.0.to_string()]);
        let labels = [("playbook", name.as_str()), ("trigger", id.as_ref())];
        let alert = like_an_alert(of, &format!("{name} is due"), &labels, due);
        self.signal(&alert, Source::Schedule { playbook: name.clone(), trigger: id.clone() })
    }
}

impl State {
    pub(crate) fn apply_signal(&mut self, event: &Event) {
        match event {
            Event::Scheduled { playbook, trigger, at } => {
                let key = (playbook.clone(), trigger.clone());
                self.arm(TimerKey::Schedule(key.0.clone(), key.1.clone()), *at);
                match at {
                    Some(at) => drop(self.schedules.insert(key, *at)),
                    None => drop(self.schedules.remove(&key)),
                }
            }
            Event::ServiceMoved { service, active, run } => {
                self.serving.insert(service.clone(), active.clone());
                let (now, seq) = (self.now, self.seq);
                self.change_run(run, |run| {
                    run.effects += 1;
                    run.first_effect.get_or_insert(now);
                    run.effect_seq = seq;
                });
            }
            Event::BreakerOpened { playbook, until } => {
                self.breakers.entry(playbook.clone()).or_default().until = Some(*until);
            }
            Event::BreakerClosed { playbook } => {
                self.breakers.remove(playbook);
                self.changed(&regreen_schemas::event::Read::Domain);
            }
            Event::DrillMeasured { drill, run, result, took } => {
                let measured = (run.clone(), *result, *took);
                self.change_run(drill, |drill| drill.measured = Some(measured));
            }
            _ => {}
        }
    }
}
