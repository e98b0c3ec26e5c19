//! Tests of playbooks, `*.test.yaml`: what happens, and what must come of it. Read and checked here, beside the set that
//! they are tests of; `regreen-rehearsal` plays them.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{
    CheckName, PlaybookName, Span, Timestamp,
    alert::Labels,
    check::Status,
    fact::{Event, Failure},
    run::RunResult,
};
use serde_json::Value;

use crate::{
    check,
    diagnostic::{Findings, Place, Severity, Source},
    read::{self, Form, Shelf, cases},
    set::Set,
    tree::{self, Node},
    walk::Walk,
};

/// Tests of one playbook.
#[derive(Clone, Debug)]
pub struct Tests {
    /// The playbook.
    pub playbook: PlaybookName,
    /// Where it is named.
    pub place: Place,
    /// The set that they are played with.
    pub set: Arc<Set>,
    /// The cases, in the order of the file.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: Arc<str>,
    /// Where its name stands.
    pub place: Place,
    /// The moment of `0s`.
    pub start: Timestamp,
    /// What happens, in order.
    pub timeline: Vec<Moment>,
    /// What attempts at steps come to, by path.
    pub answers: BTreeMap<Arc<str>, Vec<Answer>>,
    /// What must come of it.
    pub expect: Expect,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub struct Moment {
    /// How long after the start.
    pub at: Span,
    /// What.
    pub what: What,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum What {
    /// Nothing: time passes until then.
    Pass,
    /// An alert fires.
    Firing {
        /// Its labels, by which it is known again.
        labels: Labels,
        /// Text for people.
        annotations: Labels,
    },
    /// An alert is over.
    Resolved {
        /// Its labels.
        labels: Labels,
        /// Text for people.
        annotations: Labels,
    },
    /// From now on all vantages see this.
    Verdicts(Vec<(CheckName, Status)>),
    /// An event was posted to us.
    Event(Event),
    /// A person starts the playbook.
    Start {
        /// On what.
        target: Option<Arc<str>>,
        /// With what.
        inputs: BTreeMap<Arc<str>, Value>,
    },
    /// A person answers what is asked.
    Answered {
        /// Where it is asked.
        step: Arc<str>,
        /// Who; somebody who may unless given.
        by: Option<Arc<str>>,
        /// Whether it is a yes.
        yes: bool,
    },
    /// A person says whether an unknown effect took place.
    Settle {
        /// The step's path.
        step: Arc<str>,
        /// Whether it did.
        done: bool,
        /// Who.
        by: Option<Arc<str>>,
    },
    /// A person ends the run.
    Cancel {
        /// Who.
        by: Option<Arc<str>>,
    },
    /// The stop switch is pulled.
    Stop,
    /// The stop switch is released.
    Resume,
}

/// What an attempt comes to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How long it takes.
    pub after: Span,
    /// What it gives.
    pub gives: Gives,
}

/// What an attempt gives.
#[derive(Clone, Debug)]
pub enum Gives {
    /// It went well, with this result.
    Ok(Value),
    /// It failed for sure.
    Error(Failure),
    /// No answer comes, and looks do not tell.
    Timeout,
    /// The answer is lost, and looks say this.
    Unknown(Found),
}

/// What looks at an unknown outcome find.
#[derive(Clone, Debug)]
pub enum Found {
    /// It is done, with this result.
    Done(Value),
    /// It is not done.
    NotDone,
    /// They do not tell.
    CannotTell,
}

/// What must come of a case.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Where it stands.
    pub place: Place,
    /// How the runs end, in the order in which they started; none: not compared.
    pub results: Option<Expected<RunResult>>,
    /// All that is done; none: not compared.
    pub actions: Option<Expected<ExpectedAction>>,
    /// What was made of each start; none: not compared.
    pub decisions: Option<Expected<Word>>,
    /// Who is told; none: not compared.
    pub told: Option<Expected<ExpectedTold>>,
    /// The whole trace is compared.
    pub golden: bool,
}

/// A list that must come true: complete, in order, nothing else.
#[derive(Clone, Debug)]
pub struct Expected<T> {
    /// Where it stands.
    pub place: Place,
    /// What it holds.
    pub list: Vec<T>,
}

/// Something that is done.
#[derive(Clone, Debug)]
pub struct ExpectedAction {
    /// When.
    pub at: Span,
    /// The step's path.
    pub step: Arc<str>,
    /// The action.
    pub action: Arc<str>,
    /// Parameters that must be so.
    pub with: Vec<(Arc<str>, Value)>,
}

