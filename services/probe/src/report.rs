//! Fall and rise, and what must be told: the pure part of a probe, with its outbox.

use std::{collections::BTreeMap, sync::Arc};

use regreen_bus::{tick::Heard, writer::Writer};
use regreen_schemas::{
    CheckName,
    check::{Digest, Look, Status, digest_hash},
    fact::Looks,
    id::{Nonce, Vantage},
    view::Checks,
};
use tokio::sync::watch;

use crate::{expose::Own, look::Found, sight::Sight};

/// Looks that are kept while they can't be told.
const CHANGES_MAX: usize = 1000;

/// One look as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The check.
    pub check: CheckName,
    /// Newest tick before the look.
    pub tick: u64,
    /// What it found.
    pub found: Found,
}

/// Where a look lies from the status. Looks that could not tell are evidence of nothing but that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Better,
    Worse,
    Blind,
}

impl Side {
    fn of(status: Status, found: Status) -> Self {
        match found {
            Status::Unknown => Self::Blind,
            found if found < status => Self::Better,
            _ => Self::Worse,
        }
    }
}

/// Looks in a row on one side of the status: better or worse.
#[derive(Clone, Copy, Debug)]
struct Row {
    side: Side,
    count: u32,
    /// The nearest status among them.
    to: Status,
    /// Tick of the first.
    tick: u64,
}

/// What is known of a check.
#[derive(Clone, Debug)]
struct Known {
    status: Status,
    reason: Arc<str>,
    tick: u64,
    /// Looks in a row that say otherwise.
    row: Option<Row>,
    fall: u32,
    rise: u32,
    watched: bool,
    looked: bool,
}

impl Known {
    /// As it is told.
    fn look(&self, check: &CheckName) -> Look {
        Look {
            check: check.clone(),
            status: self.status,
            reason: self.reason.clone(),
            tick: self.tick,
            wavers: self.row.is_some(),
        }
    }

    /// Judges a look. A status changes after `fall` looks in a row that found it worse, or `rise` that found it
    /// better: to the least change that all of the row agree on, with the tick of the first of them.
    fn judge(&mut self, seen: &Seen) -> bool {
        let first = !std::mem::replace(&mut self.looked, true);
        let found = seen.found.status;
        if found == self.status {
            self.row = None;
            self.tick = seen.tick;
            return false;
        }
        let side = Side::of(self.status, found);
        let row = match self.row.take() {
            Some(row) if row.side == side => {
                let to = if side == Side::Worse { row.to.min(found) } else { row.to.max(found) };
                Row { count: row.count + 1, to, ..row }
            }
            _ => Row { side, count: 1, to: found, tick: seen.tick },
        };
        let needed = if side == Side::Better { self.rise } else { self.fall };
        // The very first look settles at once: unknown helps nobody longer than it must.
        if row.count < needed && !first {
            self.row = Some(row);
            return false;
        }
        self.status = row.to;
        self.tick = row.tick;
        self.reason = seen.found.reason.clone();
        true
    }
}

/// What this vantage knows and has yet to tell.
pub struct Report {
    facts: Writer,
    boot: Nonce,
    n: u64,
    version: u64,
    known: BTreeMap<CheckName, Known>,
    heard: watch::Receiver<Option<Heard>>,
    sight: Sight,
    was_sighted: bool,
    own: watch::Sender<Own>,
    changes: Vec<Look>,
    say_all: bool,
    say_digest: bool,
}

impl Report {
    pub fn new(
        facts: Writer,
        boot: Nonce,
        heard: watch::Receiver<Option<Heard>>,
        sight: Sight,
        own: watch::Sender<Own>,
    ) -> Self {
        let was_sighted = sight.sees();
        Self {
            facts,
            boot,
            n: 0,
            version: 0,
            known: BTreeMap::new(),
            heard,
            sight,
            was_sighted,
            own,
            changes: Vec::new(),
            say_all: false,
            say_digest: false,
        }
    }

    /// A list came: new ones begin unknown, those that stay keep what is known.
    pub fn list(&mut self, list: &Checks, vantage: &Vantage) {
        let mine = list.checks.iter().filter(|check| check.vantages.contains(vantage));
        let mut known = BTreeMap::new();
        for check in mine {
            let fresh = || Known {
                status: Status::Unknown,
                reason: "not looked at yet".into(),
                tick: 0,
                row: None,
                fall: 1,
                rise: 1,
                watched: false,
                looked: false,
            };
            let before = self.known.remove(&check.name).unwrap_or_else(fresh);
            let watched = list.watched.contains(&check.name);
            known.insert(check.name.clone(), Known { fall: check.fall, rise: check.rise, watched, ..before });
        }
        self.known = known;
        self.show();
        if list.version != self.version {
            self.version = list.version;
            self.changes.clear();
            self.all();
        }
    }

