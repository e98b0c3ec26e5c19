//! Undoing: what went well is undone, the newest first, and never across something that can't be undone.

use std::sync::Arc;

use regreen_playbook::{
    action::ENDPOINT_SET,
    model::{Step, StepKind, Undo},
};
use regreen_schemas::{Instance, event::Then};

use crate::{
    advance::Next,
    course::{Flow, failed, unless_well},
    cx::{Cx, undo_of},
    decide::Decider,
    dispatch::held,
    run::How,
};

impl Decider<'_> {
    /// Undoes what the innermost playbook did, as far as it can be undone.
    pub(crate) fn undo(&self, cx: &Cx<'_>) -> Flow {
        for (place, step) in undoable(cx) {
            unless_well!(self.undo_one(&place.undone_by(cx), step));
        }
        Flow::Well
    }

    fn undo_one(&self, cx: &Cx<'_>, step: &Step) -> Flow {
        let StepKind::Use(action) = &step.kind else { return Flow::Well };
        match &action.undo {
            Undo::None => Flow::Well,
            Undo::Steps(steps) => self.list(cx, steps),
            Undo::Action(undo) => {
                let instance = cx.path(&undo_of(&step.id));
                match (cx.run.done.get(&instance), cx.run.acts.get(&instance)) {
                    (Some(done), _) => match &done.how {
                        How::Failed(reason, _) => failed(format!("{instance}: {reason}").into(), Then::Stop),
                        How::Ok(_) | How::Skipped => Flow::Well,
                    },
                    (None, Some(act)) => self.leaf(cx, &instance, act, Some(undo), Then::Stop),
                    (None, None) if *undo.action.name == *ENDPOINT_SET => self.move_back(cx, step, instance),
                    (None, None) => self.perform(cx, instance, undo, None, Then::Stop),
                }
            }
        }
    }
}

impl Decider<'_> {
    /// Puts a service back to the group that served it before.
    fn move_back(&self, cx: &Cx<'_>, step: &Step, instance: Instance) -> Flow {
        if let Some(by) = self.holds() {
            return held(cx.run, by);
        }
        let before = cx.run.done.get(&cx.path(&step.id)).and_then(|done| match &done.how {
            How::Ok(result) => result["before"].as_str().map(Arc::<str>::from),
            How::Failed(..) | How::Skipped => None,
        });
        let StepKind::Use(action) = &step.kind else { return Flow::Well };
        match (self.moved(cx, action), before) {
            (Ok(service), Some(active)) => Flow::next(Next::Move { instance, service, active }),
            (Err(why), _) => failed(why.into(), Then::Stop),
            (Ok(service), None) => {
                failed(format!("nobody knows who served {service} before").into(), Then::Stop)
            }
        }
    }
}

/// Steps to undo, the newest first: those that went well, up to the first that can't be undone.
fn undoable<'a>(cx: &Cx<'a>) -> Vec<(Cx<'a>, &'a Step)> {
    let base = &cx.level().base;
    let mut done: Vec<_> =
        cx.run.done.iter().filter(|(instance, _)| instance.as_str().starts_with(base.as_str())).collect();
    done.sort_by_key(|(_, done)| std::cmp::Reverse(done.order));
    let root = cx.levels.first().map(|level| Cx::root(cx.state, cx.set, cx.run, level.playbook));
    let mut out = Vec::new();
    for (instance, done) in done {
        let last = instance.as_str().rsplit('.').next().unwrap_or_default();
        let Some((place, step)) = root.as_ref().and_then(|root| root.locate(instance)) else { continue };
        let StepKind::Use(action) = &step.kind else { continue };
        // What a playbook did that `finally` ran belongs to the end, too.
        let within = cx.run.subs.keys().filter(|sub| {
            sub.as_str().starts_with(base.as_str())
                && instance.as_str().strip_prefix(sub.as_str()).is_some_and(|rest| rest.starts_with('.'))
        });
        let mut callers = within.filter_map(|sub| root.as_ref().and_then(|root| root.locate(sub)));
        let ends = of_the_end(&place, step) || callers.any(|(place, step)| of_the_end(&place, step));
        if last.starts_with("undo(") || ends {
            continue;
        }
        match done.how {
            How::Ok(_) | How::Failed(..) if action.action.irreversible => break,
            How::Ok(_) => out.push((place, step)),
            How::Failed(..) | How::Skipped => {}
        }
    }
    out
}

/// Whether a step undoes another, or stands in `finally`.
fn of_the_end(cx: &Cx<'_>, step: &Step) -> bool {
    let playbook = cx.level().playbook;
    let undos = playbook.uses().filter_map(|action| match &action.undo {
        Undo::Steps(steps) => Some(&steps[..]),
        Undo::None | Undo::Action(_) => None,
    });
    undos.chain([&playbook.finally[..]]).flatten().any(|root| holds(root, &step.id))
}

fn holds(step: &Step, id: &str) -> bool {
    *step.id == *id || step.inner().into_iter().flatten().any(|inner| holds(inner, id))
}
