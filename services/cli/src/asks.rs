//! What waits for a person, and the command that answers it: `status` and `top` show the same lines.

use std::sync::Arc;

use regreen_decider::{Run, Stage, State};
use regreen_schemas::{PlaybookName, RunId, Timestamp};
use serde::Serialize;

/// A question to a person.
#[derive(Debug, Serialize)]
pub struct Ask {
    /// The run that waits.
    pub run: RunId,
    /// Its playbook.
    pub playbook: PlaybookName,
    /// Its target's name.
    pub target: Option<Arc<str>>,
    /// What is asked.
    pub question: String,
    /// The command that answers.
    pub answer: String,
    /// Without an answer the run ends by then.
    pub until: Option<Timestamp>,
}

/// Everything that waits for a person, the most urgent first.
pub fn asks(state: &State) -> Vec<Ask> {
    let mut asks: Vec<Ask> =
        state.runs.values().filter_map(|run| settle(run).or_else(|| approve(run))).collect();
    asks.sort_by_key(|ask| ask.until.unwrap_or(Timestamp(i64::MAX)));
    asks
}

/// The question of a run whose effect nobody could look up.
fn settle(run: &Run) -> Option<Ask> {
    let Stage::Asking(attempt) = &run.stage else { return None };
    Some(Ask {
        run: run.id.clone(),
        playbook: run.playbook.clone(),
        target: run.target.as_ref().map(|target| target.name().clone()),
        question: format!("did {} (attempt {}) take place?", attempt.instance, attempt.number),
        answer: format!("`regreen settle {} --done` or `--not-done`", run.id),
        until: run.until,
    })
}

/// The approval that a run waits for.
fn approve(run: &Run) -> Option<Ask> {
    let Stage::Approving(asked) = &run.stage else { return None };
    let what = match asked.plan.as_slice() {
        [] => String::new(),
        [only] => format!(": {only}"),
        [first, rest @ ..] => format!(": {first} (and {} more)", rest.len()),
    };
    Some(Ask {
        run: run.id.clone(),
        playbook: run.playbook.clone(),
        target: run.target.as_ref().map(|target| target.name().clone()),
        question: format!("{} shall say yes{what}", asked.by),
        answer: format!("`regreen approve {0}` or `regreen deny {0}`", run.id),
        until: Some(asked.until),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_most_urgent_question_comes_first_and_says_how_to_answer() {
        let state = fixture::busy();
        let asks = asks(&state);
        assert_eq!(asks.len(), 1);
        assert_eq!(asks[0].run.as_str(), fixture::ASKS);
        assert!(asks[0].answer.contains(&format!("regreen settle {} --done", fixture::ASKS)));
        assert!(super::asks(&State::default()).is_empty());
    }
}
