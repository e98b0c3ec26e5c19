//! Seeing: looks of vantages joined by quorum into verdicts. Silence is never "still up" (rule 22); fewer than K
//! sighted vantages of N configured ones is unknown.

use std::{collections::BTreeSet, sync::Arc};

use regreen_playbook::Set;
use regreen_schemas::{
    CheckName, RunId, Span, Timestamp,
    check::{Look, Status, digest_hash},
    event::{Event, Read},
    fact::Looks,
    id::Vantage,
    mutation::{self, Mutation},
    view::{Bound, Check, Join, Kind},
};

use crate::{
    bounds,
    decide::Decider,
    run::{Seen, Watching},
    state::{Illegal, Saw, State, TimerKey, VantageState},
};

/// Vantages and members that a reason names.
const WHY_MAX: usize = 5;

/// Joins verdicts into one. What nobody can say of a member can't be said of the whole, unless the others decide it.
fn joined(check: &Check, how: Join, members: impl Iterator<Item = Status>) -> Status {
    let (mut all, mut up, mut unknown) = (0_u32, 0_u32, 0_u32);
    let (mut best, mut worst) = (Status::Down, Status::Up);
    for status in members {
        all += 1;
        match status {
            Status::Unknown => unknown += 1,
            known => (best, worst) = (best.min(known), worst.max(known)),
        }
        up += u32::from(status == Status::Up);
    }
    match how {
        _ if all == 0 => Status::Unknown,
        Join::All if worst == Status::Down => Status::Down,
        Join::Any if best == Status::Up => Status::Up,
        Join::All | Join::Any if unknown > 0 => Status::Unknown,
        Join::All => worst,
        Join::Any => best,
        Join::Share => {
            let judged = |up: u32| {
                let share = f64::from(up) * 100.0 / f64::from(all);
                let passed = |bound: Option<Bound>| bound.is_some_and(|bound| bound.passed(share));
                match () {
                    () if passed(check.down) => Status::Down,
                    () if passed(check.degraded) => Status::Degraded,
                    () => Status::Up,
                }
            };
            // Whatever the unknown ones are, it would be the same: only then is it known.
            let (least, most) = (judged(up), judged(up + unknown));
            if least == most { least } else { Status::Unknown }
        }
    }
}

/// Joins statuses: the first of down, up, degraded that `quorum` vantages agree on; else unknown.
fn join(statuses: impl Iterator<Item = Status>, quorum: u32) -> Status {
    let (mut up, mut degraded, mut down) = (0, 0, 0);
    for status in statuses {
        match status {
            Status::Up => up += 1,
            Status::Degraded => degraded += 1,
            Status::Down => down += 1,
            Status::Unknown => {}
        }
    }
    // At most one of these can hold while a quorum is a majority; below a majority the gravest speaks.
    match () {
        () if down >= quorum => Status::Down,
        () if degraded >= quorum => Status::Degraded,
        () if up >= quorum => Status::Up,
        // A blemish seen by some is no proof of health, yet together they agree that it works.
        () if up + degraded >= quorum && degraded > 0 => Status::Degraded,
        () => Status::Unknown,
    }
}

impl State {
    /// The verdict on a check by the looks at hand.
    #[must_use]
    pub fn verdict(&self, set: &Set, check: &str, quorum: Option<u32>) -> Status {
        let Some(check) = set.checks.get(check) else { return Status::Unknown };
        if let Kind::Of { join, checks } = &check.kind {
            let members = checks.iter().map(|member| self.verdict(set, member.as_str(), quorum));
            return joined(check, *join, members);
        }
        let Some(looks) = self.looks.get(&check.name) else { return Status::Unknown };
        let seen = check.vantages.iter().filter(|name| self.sees(name)).filter_map(|name| looks.get(name));
        join(seen.map(|saw| saw.status), quorum.unwrap_or(check.quorum))
    }

    /// Whether a vantage's looks count: it sees its reference, and its looks are complete.
    #[must_use]
    pub fn sees(&self, name: &Vantage) -> bool {
        self.vantages.get(name).is_some_and(|vantage| vantage.sighted && vantage.synced)
    }

    /// Why a check has this verdict, as the vantages say that agree with it; for people.
    #[must_use]
    pub fn because(&self, check: &Check, status: Status) -> Arc<str> {
        if let Kind::Of { checks, .. } = &check.kind {
            let said =
                |member: &CheckName| self.verdicts.get(member).is_some_and(|(said, _)| *said == status);
            let members: Vec<&str> =
                checks.iter().filter(|member| said(member)).map(CheckName::as_str).take(WHY_MAX).collect();
            return members.join(", ").into();
        }
        let blind = || {
            let away = check.vantages.iter().filter(|name| !self.sees(name)).map(Vantage::as_str);
            let away: Vec<&str> = away.take(WHY_MAX).collect();
            if away.is_empty() { "".into() } else { format!("no word from {}", away.join(", ")).into() }
        };
        let Some(looks) = self.looks.get(&check.name) else { return blind() };
        let agrees =
            |name: &&Vantage| self.sees(name) && looks.get(*name).is_some_and(|saw| saw.status == status);
        let found = check.vantages.iter().find(agrees).and_then(|name| looks.get(name));
        match (found, status) {
            (Some(saw), _) => saw.reason.clone(),
            (None, Status::Unknown) => blind(),
            (None, _) => "".into(),
        }
    }

