//! Declarations agree with each other.

use super::*;

#[test]
fn every_name_is_a_subject_and_stands_once() {
    let mut seen = std::collections::BTreeSet::new();
    for action in all() {
        assert!(action.name.split('.').all(crate::id::is_token), "{}", action.name);
        assert_eq!(action.hash().len(), 16);
        assert!(seen.insert(action.name), "{} is there twice", action.name);
    }
}

#[test]
fn what_undoes_takes_the_same_parameters() {
    for action in all() {
        let Some(undo) = action.undo else { continue };
        assert!(!action.irreversible, "{}", action.name);
        let undo = find(undo).expect("it is declared");
        for wanted in undo.params {
            let found = action.params.iter().find(|param| param.name == wanted.name);
            assert!(found.is_none_or(|found| found.kind == wanted.kind), "{} {}", action.name, wanted.name);
            assert!(found.is_some() || !wanted.required, "{} {}", action.name, wanted.name);
        }
    }
}

#[test]
fn what_adds_or_removes_a_node_says_which() {
    for action in all() {
        let added = action.adds.map(|field| action.result.contains(&(field, FieldType::Node)));
        assert_ne!(added, Some(false), "{}", action.name);
        let node =
            |name| action.params.iter().any(|param| param.name == name && param.kind == ParamType::Node);
        assert_ne!(action.removes.map(node), Some(false), "{}", action.name);
    }
}

#[test]
fn only_what_changes_something_destroys() {
    for action in all().filter(|action| action.effect == Effect::Read) {
        assert!(!action.destructive && !action.irreversible && action.undo.is_none(), "{}", action.name);
    }
}
