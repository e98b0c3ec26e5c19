//! The stage: the set as a test sees it, and a domain that has just begun to live on it.

use std::{collections::BTreeMap, sync::Arc};

use regreen_playbook::{
    Set,
    model::{On, Playbook, StepKind, Trigger},
};
use regreen_schemas::{PlaybookName, Span, Zone, event::Mode, fact::SetFile};

/// The set of a test: only the playbook under test begins by itself, with what follows from it: its `failback`, and what
/// a drill measures. All others are there to be run by it. One without triggers is started by hand, as by a caller that
/// may act.
pub(crate) fn set(set: &Set, tested: &PlaybookName) -> Set {
    let mut set = set.clone();
    let playbook = set.playbooks.get(tested);
    let measured = playbook.and_then(|playbook| playbook.drill.as_ref()).map(|drill| drill.of.clone());
    for playbook in set.playbooks.values_mut() {
        if playbook.name == *tested {
            given_a_caller(playbook);
        } else if measured.as_ref() != Some(&playbook.name) {
            playbook.triggers.iter_mut().for_each(|trigger| trigger.on = never());
            playbook.correlate = None;
        }
    }
    set
}

fn given_a_caller(playbook: &mut Playbook) {
    if !playbook.triggers.is_empty() {
        return;
    }
    playbook.mode = Some(playbook.mode.unwrap_or(Mode::Auto));
    let by_hand = On::Manual { by: None };
    playbook.triggers.push(Trigger {
        id: "1".into(),
        on: by_hand,
        target: None,
        inputs: Vec::new(),
        hold: Span::ZERO,
    });
}

/// What never happens: no event has an empty path.
fn never() -> On {
    On::Webhook { path: "".into(), secret: "".into() }
}

/// The fact that brings the set in force.
pub(crate) fn fact() -> regreen_schemas::fact::Set {
    regreen_schemas::fact::Set { files: vec![SetFile { path: "test".into(), hash: "test".into() }] }
}

/// Every zone that somebody acts in.
pub(crate) fn zones(set: &Set) -> Vec<Zone> {
    let groups = set.inventory.groups.values();
    let nodes = groups.clone().flat_map(|group| group.nodes.values().map(|node| node.via.clone()));
    let mut zones: Vec<Zone> = groups.map(|group| group.via.clone()).chain(nodes).collect();
    zones.push(Zone::from("main"));
    zones.sort();
    zones.dedup();
    zones
}

/// What the runners serve: everything, as it is declared.
pub(crate) fn served(set: &Set) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut served: BTreeMap<Arc<str>, Arc<str>> =
        set.actions.iter().map(|(name, action)| (name.clone(), action.declared.clone())).collect();
    for playbook in set.playbooks.values() {
        for step in playbook.all_steps() {
            if let StepKind::Use(used) = &step.kind {
                served.insert(used.action.name.clone(), used.action.declared.clone());
            }
        }
    }
    served
}

/// Somebody who may operate, and who is of this group where there is one.
pub(crate) fn somebody(set: &Set, group: Option<&str>) -> Arc<str> {
    let of = |name: &str| set.approvers.get(name).into_iter().flatten().cloned();
    let people: Vec<Arc<str>> = match group {
        Some(group) => of(group).collect(),
        None => of(regreen_playbook::set::OPERATORS).collect(),
    };
    let plain = |who: &&Arc<str>| !who.starts_with("slack:");
    let operates = people.iter().filter(plain).find(|who| set.operates(who));
    operates.or_else(|| people.first()).cloned().unwrap_or_else(|| "operator".into())
}
