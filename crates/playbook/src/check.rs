//! What only all files together can tell: names that must exist, types at their places, and the rules that keep a
//! playbook from doing harm (language.md, sections 3 and 7).

mod args;
mod book;
mod calls;
mod durations;
mod flow;
mod guards;
mod harm;
mod judge;
mod names;
mod outside;
mod scope;
mod steps;
mod triggers;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use self::{book::Book, judge::Judge, names::unknown_receiver};
use crate::{
    cel::Gives,
    diagnostic::{Findings, Place, nearest},
    expand,
    inventory::Inventory,
    model::{DEFAULT_APPROVERS, Playbook},
    read::{Draft, Places},
    set::Set,
};

/// Groups of approvers, with the one that `default:` names under that name too.
fn approvers(
    mut groups: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    default: Option<(Arc<str>, Place)>,
    findings: &mut Findings,
) -> BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
    let Some((name, place)) = default else { return groups };
    match groups.get(&name).cloned() {
        Some(people) => drop(groups.insert(DEFAULT_APPROVERS.into(), people)),
        None => {
            let message = format!("unknown approvers `{name}`");
            findings.error(205, place, message, "not declared", "name one of the groups beside it");
        }
    }
    groups
}

/// Joins the drafts and checks them. The set is only used when there is no error.
pub(crate) fn together(draft: Draft, findings: &mut Findings) -> Set {
    let mut set = Set {
        receivers: draft.receivers,
        watchdog: draft.watchdog,
        actions: draft.actions,
        ceilings: draft.ceilings.unwrap_or_default(),
        ..Set::default()
    };
    for (name, place) in draft.system {
        if !set.receivers.contains_key(&name) {
            let message = format!("unknown receiver `{name}`");
            findings.error(205, place, message, "not declared", unknown_receiver(&name, &set));
        }
        set.system.push(name);
    }
    let default = draft.default_approvers.as_ref().map(|(name, _)| name.clone());
    set.approvers = approvers(draft.approvers, draft.default_approvers, findings);
    let mut owners: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    for (group, (drafted, place)) in &draft.groups {
        for name in drafted.nodes.iter().flat_map(|(name, node)| node.aliases.iter().chain([name])) {
            if let Some(other) = owners.insert(name.clone(), group.clone()) {
                let message = format!("`{name}` names two nodes");
                findings.error(
                    102,
                    place.clone(),
                    message,
                    format!("also in group `{other}`"),
                    "a node is in one group, and a name is one node's",
                );
            }
        }
    }
    let groups = draft.groups;
    set.inventory =
        Inventory::new(groups.iter().map(|(name, (drafted, _))| (name.clone(), drafted.clone())).collect());
    for (service, sides) in draft.services {
        for (group, place) in &sides {
            if !set.inventory.groups.contains_key(group) {
                let near = nearest(group, set.inventory.groups.keys().map(AsRef::as_ref));
                let hint = near.map_or_else(|| "add it".to_owned(), |near| format!("did you mean `{near}`?"));
                let message = format!("unknown group `{group}`");
                findings.error(205, place.clone(), message, "not in the inventory", hint);
            }
        }
        set.inventory.services.insert(service, sides.into_iter().map(|(group, _)| group).collect());
    }
    for (name, check) in &draft.checks {
        expand::expand(name, check, &set.inventory, &mut set.checks, findings);
    }
    for (name, check) in &draft.checks {
        expand::join(name, check, &mut set.checks, findings);
    }
    set.silences = expand::silences(&draft.checks, &set.inventory);
    set.joined = expand::dependents(&draft.checks, &set.checks, findings);
    for (name, (drafted, place)) in &groups {
        if let Some(health) = &drafted.health
            && let Some(missing) = drafted
                .nodes
                .keys()
                .find(|node| !set.checks.contains_key(format!("{health}/{node}").as_str()))
        {
            let hint = format!("a check `{health}` with `each: node` and `in: [{name}]`");
            findings.error(
                205,
                place.clone(),
                format!("unknown check `{health}/{missing}`"),
                "health of this group",
                hint,
            );
        }
    }
    let mut drafted = draft.playbooks;
    if let Some(default) = default {
        drafted.iter_mut().for_each(|(playbook, _)| playbook.ask_by_name(&default));
    }
    judge_all(&drafted, &draft.declared, &set, findings);
    for (playbook, places) in drafted {
        for budget in &playbook.guard.budgets {
            let most = set.budgets.entry(budget.scope).or_default();
            *most = (*most).max(budget.max);
        }
        let (name, place) = (playbook.name.clone(), Place { file: places.file, range: places.name });
        if set.playbooks.insert(name.clone(), playbook).is_some() {
            findings.error(102, place, format!("playbook `{name}` is there twice"), "again", "rename one");
        }
    }
    set
}

/// Judges every playbook, callees first: what they give is known by then.
fn judge_all(
    drafted: &[(Playbook, Places)],
    declared: &BTreeMap<Arc<str>, Place>,
    set: &Set,
    findings: &mut Findings,
) {
    let book = Book::new(drafted, set);
    for (at, step) in &book.circles {
        let (playbook, places) = &drafted[*at];
        let node = places.steps.get(step).and_then(|node| node.get("run"));
        let range = node.map_or_else(|| places.name.clone(), |node| node.range.clone());
        let message = format!("`{}` runs itself", playbook.name);
        let hint = "take one of the steps that run each other away";
        findings.error(206, Place { file: places.file, range }, message, "a circle ends here", hint);
    }
    let mut outputs = vec![Gives::Unclear; drafted.len()];
    for at in &book.order {
        let (playbook, places) = &drafted[*at];
        let findings = &mut *findings;
        let judge = Judge { playbook, places, set, declared, book: &book, outputs: &outputs, findings };
        outputs[*at] = judge.judge();
    }
}
