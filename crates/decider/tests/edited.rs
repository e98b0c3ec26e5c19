//! Fault 24: a playbook that is edited or deleted in mid-run. The run ends by the set that it began with.

mod case;

use std::{collections::BTreeMap, sync::Arc};

use case::{Case, SET};
use regreen_playbook::{diagnostic::Source, load};
use regreen_schemas::{
    check::Status,
    event::RunEvent,
    fact::{Item, Operator, Set, SetFile, Verb},
    run::RunResult,
};

/// Another set comes in force.
fn apply(case: &mut Case, text: &str) {
    let (set, findings) = load(vec![Source { path: "p".into(), text: text.into() }]);
    let set = set.unwrap_or_else(|| panic!("{}", findings.render(false)));
    let fact = Set { files: vec![SetFile { path: "p".into(), hash: "edited".into() }] };
    case.library.sets.insert(fact.hash(), Arc::new(set));
    case.fact_of("loader", &Item::Set(fact), None);
}

fn repaired(event: &RunEvent) -> bool {
    matches!(event, RunEvent::Ended { result: RunResult::Repaired, .. })
}

fn ends_by_the_old(text: &str) -> Case {
    let mut case = Case::new();
    apply(&mut case, text);
    case.outcome(Verb::Ok { result: serde_json::Value::Null });
    for _ in 0..4 {
        let tick = case.state.seq;
        case.look(Status::Up, false, tick);
        case.wait(1000);
    }
    assert_eq!(case.count(repaired), 1);
    case
}

#[test]
fn an_edited_playbook_ends_as_it_began() {
    let edited = SET.replace("for: 2s", "for: 4m").replace("id: hit", "id: strike");
    ends_by_the_old(&edited);
}

#[test]
fn a_deleted_playbook_ends_as_it_began_and_does_not_start_again() {
    let (kept, _) = SET.rsplit_once("---").expect("the playbook is the last document");
    let mut case = ends_by_the_old(kept);
    let start =
        Operator::Start { playbook: "repair".into(), target: Some("a1".into()), inputs: BTreeMap::new() };
    case.fact(Item::Operator(start), None);
    assert_eq!(case.count(|event| matches!(event, RunEvent::Started { .. })), 1);
}
