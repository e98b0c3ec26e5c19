//! Steps that hold others: several at once, the same for each item, and a playbook within.

use std::sync::Arc;

use regreen_playbook::{
    cel,
    model::{ForEach, Parallel, Step},
};
use regreen_schemas::{
    Instance,
    event::{RunEvent, Then},
    run::RunResult,
};
use serde_json::Value;

use crate::{
    course::{Failed, Flow, failed},
    cx::Cx,
    decide::Decider,
    env::pack,
    run::Run,
};

/// What a part wants next is done at once.
macro_rules! keep {
    ($next:expr) => {
        if let Some(next) = $next {
            return next;
        }
    };
}

impl Decider<'_> {
    pub(crate) fn parallel(&self, cx: &Cx<'_>, parallel: &Parallel) -> Flow {
        let mut tally = Tally::new(parallel.at_once);
        let stopping = cx.stopping();
        let fails = |step: &Step| matches!(self.one(&stopping, step), Flow::Failed(_));
        let over = parallel.fast && parallel.steps.iter().any(fails);
        for step in &parallel.steps {
            let path = cx.path(&step.id);
            let begun = cx.run.acts.contains_key(&path) || cx.run.done.contains_key(&path);
            if over && begun {
                keep!(tally.count(self.one(&stopping, step)));
            } else if !over && !tally.waits_for_its_turn(begun) {
                keep!(tally.count(self.one(cx, step)));
            }
        }
        tally.end()
    }

    /// The items of a loop: it stops at the first failure.
    pub(crate) fn items(&self, cx: &Cx<'_>, step: &Step, each: &ForEach) -> Flow {
        let count = cx.run.loops.get(&cx.path(&step.id)).map_or(0, |begun| begun.items.len());
        let items: Option<Vec<Cx<'_>>> = (0..count).map(|nth| cx.item(step, nth)).collect();
        let Some(items) = items else {
            return failed("an item has left the inventory".into(), Then::Stop);
        };
        let fails = |item: &Cx<'_>| matches!(self.list(&item.stopping(), &each.steps), Flow::Failed(_));
        let over = items.iter().any(fails);
        let mut tally = Tally::new(each.at_once);
        for item in items {
            let begun = begun(cx.run, &item.prefix);
            if over && begun {
                keep!(tally.count(self.list(&item.stopping(), &each.steps)));
            } else if !over && !tally.waits_for_its_turn(begun) {
                keep!(tally.count(self.list(&item, &each.steps)));
            }
        }
        tally.end()
    }

    /// A playbook within.
    pub(crate) fn sub(&self, cx: &Cx<'_>, step: &Step, instance: &Instance, then: Then) -> Flow {
        let Some(inner) = cx.within(step) else {
            return failed("the playbook within is not in the set".into(), Then::Stop);
        };
        let (result, reason) = match self.level(&inner) {
            Flow::Over(result, reason) => (result, reason),
            other => return other,
        };
        let ended = |result, reason, outputs| {
            Flow::event(RunEvent::SubEnded { instance: instance.clone(), result, reason, outputs, then })
        };
        if !result.is_well() || result == RunResult::Observed {
            return ended(result, reason, Value::Null);
        }
        match outputs(&inner) {
            Ok(outputs) => ended(result, reason, outputs),
            Err(why) => ended(RunResult::Failed, why, Value::Null),
        }
    }
}

/// What a playbook gives its caller, once its steps went well.
fn outputs(cx: &Cx<'_>) -> Result<Value, Arc<str>> {
    let world = cx.world();
    let mut out = serde_json::Map::new();
    for output in &cx.level().playbook.outputs {
        let value = cel::eval(&output.value, &world, &mut cel::Trace::new())
            .map_err(|stop| format!("output {}: {}", output.name, stop.because()))?;
        out.insert(output.name.to_string(), pack(&value));
    }
    Ok(out.into())
}

/// Whether anything at or below a path has begun.
fn begun(run: &Run, path: &str) -> bool {
    let from = || Instance::from(path);
    let below = |key: Option<&Instance>| key.is_some_and(|key| key.as_str().starts_with(path));
    below(run.acts.range(from()..).next().map(|(key, _)| key))
        || below(run.done.range(from()..).next().map(|(key, _)| key))
}

/// Parts that go on side by side.
struct Tally {
    at_once: u32,
    active: u32,
    later: bool,
    failed: Option<Failed>,
}

impl Tally {
    const fn new(at_once: u32) -> Self {
        Self { at_once, active: 0, later: false, failed: None }
    }

    /// Whether a part must wait before it begins.
    fn waits_for_its_turn(&mut self, begun: bool) -> bool {
        let waits = !begun && self.active >= self.at_once;
        self.later |= waits;
        waits
    }

    /// Takes in how far a part is; what it wants next is done at once.
    fn count(&mut self, flow: Flow) -> Option<Flow> {
        match flow {
            Flow::Well => {}
            Flow::Wait => self.active += 1,
            // What is graver than a failure speaks.
            Flow::Failed(failed) => {
                let graver = self.failed.as_ref().is_none_or(|first| {
                    first.result == RunResult::Failed && failed.result != RunResult::Failed
                });
                if graver {
                    self.failed = Some(failed);
                }
            }
            other => return Some(other),
        }
        None
    }

    fn end(self) -> Flow {
        match self.failed {
            _ if self.active > 0 || self.later => Flow::Wait,
            Some(failed) => Flow::Failed(failed),
            None => Flow::Well,
        }
    }
}
