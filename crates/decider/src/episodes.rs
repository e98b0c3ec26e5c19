//! Episodes as state: an alert from its first firing to its end, what was decided on it, and what makes it be decided
//! again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regreen_schemas::{
    Fingerprint, PlaybookName, RunId, Timestamp,
    alert::Alert,
    event::{Read, Source},
    run::{Decision, RunResult},
};
use serde::{Deserialize, Serialize};

use crate::{
    bounds,
    signals::open_for,
    state::{Illegal, State, TimerKey},
};

/// An alert from its first firing to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// The alert that opened it.
    pub alert: Alert,
    /// What that is.
    pub source: Source,
    /// When it was opened, in `now`.
    pub opened: Timestamp,
    /// When it was heard of last.
    pub heard: Timestamp,
    /// When it ended, by the alert, and when that was learned.
    pub closed: Option<(Timestamp, Timestamp)>,
    /// After the closing it was heard firing, and not resolved since.
    pub straggler: bool,
    /// The newest decisions.
    pub decisions: Vec<Decision>,
    /// When it was decided again last.
    pub reconsidered: Option<Timestamp>,
    /// A change of one of these makes it be decided again.
    pub reads: Vec<Read>,
    /// When it is to be decided again.
    pub again_at: Option<Timestamp>,
    /// Runs that dealt with it, by playbook: at most one that dispatched an effect.
    pub handled: BTreeMap<PlaybookName, (RunId, RunResult, Timestamp)>,
    /// Open runs that it started or joined, by playbook.
    pub running: BTreeMap<PlaybookName, RunId>,
    /// Playbooks whose blocking was told, or whose alert outlived its repair.
    pub told: BTreeSet<PlaybookName>,
    /// Playbooks that people heard of in an episode just before it, of the same alert: that they are blocked is no news.
    #[serde(default)]
    pub quiet: BTreeSet<PlaybookName>,
    /// Windows of `correlate` that it stands in, or stood in.
    pub windows: Vec<(PlaybookName, Arc<str>)>,
}

impl State {
    pub(crate) fn open_episode(&mut self, alert: &Alert, source: &Source) {
        let lately = |episode: &&Arc<Episode>| {
            episode.closed.is_some_and(|(_, learned)| self.now - learned < bounds::STRAGGLERS)
        };
        let before = self.episodes.get(&alert.fingerprint).filter(lately);
        let quiet = before.map(|before| before.told.union(&before.quiet).cloned().collect());
        self.forget_episode(&alert.fingerprint);
        let episode = Episode {
            alert: alert.clone(),
            source: source.clone(),
            opened: self.now,
            heard: self.now,
            closed: None,
            straggler: false,
            decisions: Vec::new(),
            reconsidered: None,
            reads: Vec::new(),
            again_at: None,
            handled: BTreeMap::new(),
            running: BTreeMap::new(),
            told: BTreeSet::new(),
            quiet: quiet.unwrap_or_default(),
            windows: Vec::new(),
        };
        self.episodes.insert(alert.fingerprint.clone(), Arc::new(episode));
        self.change_episode(&alert.fingerprint, |_| {});
    }

    pub(crate) fn close_episode(
        &mut self,
        fingerprint: &Fingerprint,
        ended: Timestamp,
    ) -> Result<(), Illegal> {
        if self.episodes.get(fingerprint).is_none_or(|episode| episode.closed.is_some()) {
            return Err(Illegal(format!("episode {fingerprint} is not open")));
        }
        self.unread(fingerprint);
        self.leave_windows(fingerprint);
        let now = self.now;
        self.change_episode(fingerprint, |episode| {
            episode.closed = Some((ended, now));
            episode.again_at = None;
            episode.reads = Vec::new();
        });
        Ok(())
    }

    pub(crate) fn forget_episode(&mut self, fingerprint: &Fingerprint) {
        self.unread(fingerprint);
        self.leave_windows(fingerprint);
        self.episodes.remove(fingerprint);
        self.arm(TimerKey::Episode(fingerprint.clone()), None);
    }

    /// Something that decisions read has changed: their episodes are decided again, at most every five seconds.
    pub(crate) fn changed(&mut self, read: &Read) {
        let readers: Vec<Fingerprint> =
            self.readers.get(read).map(|set| set.iter().cloned().collect()).unwrap_or_default();
        let now = self.now;
        for fingerprint in readers {
            self.change_episode(&fingerprint, |episode| {
                // The first change is looked at at once: a verdict that comes just after its alert costs no time.
                let at = episode.reconsidered.map_or(now, |last| now.max(last + bounds::RECONSIDER));
                episode.again_at = Some(episode.again_at.map_or(at, |again| again.min(at)));
            });
        }
    }

    pub(crate) fn unread(&mut self, fingerprint: &Fingerprint) {
        let reads = self.episodes.get(fingerprint).map(|episode| episode.reads.clone()).unwrap_or_default();
        for read in reads {
            if let Some(readers) = self.readers.get_mut(&read) {
                readers.remove(fingerprint);
                if readers.is_empty() {
                    self.readers.remove(&read);
                }
            }
        }
    }

    pub(crate) fn note_decision(
        &mut self,
        fingerprint: &Fingerprint,
        decisions: &[Decision],
        reads: &[Read],
        again_at: Option<Timestamp>,
        heard: bool,
    ) {
        let open = self.episodes.get(fingerprint).is_some_and(|episode| episode.closed.is_none());
        if !open {
            return;
        }
        self.unread(fingerprint);
        for read in reads {
            self.readers.entry(read.clone()).or_default().insert(fingerprint.clone());
        }
        let now = self.now;
        self.change_episode(fingerprint, |episode| {
            episode.decisions = decisions.to_vec();
            episode.reads = reads.to_vec();
            episode.again_at = again_at;
            if heard {
                episode.heard = now;
            } else {
                episode.reconsidered = Some(now);
            }
        });
    }

    pub(crate) fn change_episode(&mut self, fingerprint: &Fingerprint, change: impl FnOnce(&mut Episode)) {
        let Some(episode) = self.episodes.get_mut(fingerprint) else { return };
        change(Arc::make_mut(episode));
        let at = episode.deadline();
        self.arm(TimerKey::Episode(fingerprint.clone()), at);
    }
}

impl Episode {
    /// When it must be looked at next.
    fn deadline(&self) -> Option<Timestamp> {
        if let Some((_, learned)) = self.closed {
            return Some(learned + bounds::STRAGGLERS);
        }
        let silent = open_for(&self.source).map(|open| self.heard + open);
        let still = self.handled.iter().filter_map(|(playbook, (_, result, ended))| {
            let outlived = *result == RunResult::Repaired && !self.told.contains(playbook);
            (outlived && self.source.lasts()).then_some(*ended + bounds::STILL_FIRING)
        });
        silent.into_iter().chain(self.again_at).chain(still).min()
    }
}
