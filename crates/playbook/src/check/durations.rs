//! Times that fit: how long steps take at most, against the deadline (RG603); waits that prove nothing (RG602).

use regreen_schemas::Span;

use super::{book::Book, judge::Judge};
use crate::model::{OnFailure, Step, StepKind};

/// How long steps take at most, one after the other.
pub(super) fn steps(book: &Book<'_>, list: &[Step]) -> Span {
    list.iter().fold(Span::ZERO, |total, next| total + step(book, next))
}

fn step(book: &Book<'_>, step: &Step) -> Span {
    let own = match &step.kind {
        StepKind::Use(action) => times(action.timeout, action.attempts),
        StepKind::Verify(verify) => verify.within,
        StepKind::Approve(approve) => approve.asked.within,
        StepKind::Wait(span) => *span,
        StepKind::Set(_) => Span::ZERO,
        StepKind::Run(call) => book.reach(call.playbook.as_str()).map_or(Span::ZERO, |callee| callee.whole),
        StepKind::Parallel(parallel) => {
            parallel.steps.iter().map(|step| self::step(book, step)).max().unwrap_or(Span::ZERO)
        }
        StepKind::ForEach(each) => {
            times(steps(book, &each.steps), each.at_most.div_ceil(each.at_once.max(1)))
        }
        StepKind::Choose(branches) => {
            branches.iter().map(|branch| steps(book, &branch.steps)).max().unwrap_or(Span::ZERO)
        }
    };
    match &step.on_failure {
        OnFailure::Steps(handlers) => own + steps(book, handlers),
        OnFailure::Stop | OnFailure::Continue | OnFailure::Undo => own,
    }
}

fn times(span: Span, count: u32) -> Span {
    Span(span.0.saturating_mul(i64::from(count)))
}

impl Judge<'_> {
    pub(super) fn durations(&mut self) {
        let asked = self.playbook.guard.approval.as_ref().map_or(Span::ZERO, |asked| asked.within);
        let total = asked + self.reach.steps;
        if total > self.playbook.deadline {
            let at = self.place_of("deadline");
            let label = format!("{total} > {}", self.playbook.deadline);
            let hint = "raise `deadline`, or lower timeouts";
            self.findings.warning(603, at, "steps may outlast the deadline", label, hint);
        }
        let Some(last) = self.playbook.steps.last() else { return };
        if matches!(last.kind, StepKind::Wait(_)) && self.playbook.verify.is_empty() {
            let at = self.step_place(&last.id, "wait");
            self.findings.warning(
                602,
                at,
                "a wait proves nothing",
                "it ends with `wait`",
                "`verify` a check",
            );
        }
    }
}
