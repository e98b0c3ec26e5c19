//! All playbooks by name: which runs which, and what each can do together with all that it runs. Callees come first,
//! so that each is looked at once, however often it is run.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::Span;

use super::{
    durations,
    flow::{self, Flow},
    guards::{self, Guards},
    names,
};
use crate::{
    diagnostic::Place,
    model::{Call, OnResolved, Playbook, Step, StepKind, Undo, Use},
    read::Places,
    set::Set,
};

/// All playbooks.
pub(super) struct Book<'a> {
    pub all: &'a [(Playbook, Places)],
    /// The first playbook of each name.
    by_name: BTreeMap<&'a str, usize>,
    /// Callees before callers.
    pub order: Vec<usize>,
    /// Steps that close a circle: playbook and step.
    pub circles: Vec<(usize, Arc<str>)>,
    /// What each can do, in the order of `all`.
    reach: Vec<Reach>,
}

/// What a playbook can do together with all that it runs.
#[derive(Clone, Default)]
pub(super) struct Reach {
    /// The first own step by which it can destroy.
    pub destroys: Option<Arc<str>>,
    /// Guards that something destructive still lacks here.
    pub lacks: Guards,
    /// It asks people.
    pub asks: bool,
    /// The first own step by which it does what can't be undone, where a resolved alert may end it.
    pub irreversible: Option<Arc<str>>,
    /// A check of a single vantage that it reads, where no quorum is written.
    pub narrow: Option<(Arc<str>, Place)>,
    /// How long its steps take at most.
    pub steps: Span,
    /// … with its approval and its closing verify.
    pub whole: Span,
    /// What it makes and destroys, in order.
    pub flow: Flow,
}

impl<'a> Book<'a> {
    pub fn new(all: &'a [(Playbook, Places)], set: &Set) -> Self {
        let mut by_name = BTreeMap::new();
        for (index, (playbook, _)) in all.iter().enumerate() {
            by_name.entry(playbook.name.as_str()).or_insert(index);
        }
        let runs: Vec<Vec<(usize, Arc<str>)>> = all
            .iter()
            .map(|(playbook, _)| {
                let found = calls(playbook);
                found
                    .filter_map(|(step, call)| Some((*by_name.get(call.playbook.as_str())?, step.id.clone())))
                    .collect()
            })
            .collect();
        let (order, circles) = order(&runs);
        let reach = vec![Reach::default(); all.len()];
        let mut book = Self { all, by_name, order, circles, reach };
        for index in book.order.clone() {
            let (playbook, places) = &all[index];
            book.reach[index] = book.look(playbook, places, set);
        }
        book
    }

    pub fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub fn get(&self, name: &str) -> Option<&'a Playbook> {
        self.index(name).map(|index| &self.all[index].0)
    }

    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.by_name.keys().copied()
    }

    /// What a playbook of that name can do; nothing when there is none.
    pub fn reach(&self, name: &str) -> Option<&Reach> {
        self.index(name).map(|index| &self.reach[index])
    }

    /// What the playbook at this place can do.
    pub fn reach_at(&self, index: usize) -> &Reach {
        &self.reach[index]
    }

    /// Whether a step itself, or what it runs, can destroy.
    pub fn destroys(&self, step: &Step) -> bool {
        match &step.kind {
            StepKind::Use(action) => effects(action).any(|action| action.destructive),
            StepKind::Run(call) => {
                self.reach(call.playbook.as_str()).is_some_and(|reach| reach.destroys.is_some())
            }
            _ => false,
        }
    }

    fn look(&self, playbook: &Playbook, places: &Places, set: &Set) -> Reach {
        let all = playbook.all_steps();
        let callees = || calls(playbook).filter_map(|(_, call)| self.reach(call.playbook.as_str()));
        let steps = durations::steps(self, &playbook.steps);
        let asked = playbook.guard.approval.as_ref().map_or(Span::ZERO, |asked| asked.within);
        let closing = playbook.verify.iter().map(|verify| verify.within).max().unwrap_or(Span::ZERO);
        let irreversible = |step: &&&Step| match &step.kind {
            StepKind::Use(action) => action.action.irreversible,
            StepKind::Run(call) => {
                self.reach(call.playbook.as_str()).is_some_and(|reach| reach.irreversible.is_some())
            }
            _ => false,
        };
        let may_end = playbook.on_resolved == OnResolved::Cancel;
        let narrow = || {
            names::narrow(playbook, places, set)
                .or_else(|| callees().find_map(|callee| callee.narrow.clone()))
        };
        Reach {
            destroys: all.iter().find(|step| self.destroys(step)).map(|step| step.id.clone()),
            lacks: guards::lacks(self, playbook, places),
            asks: playbook.guard.approval.is_some()
                || all.iter().any(|step| matches!(step.kind, StepKind::Approve(_)))
                || callees().any(|callee| callee.asks),
            irreversible: all.iter().find(irreversible).filter(|_| may_end).map(|step| step.id.clone()),
            narrow: if playbook.guard.quorum.is_some() { None } else { narrow() },
            steps,
            whole: asked + steps + closing,
            flow: flow::of(self, playbook),
        }
    }
}