/// A decision: `started`, or a word with its reason's: `blocked: cooldown`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// `started`, `joined`, `skipped`, `blocked` or `refused`.
    pub outcome: Arc<str>,
    /// Why, in a word.
    pub reason: Option<Arc<str>>,
}

/// Somebody who is told.
#[derive(Clone, Debug)]
pub struct ExpectedTold {
    /// The receiver.
    pub to: Arc<str>,
    /// When the first message of its thread goes out.
    pub at: Option<Span>,
    /// What a message of the thread says.
    pub text: Option<Arc<str>>,
}

/// Where the parts of a playbook stand.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The file.
    pub file: usize,
    /// All of it.
    pub document: Node,
    /// Every step by its id, however deep it stands.
    pub steps: BTreeMap<Arc<str>, Node>,
    /// Its triggers.
    pub triggers: Vec<Node>,
}

/// All tests of some files, with what they need.
#[derive(Debug, Default)]
pub struct Suite {
    /// Tests, in the order of the files.
    pub tests: Vec<Tests>,
    /// Where the parts of each playbook stand.
    pub parts: BTreeMap<PlaybookName, Parts>,
}

/// Reads files of a set with the tests beside them. With errors the suite is not whole. Warnings are `check`'s.
#[must_use]
pub fn load(sources: Vec<Source>) -> (Suite, Findings) {
    let mut findings = Findings { sources, list: Vec::new() };
    let (mut documents, mut tests) = (Vec::new(), Vec::new());
    for file in 0..findings.sources.len() {
        let place = match Form::of(&findings.sources[file]) {
            Form::Yaml => &mut documents,
            Form::Tests => &mut tests,
            Form::Template => continue,
        };
        place.extend(tree::parse(file, &mut findings).into_iter().map(|document| (file, document)));
    }
    let mut suite = Suite::default();
    let mut base = None;
    // What is wrong with the set is wrong with all that refers to it: that is said first, and alone.
    let readable = !findings.has_errors();
    for (file, document) in tests.into_iter().filter(|_| readable) {
        let replaced = Replaced::of(file, &document);
        let made = if replaced.nothing() {
            base.get_or_insert_with(|| make(&documents, &replaced, &mut suite, &mut findings)).clone()
        } else {
            make(&documents, &replaced, &mut suite, &mut findings)
        };
        let Some(set) = made else { continue };
        let shelf = Shelf::new();
        let mut walk = Walk { file, findings: &mut findings, shelf: &shelf };
        suite.tests.extend(cases::tests(&mut walk, &document, set));
    }
    findings.list.retain(|finding| finding.severity == Severity::Error);
    findings.sort();
    findings.list.dedup();
    (suite, findings)
}

/// What tests bring of their own, in place of the set's.
struct Replaced(Vec<(&'static str, usize, Node)>);

impl Replaced {
    fn of(file: usize, document: &Node) -> Self {
        let own = |kind| cases::as_document(document, kind).map(|document| (kind, file, document));
        Self(["inventory", "checks"].into_iter().filter_map(own).collect())
    }

    const fn nothing(&self) -> bool {
        self.0.is_empty()
    }
}

/// The set, with what the tests bring of their own; none when it has errors.
fn make(
    documents: &[(usize, Node)],
    replaced: &Replaced,
    suite: &mut Suite,
    findings: &mut Findings,
) -> Option<Arc<Set>> {
    let mut apart = Findings { sources: std::mem::take(&mut findings.sources), list: Vec::new() };
    let mut shelf = Shelf::new();
    for file in 0..apart.sources.len() {
        if Form::of(&apart.sources[file]) == Form::Template {
            shelf.file(file, &mut apart);
        }
    }
    let kept = documents.iter().filter(|(_, document)| {
        !replaced
            .0
            .iter()
            .any(|(kind, ..)| document.get("playbook").is_none() && document.get(kind).is_some())
    });
    let own = replaced.0.iter().map(|(_, file, document)| (*file, document.clone()));
    let draft = read::all(kept.cloned().chain(own).collect(), shelf, &mut apart);
    for (playbook, places) in &draft.playbooks {
        let (document, steps) = (places.document.clone(), places.steps.clone());
        let parts = Parts { file: places.file, document, steps, triggers: places.triggers.clone() };
        suite.parts.insert(playbook.name.clone(), parts);
    }
    let set = check::together(draft, &mut apart);
    let good = !apart.has_errors();
    findings.sources = apart.sources;
    findings.list.extend(apart.list);
    good.then(|| Arc::new(set))
}
