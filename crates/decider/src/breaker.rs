//! Circuit breakers: repairs of one kind that keep failing stop; after a rest one is tried, with approval.

use imbl::Vector;
use regreen_playbook::model::Playbook;
use regreen_schemas::{
    PlaybookName, Timestamp,
    event::Event,
    run::{Block, RunResult},
};
use serde::{Deserialize, Serialize};

use crate::{
    bounds,
    decide::Decider,
    guards::{Said, passes},
    run::Run,
    state::{Illegal, State},
};

/// How a playbook's repairs went lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Breaker {
    /// Ends of runs that failed, oldest first.
    pub failures: Vector<Timestamp>,
    /// It is open: the end of its rest.
    pub until: Option<Timestamp>,
}

/// Whether a result says that a repair does not work.
const fn is_failure(result: RunResult) -> bool {
    matches!(result, RunResult::Failed | RunResult::Undone | RunResult::Unknown)
}

impl State {
    /// Remembers a run that failed after it did something.
    pub(crate) fn note_failure(&mut self, playbook: &PlaybookName, result: RunResult) {
        if !is_failure(result) {
            return;
        }
        let now = self.now;
        let failures = &mut self.breakers.entry(playbook.clone()).or_default().failures;
        failures.push_back(now);
        while failures.len() > bounds::FAILURES_MAX {
            failures.pop_front();
        }
    }

    /// Whether a playbook may begin.
    pub(crate) fn breaker(&self, playbook: &Playbook) -> Option<Said> {
        playbook.guard.breaker?;
        let Some(until) = self.breakers.get(&playbook.name).and_then(|breaker| breaker.until) else {
            return Some(passes("circuit_breaker", "closed"));
        };
        let trial = self.runs.values().find(|run| run.trial && run.playbook == playbook.name);
        let saw = match trial {
            _ if self.now < until => format!("open until {until}"),
            Some(run) => format!("run {} is tried first", run.id),
            None => return Some(passes("circuit_breaker", "rested: one is tried, with approval")),
        };
        let again = (self.now < until).then_some(until);
        Some(Said { guard: "circuit_breaker", saw, block: Some(Block::Breaker { until }), until: again })
    }
}

impl Decider<'_> {
    /// What the end of a run says about repairs of its kind.
    pub(crate) fn outcome_of(
        &mut self,
        name: &PlaybookName,
        run: &Run,
        result: RunResult,
        trial: bool,
    ) -> Result<(), Illegal> {
        let set = self.pinned(run);
        let playbook = set.as_ref().and_then(|set| set.playbooks.get(name));
        let Some(breaker) = playbook.and_then(|playbook| playbook.guard.breaker) else { return Ok(()) };
        let now = self.s.now;
        let known = self.s.breakers.get(name).cloned().unwrap_or_default();
        let failed = known.failures.iter().filter(|at| now - **at < breaker.within).count();
        if result.is_well() && known.until.is_some_and(|until| until <= now) {
            return self.emit(Event::BreakerClosed { playbook: name.clone() });
        }
        // Of a playbook within nothing is a trial: after the rest it counts as closed.
        let closed = known.until.is_none_or(|until| until <= now);
        let opens = is_failure(result) && (trial || closed && failed >= breaker.failures as usize);
        if !opens {
            return Ok(());
        }
        let until = now + breaker.rest;
        self.emit(Event::BreakerOpened { playbook: name.clone(), until })?;
        let text =
            format!("{name} keeps failing: {failed} times within {}; it rests until {until}", breaker.within);
        self.tell_system(&format!("breaker/{name}"), &text)
    }
}
