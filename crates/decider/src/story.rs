//! Stories for people, folded from the same events as the state: what RUNS shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regreen_schemas::{
    RunId, Timestamp, WIRE_VERSION,
    event::{Event, Origin, RunEvent},
    record::Record,
    story::{LINES_MAX, Line, Story},
};
use serde::{Deserialize, Serialize};

/// Stories of open runs, and of lately ended ones until they are taken.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stories {
    open: BTreeMap<RunId, Arc<Story>>,
    epoch: u64,
}

impl Stories {
    /// Folds a record; returns the stories that changed. Those that ended leave.
    pub fn fold(&mut self, record: &Record, seq: u64) -> Vec<Story> {
        let mut changed = BTreeSet::new();
        for item in &record.items {
            for event in &item.events {
                match event {
                    Event::Takeover { .. } => self.epoch = seq,
                    Event::Run { run, what } => {
                        self.line(run, what, item.now, seq);
                        changed.insert(run.clone());
                    }
                    _ => {}
                }
            }
        }
        changed.into_iter().filter_map(|run| self.take(&run)).collect()
    }

    /// The stories of all open runs.
    #[must_use]
    pub fn open(&self) -> Vec<Story> {
        self.open.values().map(|story| Story { epoch: self.epoch, ..Story::clone(story) }).collect()
    }

    fn take(&mut self, run: &RunId) -> Option<Story> {
        let story = if self.open.get(run)?.result.is_some() {
            self.open.remove(run).map(Arc::unwrap_or_clone)?
        } else {
            Story::clone(self.open.get(run)?)
        };
        Some(Story { epoch: self.epoch, ..story })
    }

    fn line(&mut self, run: &RunId, what: &RunEvent, at: Timestamp, seq: u64) {
        if let RunEvent::Started { playbook, target, origin, .. } = what {
            let fingerprint = match origin {
                Origin::Alert { fingerprint } => Some(fingerprint.clone()),
                Origin::Manual { .. } => None,
            };
            let target = target.as_ref().map(|target| target.name().clone());
            let (playbook, run) = (playbook.clone(), run.clone());
            let story = Story {
                v: WIRE_VERSION,
                seq,
                epoch: self.epoch,
                run: run.clone(),
                playbook,
                target,
                fingerprint,
                started: at,
                ended: None,
                result: None,
                lines: Vec::new(),
                cut: 0,
            };
            self.open.insert(run, Arc::new(story));
        }
        let Some(story) = self.open.get_mut(run).map(Arc::make_mut) else { return };
        story.seq = seq;
        if let RunEvent::Ended { result, .. } = what {
            (story.ended, story.result) = (Some(at), Some(*result));
        }
        if story.lines.len() >= LINES_MAX {
            // The beginning and the newest lines say most.
            story.lines.remove(LINES_MAX / 2);
            story.cut += 1;
        }
        story.lines.push(Line { at, seq, what: what.clone() });
    }
}
