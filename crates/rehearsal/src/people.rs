//! What people do in a timeline, as the fact that they leave.

use std::{collections::BTreeMap, sync::Arc};

use regreen_playbook::{cases::What, model::On};
use regreen_schemas::{PlaybookName, RunId, fact::Operator};

use crate::{play::Play, stage::somebody};

/// Who does it, and what; or why that means nothing now.
pub(crate) fn does(
    play: &Play<'_>,
    playbook: &PlaybookName,
    what: &What,
) -> Result<(Arc<str>, Operator), String> {
    match what {
        What::Start { target, inputs } => {
            let (target, inputs) = (target.clone(), BTreeMap::clone(inputs));
            let start = Operator::Start { playbook: playbook.clone(), target, inputs };
            Ok((starter(play, playbook), start))
        }
        What::Answered { step, by, yes } => answered(play, step, by.as_ref(), *yes),
        What::Settle { step, done, by } => {
            let doubts = play.state.runs.iter().find_map(|(id, run)| {
                let attempt = run.in_doubt().find(|attempt| attempt.instance.as_str() == &**step)?;
                Some((id.clone(), attempt.instance.clone(), attempt.number))
            });
            let Some((run, instance, attempt)) = doubts else {
                return Err(format!("nobody is asked whether {step} took place"));
            };
            Ok((who(play, by.as_ref()), Operator::Settle { run, instance, attempt, done: *done }))
        }
        What::Cancel { by } => match play.state.runs.keys().next() {
            Some(run) => {
                Ok((who(play, by.as_ref()), Operator::Cancel { run: run.clone(), reason: "".into() }))
            }
            None => Err("no run is open that could be cancelled".to_owned()),
        },
        _ => Ok((who(play, None), Operator::Resume { stop_no: play.state.stop_no })),
    }
}

fn who(play: &Play<'_>, by: Option<&Arc<str>>) -> Arc<str> {
    by.cloned().unwrap_or_else(|| somebody(&play.set, None))
}

/// Somebody who may start it by hand.
fn starter(play: &Play<'_>, playbook: &PlaybookName) -> Arc<str> {
    let triggers =
        play.set.playbooks.get(playbook).map(|playbook| &playbook.triggers[..]).unwrap_or_default();
    let group = triggers.iter().find_map(|trigger| match &trigger.on {
        On::Manual { by } => by.as_deref(),
        _ => None,
    });
    somebody(&play.set, group)
}

/// A yes or a no, to the plan that is shown.
fn answered(
    play: &Play<'_>,
    step: &str,
    by: Option<&Arc<str>>,
    yes: bool,
) -> Result<(Arc<str>, Operator), String> {
    let mut asks = play.state.runs.values().flat_map(|run| run.approvals());
    let Some(ask) = asks.find(|ask| ask.instance.as_str() == step) else {
        let word = if yes { "approve" } else { "deny" };
        return Err(format!("{word} {step}: nothing is asked there, or not any more"));
    };
    let by = by.cloned().unwrap_or_else(|| somebody(&play.set, Some(&ask.by)));
    let user = by.strip_prefix("slack:").map(Arc::from);
    let (run, instance, plan_hash): (RunId, _, _) =
        (ask.run.clone(), ask.instance.clone(), ask.plan_hash.clone());
    let operator = if yes {
        Operator::Approve { run, instance, plan_hash, user }
    } else {
        Operator::Deny { run, instance, plan_hash, reason: "".into(), user }
    };
    Ok((by, operator))
}
