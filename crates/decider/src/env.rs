//! What expressions and templates see of the state: the target, the alert, earlier steps, verdicts.

use std::{collections::BTreeMap, sync::Arc};

use regreen_playbook::{Set, cel::Env, value::Value};
use regreen_schemas::{
    Timestamp,
    alert::Alert,
    check::Status,
    event::Target,
    mutation::{self, Mutation},
};

use crate::{
    run::{Done, Run},
    state::State,
};

/// Names and verdicts for one playbook at one moment.
pub struct World<'a> {
    /// Where verdicts come from.
    pub state: &'a State,
    /// The set that the playbook stands in.
    pub set: &'a Set,
    /// Vantages that must agree, when the playbook says so.
    pub quorum: Option<u32>,
    /// What it acts on.
    pub target: Option<&'a Target>,
    /// The alert.
    pub alert: Option<&'a Alert>,
    /// The run, once there is one.
    pub run: Option<&'a Run>,
    /// The moment.
    pub now: Timestamp,
}

impl<'a> World<'a> {
    /// The world of a run.
    #[must_use]
    pub fn of(state: &'a State, set: &'a Set, run: &'a Run) -> Self {
        let quorum = set.playbooks.get(&run.playbook).and_then(|playbook| playbook.guard.quorum);
        Self {
            state,
            set,
            quorum,
            target: run.target.as_ref(),
            alert: run.alert.as_ref(),
            run: Some(run),
            now: state.now,
        }
    }
}

fn labels(labels: &regreen_schemas::alert::Labels) -> Value {
    Value::map(labels.iter().map(|(k, v)| (k.clone(), Value::Str(v.clone()))))
}

fn done(done: &Done) -> Value {
    let (ok, failed, skipped) =
        (matches!(done, Done::Ok(_)), matches!(done, Done::Failed(_)), matches!(done, Done::Skipped));
    let mut fields =
        vec![("ok", Value::Bool(ok)), ("failed", Value::Bool(failed)), ("skipped", Value::Bool(skipped))];
    match done {
        Done::Ok(result) => fields.extend(Value::from_json(result).map(|result| ("result", result))),
        Done::Failed(reason) => fields.push(("error", Value::Str(reason.clone()))),
        Done::Skipped => {}
    }
    Value::map(fields)
}

impl Env for World<'_> {
    fn root(&self, name: &str) -> Option<Value> {
        match name {
            "now" => Some(Value::Time(self.now)),
            "target" => self.set.inventory.value(self.target?).cloned(),
            "alert" => {
                let alert = self.alert?;
                Some(Value::map([
                    ("labels", labels(&alert.labels)),
                    ("annotations", labels(&alert.annotations)),
                    ("starts_at", Value::Time(alert.starts_at)),
                    ("fingerprint", Value::str(alert.fingerprint.as_str())),
                ]))
            }
            "run" => {
                let run = self.run?;
                Some(Value::map([
                    ("id", Value::str(run.id.as_str())),
                    ("playbook", Value::str(run.playbook.as_str())),
                    ("started", Value::Time(run.started)),
                ]))
            }
            "inputs" => {
                let inputs: BTreeMap<Arc<str>, Value> = self
                    .run
                    .map(|run| {
                        run.inputs
                            .iter()
                            .filter_map(|(k, v)| Some((k.clone(), Value::from_json(v)?)))
                            .collect()
                    })
                    .unwrap_or_default();
                Some(Value::Map(Arc::new(inputs)))
            }
            "steps" => {
                Some(Value::map(self.run?.steps.iter().map(|(id, outcome)| (id.clone(), done(outcome)))))
            }
            _ => None,
        }
    }

    fn verdict(&self, check: &str) -> Status {
        let found = self.state.verdict(self.set, check, self.quorum);
        if found == Status::Unknown && mutation::is(Mutation::UnknownIsDown) { Status::Down } else { found }
    }

    fn group(&self, name: &str) -> Option<Value> {
        self.set.inventory.groups.get(name).map(|group| group.value.clone())
    }
}
