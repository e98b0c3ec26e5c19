//! What people do: start, answer, acknowledge, cancel, resume. Who it was comes from the fact's subject; policy says who
//! may.

use std::{collections::BTreeMap, sync::Arc};

use regreen_playbook::{model::On, set::OPERATORS};
use regreen_schemas::{
    Instance, PlaybookName, RunId,
    event::{Event, Origin, RunEvent},
    fact::Operator,
    run::Outcome as Decided,
};

use crate::{
    approve::Answer,
    decide::Decider,
    evaluate::evaluate_manual,
    state::{Illegal, Phase},
};

/// The source of answers that came by Slack.
const SLACK: &str = "slack";

impl Decider<'_> {
    pub(crate) fn operator(&mut self, by: &str, operator: &Operator) -> Result<(), Illegal> {
        let answers = matches!(operator, Operator::Approve { .. } | Operator::Deny { .. });
        if !answers && !self.operates(by) {
            let wanted = operator.word();
            return self.refuse(by, wanted, format!("{by} is not one of the approvers `{OPERATORS}`"));
        }
        match operator {
            Operator::Start { playbook, target, inputs } => {
                self.manual(by, playbook, target.as_deref(), inputs)
            }
            Operator::Settle { run, instance, attempt, done } => {
                self.settle(by, run, instance, *attempt, *done)
            }
            Operator::Approve { run, instance, plan_hash, user } => {
                let by = person(by, user.as_deref());
                self.answered(&by, &Answer { run, instance, plan_hash, no: None })
            }
            Operator::Deny { run, instance, plan_hash, reason, user } => {
                let by = person(by, user.as_deref());
                self.answered(&by, &Answer { run, instance, plan_hash, no: Some(reason) })
            }
            Operator::Ack { of } => self.acknowledge(by, of),
            Operator::ClearCooldown { playbook, target } => {
                self.clear_cooldown(by, playbook, target.as_deref())
            }
            Operator::Cancel { run, reason } => {
                if self.s.runs.get(run).is_none_or(|run| run.cancelled.is_some()) {
                    return Ok(());
                }
                self.run_event(run, RunEvent::Cancelled { by: by.into(), reason: reason.clone() })?;
                self.advance(run)
            }
            Operator::Resume { stop_no } => {
                if self.s.stopped.is_none() || *stop_no != self.s.stop_no {
                    return Ok(());
                }
                self.emit(Event::Resumed { stop_no: *stop_no, by: by.into() })
            }
            Operator::ResumeSuspect => match self.s.phase {
                Phase::Suspect | Phase::CatchingUp { suspect: true, .. } => {
                    self.emit(Event::SuspectCleared { by: by.into() })
                }
                _ => Ok(()),
            },
            // The shell hears it while it is frozen; in the order of facts it comes too late to mean anything.
            Operator::Reconciled(_) => Ok(()),
        }
    }

    /// Whether somebody may operate: any credential that `init` made may, unless policy has a group that says who.
    /// A service that passes answers on has only those.
    pub(crate) fn operates(&self, by: &str) -> bool {
        by != SLACK && self.set().is_none_or(|set| set.operates(by))
    }

    fn clear_cooldown(&mut self, by: &str, name: &PlaybookName, target: Option<&str>) -> Result<(), Illegal> {
        let found = target.and_then(|target| {
            let set = self.set()?;
            let inventory = &set.inventory;
            inventory.node(target).or_else(|| inventory.group(target)).or_else(|| inventory.service(target))
        });
        let known = target.is_some() == found.is_some()
            && self.s.cooldowns.contains_key(&(name.clone(), found.clone()));
        if !known {
            let wanted = format!(
                "clear the cooldown of {name}{}",
                target.map(|t| format!(" on {t}")).unwrap_or_default()
            );
            return self.refuse(by, wanted, "no run of it has ended there");
        }
        self.emit(Event::CooldownCleared { by: by.into(), playbook: name.clone(), target: found })
    }

    fn manual(
        &mut self,
        by: &str,
        name: &PlaybookName,
        target: Option<&str>,
        inputs: &BTreeMap<Arc<str>, serde_json::Value>,
    ) -> Result<(), Illegal> {
        let refused = |reason: String| Event::StartRefused {
            by: by.into(),
            playbook: name.clone(),
            reason: reason.into(),
        };
        let Some(set) = self.set() else {
            return self.emit(refused("no set of playbooks is in force".into()));
        };
        let Some(playbook) = set.playbooks.get(name) else {
            return self.emit(refused("there is no such playbook".into()));
        };
        let mut manual = playbook.triggers.iter().filter_map(|trigger| match &trigger.on {
            On::Manual { by } => Some(by.as_deref()),
            _ => None,
        });
        match manual.next() {
            None => return self.emit(refused("it has no trigger `manual`".into())),
            Some(Some(group)) if !self.is_one_of(by, group) => {
                return self.emit(refused(format!("{by} is not one of the approvers `{group}`")));
            }
            Some(_) => {}
        }
        let inputs = match crate::env::inputs(&self.s, &set, playbook, inputs) {
            Ok(inputs) => inputs,
            Err(why) => return self.emit(refused(why)),
        };
        let evaluation = evaluate_manual(&self.s, &set, playbook, target, &inputs);
        match &evaluation.outcome {
            Decided::Started { run } => {
                let key = (name.clone(), evaluation.target.clone());
                // Without target each start is a run of its own.
                if let Some(open) = self.s.open.get(&key).filter(|_| key.1.is_some()) {
                    let reason = format!("run {open} is open for it");
                    return self.emit(refused(reason));
                }
                self.start(playbook, run, &evaluation, Origin::Manual { by: by.into() }, None)
            }
            Decided::Blocked(block) => self.emit(refused(block.to_string())),
            Decided::Skipped(skip) => self.emit(refused(skip.to_string())),
            Decided::Joined { run } => self.emit(refused(format!("run {run} is open for it"))),
        }
    }

    fn settle(
        &mut self,
        by: &str,
        run: &RunId,
        instance: &Instance,
        attempt: u32,
        done: bool,
    ) -> Result<(), Illegal> {
        let Some(open) = self.s.runs.get(run).cloned() else { return Ok(()) };
        let asked = open.in_doubt().any(|asked| asked.instance == *instance && asked.number == attempt);
        let Some(act) = open.acts.get(instance).filter(|_| asked) else { return Ok(()) };
        self.run_event(run, RunEvent::Settled { instance: instance.clone(), attempt, done, by: by.into() })?;
        if done {
            self.run_event(
                run,
                RunEvent::StepSucceeded { instance: instance.clone(), result: serde_json::Value::Null },
            )?;
            return self.advance(run);
        }
        if act.tries < self.terms(&open, instance).attempts {
            self.advance(run)
        } else {
            self.fail_step(run, instance, format!("not done, says {by}").into())
        }
    }
}

/// Who answered: the credential's owner, or the user that Slack vouches for.
fn person(by: &str, user: Option<&str>) -> String {
    if by == SLACK { format!("{SLACK}:{}", user.unwrap_or_default()) } else { by.to_owned() }
}
