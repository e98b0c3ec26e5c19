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

/// Looks that are kept while they can't be told.
const CHANGES_MAX: usize = 1000;

/// One look as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The check.
    pub check: CheckName,
    /// Newest tick before the look.
    pub tick: u64,
    /// Well, or why not.
    pub found: Result<(), Arc<str>>,
}

/// What is known of a check.
#[derive(Clone, Debug)]
struct Known {
    status: Status,
    reason: Arc<str>,
    tick: u64,
    /// Looks in a row that say otherwise, and the tick of the first of them.
    row: u32,
    row_tick: u64,
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
            wavers: self.row > 0,
        }
    }

    /// Judges a look. A status changes after `fall` or `rise` looks in a row; its tick is that of the first.
    fn judge(&mut self, seen: &Seen) -> bool {
        self.looked = true;
        let found = if seen.found.is_ok() { Status::Up } else { Status::Down };
        if found == self.status {
            self.row = 0;
            self.tick = seen.tick;
            return false;
        }
        if self.row == 0 {
            self.row_tick = seen.tick;
        }
        self.row += 1;
        let needed = if found == Status::Up { self.rise } else { self.fall };
        // The very first looks settle at once: unknown helps nobody longer than it must.
        if self.row < needed && self.status != Status::Unknown {
            return false;
        }
        self.status = found;
        self.tick = self.row_tick;
        self.reason = seen.found.as_ref().err().cloned().unwrap_or_else(|| "".into());
        self.row = 0;
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
    sighted: watch::Receiver<bool>,
    was_sighted: bool,
    changes: Vec<Look>,
    say_all: bool,
    say_digest: bool,
}

impl Report {
    pub fn new(
        facts: Writer,
        boot: Nonce,
        heard: watch::Receiver<Option<Heard>>,
        sighted: watch::Receiver<bool>,
    ) -> Self {
        let was_sighted = *sighted.borrow();
        Self {
            facts,
            boot,
            n: 0,
            version: 0,
            known: BTreeMap::new(),
            heard,
            sighted,
            was_sighted,
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
                row: 0,
                row_tick: 0,
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

    /// Tells what there is to tell. What could not be told is covered by saying all the next time.
    pub async fn send(&mut self) {
        let sighted = *self.sighted.borrow();
        if sighted != self.was_sighted {
            self.was_sighted = sighted;
            self.say_all = true;
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
            row: 0,
            row_tick: 0,
            fall: 3,
            rise: 2,
            watched: false,
            looked: true,
        }
    }

    fn see(known: &mut Known, tick: u64, well: bool) -> bool {
        known.judge(&Seen { check: "c".into(), tick, found: if well { Ok(()) } else { Err("503".into()) } })
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
    fn the_first_look_settles_at_once() {
        let mut web = known(Status::Unknown);
        assert!(see(&mut web, 1, false));
        assert_eq!(web.status, Status::Down);
    }
}