/// Every `run` of a playbook.
pub(super) fn calls(playbook: &Playbook) -> impl Iterator<Item = (&Step, &Call)> {
    playbook.all_steps().into_iter().filter_map(|step| match &step.kind {
        StepKind::Run(call) => Some((step, call)),
        _ => None,
    })
}

/// What a use can do: itself, and what undoes it.
pub(super) fn effects(action: &Use) -> impl Iterator<Item = &Use> {
    let undo = match &action.undo {
        Undo::Action(undo) => Some(&**undo),
        Undo::None | Undo::Steps(_) => None,
    };
    std::iter::once(action).chain(undo)
}

/// Callees first, and the steps that lead back to a playbook that is still being looked at.
fn order(runs: &[Vec<(usize, Arc<str>)>]) -> (Vec<usize>, Vec<(usize, Arc<str>)>) {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut states = vec![State::New; runs.len()];
    let (mut order, mut circles) = (Vec::new(), Vec::new());
    for root in 0..runs.len() {
        // A list of our own instead of recursion: a chain of playbooks may be long.
        let mut open = vec![(root, 0)];
        while let Some((at, next)) = open.pop() {
            if next == 0 {
                if states[at] != State::New {
                    continue;
                }
                states[at] = State::Open;
            }
            let Some((callee, step)) = runs[at].get(next) else {
                states[at] = State::Done;
                order.push(at);
                continue;
            };
            open.push((at, next + 1));
            match states[*callee] {
                State::New => open.push((*callee, 0)),
                State::Open => circles.push((at, step.clone())),
                State::Done => {}
            }
        }
    }
    (order, circles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(edges: &[&[usize]]) -> Vec<Vec<(usize, Arc<str>)>> {
        edges.iter().map(|to| to.iter().map(|to| (*to, format!("to{to}").into())).collect()).collect()
    }

    #[test]
    fn callees_come_first_and_circles_are_found_once() {
        let (found, circles) = order(&runs(&[&[1, 2], &[2], &[]]));
        assert_eq!((found, circles), (vec![2, 1, 0], vec![]));
        let (found, circles) = order(&runs(&[&[1], &[0]]));
        assert_eq!((found, circles), (vec![1, 0], vec![(1, "to0".into())]));
        let (_, circles) = order(&runs(&[&[0]]));
        assert_eq!(circles, vec![(0, "to0".into())]);
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let chain: Vec<Vec<(usize, Arc<str>)>> =
            (1..=100_000).map(|to| if to < 100_000 { vec![(to, "x".into())] } else { vec![] }).collect();
        assert_eq!(order(&chain).0.len(), 100_000);
    }
}
