//! What a playbook makes and destroys, in order: nothing old goes before what is new was looked at (RG509), and no
//! follower is overwritten without a snapshot (RG513).

use std::sync::Arc;

use super::{book::Book, judge::Judge};
use crate::{
    action::Action,
    model::{Arg, OnFailure, Playbook, Step, StepKind, Use},
};

/// Last word of actions that end what they act on.
const ENDS: [&str; 3] = ["destroy", "delete", "terminate"];

/// What a playbook makes and destroys, as its callers must know it.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    /// It destroys before it looks at anything.
    destroys: bool,
    /// It looks at something.
    looks: bool,
    /// The step whose work nobody has looked at when it ends.
    made: Option<Arc<str>>,
}

fn ends(action: &Action) -> bool {
    let last = action.name.rsplit('.').next().unwrap_or_default();
    action.irreversible || ENDS.contains(&last)
}

fn makes(action: &Action) -> bool {
    action.result.as_ref().is_some_and(|result| result.contains_key("node"))
}

/// What was made and not looked at, as it goes from step to step.
struct Walk<'w, 'a> {
    book: &'w Book<'a>,
    made: Option<Arc<str>>,
    report: &'w mut dyn FnMut(&Step, &Arc<str>),
}

impl Walk<'_, '_> {
    fn list(&mut self, steps: &[Step]) {
        steps.iter().for_each(|step| self.step(step));
    }

    fn step(&mut self, step: &Step) {
        match &step.kind {
            StepKind::Use(action) => {
                if let Some(made) = self.made.as_ref().filter(|_| action.destructive && ends(&action.action))
                {
                    (self.report)(step, made);
                }
                if makes(&action.action) {
                    self.made = Some(step.id.clone());
                }
            }
            StepKind::Verify(_) => self.made = None,
            StepKind::Run(call) => {
                let Some(callee) = self.book.reach(call.playbook.as_str()).map(|reach| &reach.flow) else {
                    return;
                };
                if let Some(made) = self.made.as_ref().filter(|_| callee.destroys) {
                    (self.report)(step, made);
                }
                if callee.looks {
                    self.made = None;
                }
                if callee.made.is_some() {
                    self.made = Some(step.id.clone());
                }
            }
            StepKind::Parallel(parallel) => self.list(&parallel.steps),
            StepKind::ForEach(each) => self.list(&each.steps),
            StepKind::Choose(branches) => {
                let before = self.made.clone();
                let mut after = None;
                for branch in branches {
                    self.made.clone_from(&before);
                    self.list(&branch.steps);
                    after = after.or(self.made.take());
                }
                self.made = after;
            }
            StepKind::Approve(_) | StepKind::Set(_) | StepKind::Wait(_) => {}
        }
        if let OnFailure::Steps(handlers) = &step.on_failure {
            let before = self.made.clone();
            self.list(handlers);
            self.made = before;
        }
    }
}

/// What a playbook makes and destroys.
pub(super) fn of(book: &Book<'_>, playbook: &Playbook) -> Flow {
    let before: Arc<str> = "".into();
    let mut destroys = false;
    let mut report = |_: &Step, made: &Arc<str>| destroys |= made.is_empty();
    let mut walk = Walk { book, made: Some(before), report: &mut report };
    walk.list(&playbook.steps);
    let made = walk.made.take();
    let closing = !playbook.verify.is_empty();
    let looks = closing || made.as_ref().is_none_or(|made| !made.is_empty());
    Flow { destroys, looks, made: made.filter(|made| !made.is_empty() && !closing) }
}

impl Judge<'_> {
    pub(super) fn flow(&mut self) {
        let mut found = Vec::new();
        let mut report = |step: &Step, made: &Arc<str>| found.push((step.id.clone(), made.clone()));
        Walk { book: self.book, made: None, report: &mut report }.list(&self.playbook.steps);
        for (step, made) in found {
            let at = self.step_place(&step, "");
            let label = format!("`{made}` is not looked at before");
            self.findings.warning(509, at, "this destroys before it is verified", label, "`verify` between");
        }
        self.snapshots();
    }

    /// Following again may delete the only copy of writes that never crossed.
    fn snapshots(&mut self) {
        let mut saved = Vec::new();
        for step in self.playbook.all_steps() {
            let StepKind::Use(action) = &step.kind else { continue };
            if action.action.name.ends_with(".snapshot.create") {
                saved.push(index(action));
            }
            // A snapshot that names no index holds all of them.
            let lost = |saved: &Option<&Arg>| saved.is_some() && !same(*saved, index(action));
            if action.action.name.ends_with(".ccr.refollow") && saved.iter().all(lost) {
                let at = self.step_place(&step.id, "use");
                let hint = "before it `use: elasticsearch.snapshot.create` of that index";
                let message = "this may delete the only copy";
                self.findings.error(513, at, message, "no snapshot before it", hint);
            }
        }
    }
}

/// The index that an action names.
fn index(action: &Use) -> Option<&Arg> {
    action.args.iter().find(|(name, _)| **name == *"index").map(|(_, arg)| arg)
}

/// Whether both are written alike.
fn same(a: Option<&Arg>, b: Option<&Arg>) -> bool {
    match (a, b) {
        (Some(Arg::Constant(a)), Some(Arg::Constant(b))) => a == b,
        (Some(Arg::Template(a, _)), Some(Arg::Template(b, _))) => a == b,
        _ => false,
    }
}