    /// Counts a change from one known status to another. What could not be told in between is no change of the thing.
    fn note_change(&mut self, check: &CheckName, to: Status) {
        if to == Status::Unknown || self.known.insert(check.clone(), to).is_none_or(|known| known == to) {
            return;
        }
        let now = self.now;
        let flap = self.flaps.entry(check.clone()).or_default();
        flap.changes.push_back(now);
        while flap.changes.len() > bounds::FLAP_CHANGES
            || flap.changes.front().is_some_and(|at| now - *at > bounds::FLAP_WINDOW)
        {
            flap.changes.pop_front();
        }
        let told = flap.told;
        self.arm(TimerKey::Flap(check.clone()), told.then_some(now + bounds::FLAP_WINDOW));
    }

    /// Folds what was seen.
    pub(crate) fn apply_seeing(&mut self, event: &Event) {
        match event {
            Event::LooksTaken { vantage, looks } => self.take_looks(vantage, looks),
            Event::ResyncAsked { vantage, .. } | Event::VantageSilent { vantage } => {
                self.lose_vantage(vantage);
            }
            Event::Flapping { check, .. } => {
                if let Some(flap) = self.flaps.get_mut(check) {
                    flap.told = true;
                }
                self.arm(TimerKey::Flap(check.clone()), Some(self.now + bounds::FLAP_WINDOW));
            }
            Event::Steady { check } => {
                self.flaps.remove(check);
                self.arm(TimerKey::Flap(check.clone()), None);
            }
            Event::VerdictChanged { check, to, .. } => {
                self.note_change(check, *to);
                self.verdicts.insert(check.clone(), (*to, self.now));
                self.changed(&Read::Verdict(check.clone()));
            }
            _ => {}
        }
    }

    fn take_looks(&mut self, name: &Vantage, looks: &Looks) {
        let before = self.vantages.get(name);
        let synced = looks.all || before.is_some_and(|vantage| vantage.synced && vantage.boot == looks.boot);
        let heard = match (before, &looks.digest) {
            (Some(vantage), None) if !looks.all => vantage.heard,
            _ => self.now,
        };
        if looks.all {
            let checks: Vec<CheckName> = self.looks.keys().cloned().collect();
            for check in checks {
                self.looks[&check].remove(name);
            }
        }
        let sighted = looks.sighted;
        let vantage = VantageState { boot: looks.boot.clone(), n: looks.n, sighted, synced, heard };
        self.vantages.insert(name.clone(), vantage);
        // A vantage that is lost already can't fall silent once more.
        self.arm(TimerKey::Vantage(name.clone()), synced.then_some(heard + bounds::DIGESTS_MISSED));
        for look in &looks.changes {
            let status = if sighted { look.status } else { Status::Unknown };
            let saw = Saw { status, reason: look.reason.clone() };
            self.looks.entry(look.check.clone()).or_default().insert(name.clone(), saw);
            let watchers: Vec<RunId> =
                self.watchers.get(&look.check).map(|runs| runs.iter().cloned().collect()).unwrap_or_default();
            let now = self.now;
            for run in watchers {
                self.change_run(&run, |run| {
                    for w in run.watching_mut().filter(|w| w.watch.check == look.check) {
                        w.see(name, look, status, now);
                    }
                });
            }
        }
    }

    /// All that a vantage said is unknown until it says all again.
    fn lose_vantage(&mut self, name: &Vantage) {
        if let Some(vantage) = self.vantages.get_mut(name) {
            vantage.synced = mutation::is(Mutation::SilenceIsConsent);
        }
        self.arm(TimerKey::Vantage(name.clone()), None);
        let now = self.now;
        let watching: Vec<RunId> = self.watchers.values().flatten().cloned().collect();
        for run in watching {
            self.change_run(&run, |run| {
                for w in run.watching_mut() {
                    if w.seen.remove(name).is_some() {
                        w.judge(now);
                    }
                }
            });
        }
    }
}

impl Watching {
    /// Takes a look in, if it counts: begun after the result, and not one that was told before.
    fn see(&mut self, name: &Vantage, look: &Look, status: Status, now: Timestamp) {
        // What went stale before this look broke the hold.
        self.judge(now);
        let counts = look.tick >= self.watch.after || mutation::is(Mutation::StaleLooks);
        let again = self.seen.get(name).is_some_and(|seen| seen.tick == look.tick && seen.status == status);
        if look.wavers {
            self.seen.remove(name);
        } else if counts && !again {
            self.seen.insert(name.clone(), Seen { status, tick: look.tick, at: now });
        }
        self.judge(now);
    }

