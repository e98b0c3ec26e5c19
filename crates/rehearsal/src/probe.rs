//! The virtual probe: all vantages see what the timeline says. What a verify watches is looked at when it begins, at every
//! change, and often enough that nothing goes stale.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regreen_decider::{Stage, State};
use regreen_playbook::Set;
use regreen_schemas::{
    CheckName, Span, Timestamp,
    check::{Digest, Look, Status, digest_hash},
    fact::Looks,
    id::Vantage,
    view,
};

/// A vantage that was not heard for so long says that it is there.
const HEARD: Span = Span::seconds(10);

/// What is seen of all checks.
pub(crate) struct Probe {
    set: Arc<Set>,
    statuses: BTreeMap<CheckName, Status>,
    vantages: BTreeSet<Vantage>,
    /// When each watched check was looked at last; none: it is due at once.
    looked: BTreeMap<CheckName, Option<Timestamp>>,
    n: u64,
}

impl Probe {
    pub fn new(set: &Arc<Set>) -> Self {
        let looked_at = set.checks.values().filter(|check| !matches!(check.kind, view::Kind::Of { .. }));
        let vantages = looked_at.clone().flat_map(|check| check.vantages.iter().cloned()).collect();
        let statuses = looked_at.map(|check| (check.name.clone(), Status::Unknown)).collect();
        Self { set: set.clone(), statuses, vantages, looked: BTreeMap::new(), n: 0 }
    }

    /// All that every vantage sees: the first report.
    pub fn all(&mut self, state: &State) -> Vec<(Vantage, Looks)> {
        let checks: Vec<CheckName> = self.statuses.keys().cloned().collect();
        self.report(state, &checks, true)
    }

    /// The list of checks is another one: all of it is told.
    pub fn list(&mut self, set: &Arc<Set>, state: &State) -> Vec<(Vantage, Looks)> {
        self.set = set.clone();
        let looked_at = set.checks.values().filter(|check| !matches!(check.kind, view::Kind::Of { .. }));
        for check in looked_at {
            self.statuses.entry(check.name.clone()).or_insert(Status::Unknown);
        }
        self.all(state)
    }

    /// From now on these are so.
    pub fn change(
        &mut self,
        verdicts: &[(CheckName, Status)],
        state: &State,
        now: Timestamp,
    ) -> Vec<(Vantage, Looks)> {
        let mut changed = Vec::new();
        for (check, status) in verdicts {
            if self.statuses.insert(check.clone(), *status) != Some(*status) {
                changed.push(check.clone());
            }
        }
        for check in &changed {
            self.looked.entry(check.clone()).and_modify(|at| *at = Some(now));
        }
        self.report(state, &changed, false)
    }

    /// A verify begins: what it watches is looked at anew.
    pub fn watch(&mut self, check: &CheckName) {
        self.looked.insert(check.clone(), None);
    }

    /// When something that is watched is looked at next.
    pub fn next(&mut self, state: &State, now: Timestamp) -> Option<Timestamp> {
        self.looked.retain(|check, _| state.watchers.contains_key(check));
        self.looked.iter().filter_map(|(check, last)| self.due(check, *last, state, now)).min()
    }

    fn due(
        &self,
        check: &CheckName,
        last: Option<Timestamp>,
        state: &State,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let Some(last) = last else { return Some(now) };
        let check = self.set.checks.get(check)?;
        let interval = check.interval.0.max(1);
        // Not every look is played: only so many that nothing goes stale, and the one that ends the hold.
        let often = (check.fresh.0 / 2 / interval).max(1) * interval;
        // The first look at or after the moment when it will have held.
        let after = |until: Timestamp| {
            let steps = ((until - last).0 + interval - 1).div_euclid(interval);
            last + Span(steps.max(1) * interval)
        };
        let ends = holds_until(state, &check.name).into_iter().map(after);
        ends.chain([last + Span(often)]).min()
    }

    /// Looks at what is due.
    pub fn look(&mut self, state: &State, now: Timestamp) -> Vec<(Vantage, Looks)> {
        let due: Vec<CheckName> = self
            .looked
            .iter()
            .filter(|(check, last)| self.due(check, **last, state, now).is_some_and(|at| at <= now))
            .map(|(check, _)| check.clone())
            .collect();
        for check in &due {
            self.looked.insert(check.clone(), Some(now));
        }
        self.report(state, &due, false)
    }

    /// Before a jump in time, vantages that were not heard for long say that they are there.
    pub fn heard(&mut self, state: &State, at: Timestamp) -> Vec<(Vantage, Looks)> {
        let silent = state.vantages.values().any(|vantage| at - vantage.heard >= HEARD);
        if !silent {
            return Vec::new();
        }
        let mut reports = self.report(state, &[], true);
        for (vantage, looks) in &mut reports {
            let mine = self.seen_by(vantage);
            let count = u32::try_from(mine.len()).unwrap_or(u32::MAX);
            let hash = digest_hash(mine.iter().map(|(check, status)| (*check, *status))).into();
            looks.all = false;
            looks.digest = Some(Digest { tick: state.seq, count, hash, overdue: Vec::new() });
        }
        reports
    }

    fn seen_by(&self, vantage: &Vantage) -> Vec<(&CheckName, Status)> {
        let sees = |check: &CheckName| {
            self.set.checks.get(check).is_some_and(|check| check.vantages.contains(vantage))
        };
        self.statuses
            .iter()
            .filter(|(check, _)| sees(check))
            .map(|(check, status)| (check, *status))
            .collect()
    }

    fn report(&mut self, state: &State, checks: &[CheckName], all: bool) -> Vec<(Vantage, Looks)> {
        let version = state.set.as_ref().map_or(0, |(_, version)| *version);
        self.n += 1;
        let mut out = Vec::new();
        for vantage in &self.vantages {
            let seen = self.seen_by(vantage).into_iter().filter(|(check, _)| checks.contains(check));
            let look = |(check, status): (&CheckName, Status)| Look {
                check: check.clone(),
                status,
                reason: "".into(),
                tick: state.seq,
                wavers: false,
            };
            let changes: Vec<Look> = seen.map(look).collect();
            if changes.is_empty() && !all {
                continue;
            }
            let looks = Looks {
                boot: "probe".into(),
                n: self.n,
                set_version: version,
                sighted: true,
                changes,
                all,
                digest: None,
            };
            out.push((vantage.clone(), looks));
        }
        out
    }
}

/// When verifies of a check that hold now will have held for their whole time.
fn holds_until(state: &State, check: &CheckName) -> Vec<Timestamp> {
    let runs = state.watchers.get(check).into_iter().flatten().filter_map(|run| state.runs.get(run));
    let mut out = Vec::new();
    for (_, stage) in runs.flat_map(|run| run.stages()) {
        let Stage::Verifying(watching) = stage else { continue };
        let own = watching.iter().filter(|watching| watching.watch.check == *check);
        out.extend(own.filter_map(|watching| Some(watching.since? + watching.watch.hold)));
    }
    out
}