    /// A look came in.
    pub fn note(&mut self, seen: Seen) {
        let Some(known) = self.known.get_mut(&seen.check) else { return };
        let changed = known.judge(&seen);
        if changed && self.was_sighted {
            let shown = (known.status, known.reason.clone());
            self.own.send_modify(|own| drop(own.insert(seen.check.clone(), shown)));
        }
        // A watched check is told at every look.
        if changed || known.watched {
            self.changes.push(known.look(&seen.check));
        }
    }

    pub fn digest(&mut self) {
        self.say_digest = true;
    }

    pub fn all(&mut self) {
        self.say_all = true;
    }

    /// Shows all that is seen from here; nothing while the vantage is blind.
    fn show(&self) {
        let seen = |(check, known): (&CheckName, &Known)| {
            let status = if self.was_sighted { known.status } else { Status::Unknown };
            (check.clone(), (status, known.reason.clone()))
        };
        self.own.send_replace(self.known.iter().map(seen).collect());
    }

    /// Tells what there is to tell. What could not be told is covered by saying all the next time.
    pub async fn send(&mut self) {
        let sighted = self.sight.sees();
        if sighted != self.was_sighted {
            self.was_sighted = sighted;
            self.say_all = true;
            self.show();
        }
        let news = self.say_all || self.say_digest || !self.changes.is_empty();
        if !news || self.version == 0 {
            return;
        }
        let tick = self.heard.borrow().as_ref().map_or(0, |heard| heard.tick.seq);
        // Every look at a watched check counts, also those before all is said: one that failed breaks a hold.
        let mut changes = self.changes.clone();
        if self.say_all {
            changes.extend(self.known.iter().map(|(check, known)| known.look(check)));
        }
        let digest = self.say_digest.then(|| Digest {
            tick,
            count: u32::try_from(self.known.len()).unwrap_or(u32::MAX),
            hash: digest_hash(self.known.iter().map(|(check, known)| (check, known.status))).into(),
            overdue: self
                .known
                .iter()
                .filter(|(_, known)| !known.looked)
                .map(|(check, _)| check.clone())
                .collect(),
        });
        self.n += 1;
        let looks = Looks {
            boot: self.boot.clone(),
            n: self.n,
            set_version: self.version,
            sighted,
            changes,
            all: self.say_all,
            digest,
        };
        match self.facts.store(&looks).await {
            Ok(_) => {
                (self.say_all, self.say_digest) = (false, false);
                self.changes.clear();
            }
            Err(error) => {
                tracing::warn!(%error, "looks are not stored; all statuses are said again");
                self.say_all = true;
                let surplus = self.changes.len().saturating_sub(CHANGES_MAX);
                self.changes.drain(..surplus);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(status: Status) -> Known {
        Known {
            status,
            reason: "".into(),
            tick: 0,
            row: None,
            fall: 3,
            rise: 2,
            watched: false,
            looked: true,
        }
    }

    fn see(known: &mut Known, tick: u64, well: bool) -> bool {
        known.judge(&Seen {
            check: "c".into(),
            tick,
            found: if well { Found::up() } else { Found::down("503") },
        })
    }

    #[test]
    fn a_status_changes_after_a_row_and_carries_the_tick_of_its_first_look() {
        let mut web = known(Status::Up);
        let changes = [(1, false), (2, false), (3, true), (4, false), (5, false), (6, false)]
            .map(|(tick, well)| see(&mut web, tick, well));
        assert_eq!(changes, [false, false, false, false, false, true], "a good look breaks the row");
        assert_eq!((web.status, web.tick), (Status::Down, 4));
        assert!(!see(&mut web, 7, true));
        assert!(see(&mut web, 8, true));
        assert_eq!((web.status, web.tick), (Status::Up, 7));
    }

    #[test]
    fn a_row_of_different_looks_changes_to_what_they_all_agree_on() {
        use Status::{Degraded, Down, Unknown, Up};
        let after = |from: Status, looks: &[Status]| {
            let mut web = known(from);
            for (tick, status) in (1..).zip(looks) {
                let found = Found::not_up(*status, "");
                web.judge(&Seen { check: "c".into(), tick, found });
            }
            (web.status, web.tick)
        };
        assert_eq!(after(Up, &[Down, Degraded, Down]), (Degraded, 1), "all say: at least degraded");
        assert_eq!(after(Up, &[Down, Up, Down, Down]), (Up, 2), "a good look breaks the row");
        assert_eq!(after(Down, &[Up, Degraded]), (Degraded, 1), "both say: at least degraded");
        assert_eq!(after(Degraded, &[Up, Down, Up]), (Degraded, 0), "each breaks the other's row");
        assert_eq!(after(Up, &[Down, Unknown, Down, Down]), (Up, 0), "who can't tell is no witness");
        assert_eq!(after(Up, &[Unknown, Unknown, Unknown]), (Unknown, 1));
    }

    #[test]
    fn the_first_look_settles_at_once() {
        let mut web = Known { looked: false, ..known(Status::Unknown) };
        assert!(see(&mut web, 1, false));
        assert_eq!(web.status, Status::Down);
        let mut blind = known(Status::Unknown);
        assert!(!see(&mut blind, 2, false), "after looks that could not tell, one that fails is one");
    }
}
