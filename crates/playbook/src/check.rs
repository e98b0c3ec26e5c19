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

use self::{
    book::Book,
    judge::Judge,
    names::{did_you_mean, unknown_receiver},
};
use crate::{
    cel::Gives,
    diagnostic::{Findings, Place, nearest},
    inventory::Inventory,
    model::{DEFAULT_APPROVERS, On, Playbook},
    read::{Draft, Places},
    roster::Drafts,
    set::Set,
};

/// Joins the drafts and checks them. The set is only used when there is no error.
pub(crate) fn together(mut draft: Draft, findings: &mut Findings) -> Set {
    let mut set = Set {
        receivers: std::mem::take(&mut draft.receivers),
        watchdog: draft.watchdog.take(),
        actions: std::mem::take(&mut draft.actions),
        ceilings: draft.ceilings.take().unwrap_or_default(),
        approvers: approvers(&draft, findings),
        ..Set::default()
    };
    for (name, place) in std::mem::take(&mut draft.system) {
        if !set.receivers.contains_key(&name) {
            let message = format!("unknown receiver `{name}`");
            findings.error(205, place, message, "not declared", unknown_receiver(&name, &set));
        }
        set.system.push(name);
    }
    inventory(&mut draft, &mut set, findings);
    checks(&mut draft, &mut set, findings);
    playbooks(draft, &mut set, findings);
    set
}

/// Groups of approvers, with the one that `default:` names under that name too.
fn approvers(draft: &Draft, findings: &mut Findings) -> BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
    let mut groups = draft.approvers.clone();
    let Some((name, place)) = &draft.default_approvers else { return groups };
    match groups.get(name).cloned() {
        Some(people) => drop(groups.insert(DEFAULT_APPROVERS.into(), people)),
        None => {
            let message = format!("unknown approvers `{name}`");
            findings.error(205, place.clone(), message, "not declared", "name one of the groups beside it");
        }
    }
    groups
}

fn inventory(draft: &mut Draft, set: &mut Set, findings: &mut Findings) {
    let mut owners: BTreeMap<&Arc<str>, &Arc<str>> = BTreeMap::new();
    for (group, (drafted, place)) in &draft.groups {
        for name in drafted.nodes.iter().flat_map(|(name, node)| node.aliases.iter().chain([name])) {
            if let Some(other) = owners.insert(name, group) {
                let hint = "a node is in one group, and a name is one node's";
                let message = format!("`{name}` names two nodes");
                findings.error(102, place.clone(), message, format!("also in group `{other}`"), hint);
            }
        }
    }
    let groups = draft.groups.iter().map(|(name, (drafted, _))| (name.clone(), drafted.clone()));
    set.inventory = Inventory::new(groups.collect());
    for (service, sides) in std::mem::take(&mut draft.services) {
        for (group, place) in &sides {
            if !set.inventory.groups.contains_key(group) {
                let near = nearest(group, set.inventory.groups.keys().map(AsRef::as_ref));
                let message = format!("unknown group `{group}`");
                let hint = did_you_mean(near, || "add it".to_owned());
                findings.error(205, place.clone(), message, "not in the inventory", hint);
            }
        }
        set.inventory.services.insert(service, sides.into_iter().map(|(group, _)| group).collect());
    }
}

fn checks(draft: &mut Draft, set: &mut Set, findings: &mut Findings) {
    let groups = draft.groups.iter().map(|(name, (drafted, _))| (name.clone(), drafted.clone())).collect();
    set.drafts = Arc::new(Drafts { groups, checks: std::mem::take(&mut draft.checks) });
    set.look_at(findings);
    for (name, (drafted, place)) in &draft.groups {
        let Some(health) = &drafted.health else { continue };
        let there = |node: &Arc<str>| set.checks.contains_key(format!("{health}/{node}").as_str());
        if let Some(missing) = drafted.nodes.keys().find(|node| !there(node)) {
            let hint = format!("a check `{health}` with `each: node` and `in: [{name}]`");
            let message = format!("unknown check `{health}/{missing}`");
            findings.error(205, place.clone(), message, "health of this group", hint);
        }
    }
}

fn playbooks(draft: Draft, set: &mut Set, findings: &mut Findings) {
    let mut drafted = draft.playbooks;
    if let Some((default, _)) = &draft.default_approvers {
        drafted.iter_mut().for_each(|(playbook, _)| playbook.ask_by_name(default));
    }
    judge_all(&drafted, &draft.declared, &set.with_someone_in_each(), findings);
    let budgets = drafted.iter().flat_map(|(playbook, _)| &playbook.guard.budgets);
    for budget in budgets.chain(&set.ceilings.budgets) {
        let most = set.budgets.entry(budget.scope).or_default();
        *most = (*most).max(budget.max);
    }
    set.drills = drafted.iter().any(|(playbook, _)| playbook.drill.is_some());
    for trigger in drafted.iter().flat_map(|(playbook, _)| &playbook.triggers) {
        match &trigger.on {
            On::Verdict { check, is } => drop(set.verdicts_wanted.insert((check.clone(), *is))),
            On::Run { playbook, .. } => drop(set.followed.insert(playbook.clone())),
            _ => {}
        }
    }
    for (playbook, places) in drafted {
        let (name, place) = (playbook.name.clone(), Place { file: places.file, range: places.name });
        if set.playbooks.insert(name.clone(), playbook).is_some() {
            findings.error(102, place, format!("playbook `{name}` is there twice"), "again", "rename one");
        }
    }
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
        let reach = book.reach_at(*at);
        let (book, outputs_so_far) = (&book, &outputs);
        let judge = Judge { playbook, places, reach, set, declared, book, outputs: outputs_so_far, findings };
        outputs[*at] = judge.judge();
    }
}