    /// Begins or breaks the hold. Unknown never holds.
    fn judge(&mut self, now: Timestamp) {
        if self.status(now) == self.watch.is {
            self.since = self.since.or(Some(now));
        } else {
            self.since = None;
        }
    }

    /// What the counting looks say together, as far as they are fresh.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        let fresh = self.seen.values().filter(|seen| now - seen.at <= self.watch.fresh);
        join(fresh.map(|seen| seen.status), self.watch.quorum)
    }

    /// Whether it has held for its whole time, by looks: a quorum must have looked at its end too, not just waited for.
    #[must_use]
    pub fn held(&self, now: Timestamp) -> bool {
        let Some(since) = self.since.filter(|_| self.status(now) == self.watch.is) else { return false };
        let at_end = self.seen.values().filter(|seen| seen.at - since >= self.watch.hold);
        self.watch.hold == Span::ZERO
            || join(at_end.map(|seen| seen.status), self.watch.quorum) == self.watch.is
    }
}

impl Decider<'_> {
    pub(crate) fn looks(&mut self, vantage: &Vantage, looks: &Looks) -> Result<(), Illegal> {
        if let Some(known) = self.s.vantages.get(vantage)
            && known.boot == looks.boot
            && looks.n <= known.n
        {
            return Ok(());
        }
        let version = self.s.set.as_ref().map_or(0, |(_, seq)| *seq);
        if looks.set_version != version {
            // Looks at another list: the probe hears of the new one by VIEW and says all again.
            return Ok(());
        }
        self.emit(Event::LooksTaken { vantage: vantage.clone(), looks: looks.clone() })?;
        if let Some(digest) = looks.digest.as_ref().filter(|_| looks.sighted) {
            let mine =
                self.s.looks.iter().filter_map(|(check, by)| by.get(vantage).map(|saw| (check, saw.status)));
            let count = mine.clone().count();
            let matches = digest_hash(mine) == *digest.hash && u32::try_from(count) == Ok(digest.count);
            let reason = if !self.s.vantages.get(vantage).is_some_and(|known| known.synced) {
                // The tick that asked for it may be lost, with the engine that sent it: it is asked again.
                Some("it has not said all yet")
            } else if matches {
                None
            } else {
                Some("its digest is not of what was taken in")
            };
            if let Some(reason) = reason {
                self.emit(Event::ResyncAsked { vantage: vantage.clone(), reason: reason.into() })?;
            }
        }
        let whole = looks.all || looks.digest.is_some();
        let touched: Vec<CheckName> = looks.changes.iter().map(|look| look.check.clone()).collect();
        self.verdicts_changed(if whole { None } else { Some(&touched) })?;
        self.advance_watchers(&touched)
    }

    fn advance_watchers(&mut self, touched: &[CheckName]) -> Result<(), Illegal> {
        for check in touched {
            let runs: Vec<RunId> =
                self.s.watchers.get(check).map(|runs| runs.iter().cloned().collect()).unwrap_or_default();
            for run in runs {
                self.advance(&run)?;
            }
        }
        Ok(())
    }

    /// Writes every verdict that changed among these checks, or among all.
    pub(crate) fn verdicts_changed(&mut self, among: Option<&[CheckName]>) -> Result<(), Illegal> {
        let Some(set) = self.set() else { return Ok(()) };
        let changed = |check: &Check| {
            let to = self.s.verdict(&set, check.name.as_str(), None);
            let from = self.s.verdicts.get(&check.name).map_or(Status::Unknown, |(status, _)| *status);
            (from != to).then(|| (check.clone(), from, to))
        };
        let changes: Vec<(Check, Status, Status)> = match among {
            Some(names) => {
                let above = names.iter().filter_map(|name| set.joined.get(name)).flatten();
                let names: BTreeSet<&CheckName> = names.iter().chain(above).collect();
                names.into_iter().filter_map(|name| set.checks.get(name)).filter_map(changed).collect()
            }
            None => set.checks.values().filter_map(changed).collect(),
        };
        // Members before what is joined from them: its reason names those that have changed.
        let (joined, looked): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|(check, ..)| matches!(check.kind, Kind::Of { .. }));
        for (check, from, to) in looked.into_iter().chain(joined) {
            let reason = self.s.because(&check, to);
            self.emit(Event::VerdictChanged { check: check.name.clone(), from, to, reason })?;
            self.flapping(&check.name)?;
            self.verdict_signals(&check.name, to)?;
        }
        Ok(())
    }

    /// A verdict that changes to and fro is told once, until it has been steady.
    fn flapping(&mut self, check: &CheckName) -> Result<(), Illegal> {
        let Some(flap) = self.s.flaps.get(check).filter(|flap| !flap.told) else { return Ok(()) };
        if flap.changes.len() < bounds::FLAP_CHANGES {
            return Ok(());
        }
        let changes = u32::try_from(flap.changes.len()).unwrap_or(u32::MAX);
        self.emit(Event::Flapping { check: check.clone(), changes })?;
        let text = format!("{check} flaps: {changes} changes within {}", bounds::FLAP_WINDOW);
        self.tell_system(&format!("flapping/{check}"), &text)
    }
}
