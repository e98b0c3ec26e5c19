//! The virtual runner: what attempts come to, as the case says.

use std::{collections::BTreeMap, sync::Arc};

use regreen_playbook::cases::{Answer, Found, Gives};
use regreen_schemas::{
    Instance, Span,
    action::Effect,
    command::{Kind, Task},
    fact::{self, Failure, Verb},
};

/// Answers, and how many of them are used up.
pub(crate) struct Answers<'c> {
    given: &'c BTreeMap<Arc<str>, Vec<Answer>>,
    /// Attempts so far, and what the newest of them came to.
    used: BTreeMap<Instance, (usize, Gives)>,
}

/// What comes of a command.
pub(crate) enum Reply {
    /// This answer, so long after.
    After(Span, Verb),
    /// Nothing, ever.
    Nothing,
    /// Nobody said.
    Unsaid {
        /// Which attempt, from 1.
        nth: usize,
    },
}

impl<'c> Answers<'c> {
    pub fn new(given: &'c BTreeMap<Arc<str>, Vec<Answer>>) -> Self {
        Self { given, used: BTreeMap::new() }
    }

    /// What comes of a task.
    pub fn reply(&mut self, instance: &Instance, task: &Task) -> Reply {
        match task.kind {
            Kind::Perform => self.perform(instance, task),
            Kind::Observe(look) => self.look(instance, look),
        }
    }

    fn perform(&mut self, instance: &Instance, task: &Task) -> Reply {
        let nth = self.used.get(instance).map_or(0, |(used, _)| *used);
        let Some(answer) = self.list(instance).and_then(|list| list.get(nth)).cloned() else {
            return Reply::Unsaid { nth: nth + 1 };
        };
        self.used.insert(instance.clone(), (nth + 1, answer.gives.clone()));
        let verb = match answer.gives {
            Gives::Ok(result) => Verb::Ok { result },
            Gives::Error(kind) => {
                let reason = match kind {
                    Failure::Transient => "a transient error",
                    Failure::Permanent => "a permanent error",
                };
                Verb::Failed { kind, reason: reason.into(), retry_after: None }
            }
            Gives::Unknown(_) => Verb::Unknown { reason: "the answer was lost".into() },
            // What changes nothing has no ticket: its runner sees by itself that the time is over.
            Gives::Timeout if task.effect == Effect::Read => {
                return Reply::After(task.timeout, Verb::Unknown { reason: "no answer in time".into() });
            }
            Gives::Timeout => return Reply::Nothing,
        };
        Reply::After(answer.after, verb)
    }

    /// What a look at an unknown outcome finds. It takes no time.
    fn look(&self, instance: &Instance, look: u8) -> Reply {
        let answer = match self.used.get(instance).map(|(_, gives)| gives) {
            None => return Reply::Nothing,
            Some(Gives::Ok(result) | Gives::Unknown(Found::Done(result))) => {
                fact::Answer::Done { result: result.clone() }
            }
            Some(Gives::Error(_) | Gives::Unknown(Found::NotDone)) => fact::Answer::NotDone,
            Some(Gives::Timeout | Gives::Unknown(Found::CannotTell)) => {
                fact::Answer::CannotTell { state: "nothing that tells".into() }
            }
        };
        Reply::After(Span::ZERO, Verb::Observed { look, answer })
    }

    /// The list of a step; `each[*].step` stands for all items.
    fn list(&self, instance: &Instance) -> Option<&'c Vec<Answer>> {
        let path = instance.as_str();
        self.given.get(path).or_else(|| self.given.get(any_item(path).as_str()))
    }
}

/// `each[a1].step` as `each[*].step`.
fn any_item(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, item)) = rest.split_once('[') {
        out.push_str(before);
        out.push_str("[*]");
        rest = item.split_once(']').map_or("", |(_, after)| after);
    }
    out + rest
}
