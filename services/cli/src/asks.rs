//! What waits for a person, and the command that answers it: `status` and `top` show the same lines.

use std::sync::Arc;

use regreen_decider::{Attempt, Run, State};
use regreen_schemas::{PlaybookName, RunId, Timestamp, message};
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
    let of = |run: &Arc<Run>| -> Vec<Ask> {
        let in_doubt = run.in_doubt().map(|attempt| settle(run, attempt));
        in_doubt.chain(run.approvals().map(|asked| approve(run, asked))).collect()
    };
    let mut asks: Vec<Ask> = state.runs.values().flat_map(of).collect();
    asks.sort_by_key(|ask| ask.until.unwrap_or(Timestamp(i64::MAX)));
    asks
}

/// The question of a run whose effect nobody could look up.
fn settle(run: &Run, attempt: &Attempt) -> Ask {
    Ask {
        run: run.id.clone(),
        playbook: run.playbook.clone(),
        target: run.target.as_ref().map(|target| target.name().clone()),
        question: format!("did {} (attempt {}) take place?", attempt.instance, attempt.number),
        answer: format!("`regreen settle {} --done` or `--not-done`", run.id),
        until: run.last(),
    }
}

/// The approval that a run waits for.
fn approve(run: &Run, asked: &message::Ask) -> Ask {
    let what = match asked.plan.as_slice() {
        [] => String::new(),
        [only] => format!(": {only}"),
        [first, rest @ ..] => format!(": {first} (and {} more)", rest.len()),
    };
    Ask {
        run: run.id.clone(),
        playbook: run.playbook.clone(),
        target: run.target.as_ref().map(|target| target.name().clone()),
        question: format!("{} shall say yes{what}", asked.by),
        answer: format!("`regreen approve {0}` or `regreen deny {0}`", run.id),
        until: Some(asked.until),
    }
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
