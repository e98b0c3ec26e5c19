//! The sets at hand, and what each of them is with the roster of a state: made anew when the roster changes, and kept
//! until then. Nothing that is decided depends on what is kept.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use regreen_playbook::Set;
use regreen_schemas::{SetHash, roster::Roster};

use crate::state::State;

/// Rosters that are kept with each set: that of what is decided, and that of what is acknowledged.
const KEPT: usize = 2;

/// Sets by hash: every one that an open run pins, and the one in force.
#[derive(Clone, Debug, Default)]
pub struct Library {
    /// The sets, as their files are.
    pub sets: BTreeMap<SetHash, Arc<Set>>,
    made: Arc<Mutex<BTreeMap<SetHash, Vec<Made>>>>,
}

/// A set with a roster.
#[derive(Clone, Debug)]
struct Made {
    files: Arc<Set>,
    roster: Arc<Roster>,
    set: Arc<Set>,
}

impl Made {
    fn is_of(&self, files: &Arc<Set>, roster: &Arc<Roster>) -> bool {
        Arc::ptr_eq(&self.files, files) && (Arc::ptr_eq(&self.roster, roster) || self.roster == *roster)
    }
}

impl Library {
    /// A library of these.
    #[must_use]
    pub fn new(sets: BTreeMap<SetHash, Arc<Set>>) -> Self {
        Self { sets, ..Self::default() }
    }

    /// The set in force, with the nodes that no file lists and without those that are gone.
    #[must_use]
    pub fn in_force(&self, state: &State) -> Option<Arc<Set>> {
        state.set.as_ref().and_then(|(hash, _)| self.set(state, hash))
    }

    /// The same of any set.
    #[must_use]
    pub fn set(&self, state: &State, hash: &SetHash) -> Option<Arc<Set>> {
        let files = self.sets.get(hash)?;
        let roster = &state.roster;
        if roster.is_empty() {
            return Some(files.clone());
        }
        // What a panic left there is whole: it is only ever replaced.
        let lock = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let kept =
            lock().get(hash).and_then(|kept| kept.iter().find(|made| made.is_of(files, roster)).cloned());
        if let Some(made) = kept {
            return Some(made.set);
        }
        let set = Arc::new(files.with(roster));
        let made = Made { files: files.clone(), roster: roster.clone(), set: set.clone() };
        let mut kept = lock();
        kept.retain(|hash, _| self.sets.contains_key(hash));
        let of = kept.entry(hash.clone()).or_default();
        of.insert(0, made);
        of.truncate(KEPT);
        Some(set)
    }
}
