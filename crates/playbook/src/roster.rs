//! The set as it is now: its files, with the nodes that no file lists and without those that are gone. Made anew from
//! what was written whenever the roster changes, so that checks, groups and names follow from the same place.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use regreen_schemas::{
    Timestamp,
    roster::{By, Member, Members, Node, Roster},
};

use crate::{
    diagnostic::Findings,
    expand,
    inventory::{Draft, Inventory, NodeDraft},
    read::CheckDraft,
    set::Set,
};

/// What inventory and checks are made from.
#[derive(Default)]
pub(crate) struct Drafts {
    pub groups: BTreeMap<Arc<str>, Draft>,
    pub checks: BTreeMap<String, CheckDraft>,
}

/// Where something stood in a file says nothing of what a set is.
impl fmt::Debug for Drafts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drafts").finish_non_exhaustive()
    }
}

impl Set {
    /// The set with what the roster knows beside its files. Where both speak of one name or id, the files hold.
    #[must_use]
    pub fn with(&self, roster: &Roster) -> Self {
        let mut groups = self.drafts.groups.clone();
        let names = groups.values().flat_map(|draft| &draft.nodes);
        let names = names.flat_map(|(name, node)| node.aliases.iter().chain([name]));
        let mut taken: BTreeSet<Arc<str>> = names.cloned().collect();
        for (name, members) in &roster.groups {
            if let Some(draft) = groups.get_mut(name) {
                take_away(draft, members, &mut taken);
                add(draft, members, &mut taken);
            }
        }
        let mut inventory = Inventory::new(groups);
        inventory.services.clone_from(&self.inventory.services);
        let mut set = Self { inventory, ..self.clone() };
        // What is wrong with a file was found when the set was loaded. A node of the roster whose check can't be filled
        // in has none: nobody can say how it is.
        set.look_at(&mut Findings::default());
        set
    }

    /// The set as it will be when providers have answered: with a node in each group that only they fill. Playbooks are
    /// judged by it, since checks over the nodes of an empty group are none.
    pub(crate) fn with_someone_in_each(&self) -> Cow<'_, Self> {
        let mut roster = Roster::default();
        for (name, group) in &self.inventory.groups {
            if group.discover.is_some() && group.nodes.is_empty() {
                let node = Node {
                    name: format!("{name}-discovered").into(),
                    address: format!("{name}.invalid").into(),
                    ..Node::default()
                };
                roster.add(name, Member { node, by: By::Discovery, since: Timestamp::default() });
            }
        }
        if roster.groups.is_empty() { Cow::Borrowed(self) } else { Cow::Owned(self.with(&roster)) }
    }

    /// Makes the checks of the set from their drafts, over the members of the inventory.
    pub(crate) fn look_at(&mut self, findings: &mut Findings) {
        let drafts = self.drafts.clone();
        self.checks = BTreeMap::new();
        for (name, check) in &drafts.checks {
            expand::expand(name, check, &self.inventory, &mut self.checks, findings);
        }
        for (name, check) in &drafts.checks {
            expand::join(name, check, &mut self.checks, findings);
        }
        self.silences = expand::silences(&drafts.checks, &self.inventory);
        self.joined = expand::dependents(&drafts.checks, &self.checks, findings);
    }
}

/// Whether a node of the files is this one: by the provider's id where both have one, else by name.
fn is(name: &Arc<str>, file: &NodeDraft, node: &Node) -> bool {
    if file.id.is_empty() || node.id.is_empty() { *name == node.name } else { *file.id == *node.id }
}

/// The name under which the files of a group list a node.
pub(crate) fn listed<'d>(draft: &'d Draft, node: &Node) -> Option<&'d Arc<str>> {
    draft.nodes.iter().find(|(name, file)| is(name, file, node)).map(|(name, _)| name)
}

/// Nodes that runs took away are known by their names, so that what a run still says of them finds them; they count no
/// more.
fn take_away(draft: &mut Draft, members: &Members, taken: &mut BTreeSet<Arc<str>>) {
    for gone in members.gone.values() {
        if let Some(name) = listed(draft, &gone.node).cloned() {
            let node = draft.nodes.remove(&name).unwrap_or_default();
            draft.gone.insert(name, node);
        } else if taken.insert(gone.node.name.clone()) {
            draft.gone.insert(gone.node.name.clone(), drafted(&gone.node));
        }
    }
}

fn add(draft: &mut Draft, members: &Members, taken: &mut BTreeSet<Arc<str>>) {
    for member in members.nodes.values() {
        let node = &member.node;
        if listed(draft, node).is_none() && taken.insert(node.name.clone()) {
            draft.nodes.insert(node.name.clone(), drafted(node));
        }
    }
}

fn drafted(node: &Node) -> NodeDraft {
    let labels = node.labels.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    NodeDraft {
        id: node.id.to_string(),
        address: node.address.to_string(),
        labels: labels.collect(),
        ..NodeDraft::default()
    }
}

#[cfg(test)]
mod tests {
    use regreen_schemas::view::Kind;

    use super::*;
    use crate::{diagnostic::Source, load};

    const FILES: &str = "apiVersion: regreen/v1
inventory: lab
groups:
  web: {health: web, via: far, nodes: {a1: {id: '1', address: h1, aliases: [old]}, a2: {id: '2', address: h2}}}
  other: {nodes: {}}
---
apiVersion: regreen/v1
checks:
  web: {kind: tcp, each: node, in: [web], with: {address: '{{ node.address }}:80'}}
  all: {kind: all, of: [web/*]}
";

    fn base() -> Set {
        let (set, findings) = load(vec![Source { path: "lab".into(), text: FILES.into() }]);
        set.unwrap_or_else(|| panic!("{}", findings.render(false)))
    }

    fn node(name: &str, id: &str) -> Node {
        Node { name: name.into(), id: id.into(), address: "h9".into(), ..Node::default() }
    }

    fn with(added: &[(&str, Node)], gone: &[Node]) -> Set {
        let mut roster = Roster::default();
        for (group, node) in added {
            let member = Member { node: node.clone(), by: By::Discovery, since: Timestamp(0) };
            roster.add(&Arc::from(*group), member);
        }
        for node in gone {
            roster.remove(&"web".into(), node, &By::Run("r".into()), Timestamp(0));
        }
        base().with(&roster)
    }

    fn names(set: &Set) -> Vec<&str> {
        set.inventory.groups["web"].nodes.keys().map(AsRef::as_ref).collect()
    }

    #[test]
    fn what_is_added_is_looked_at_and_counts() {
        let set = with(&[("web", node("a4", "9")), ("nowhere", node("b", "8"))], &[]);
        assert_eq!(names(&set), ["a1", "a2", "a4"]);
        let target = set.inventory.node("a4").expect("it is there");
        assert_eq!(set.inventory.zone(Some(&target)).as_str(), "far", "its group's runners act on it");
        assert!(
            matches!(&set.checks["web/a4"].kind, Kind::Tcp { address } if &**address == "h9:80"),
            "{:?}",
            set.checks["web/a4"]
        );
        let Kind::Of { checks, .. } = &set.checks["all"].kind else { panic!("it is joined") };
        assert_eq!(checks.len(), 3);
        assert!(set.joined.contains_key("web/a4"));
    }

    #[test]
    fn a_playbook_over_a_group_that_only_a_provider_fills_is_good_and_its_slips_are_found() {
        let files = |name: &str, vantages: &str| {
            format!(
                "apiVersion: regreen/v1
inventory: lab
groups: {{web: {{provider: digitalocean, health: web, discover: {{tag: web}}}}}}
---
apiVersion: regreen/v1
checks:
  web: {{kind: tcp, each: node, in: [web], with: {{address: '{{{{ node.address }}}}:80'}}, vantages: {vantages}}}
---
apiVersion: regreen/v1
playbook: look
mode: observe
target: node
triggers: [{{verdict: {{check: web/*, is: down}}, target: '{{{{ verdict.node }}}}'}}]
when: down(\"{name}/\" + target.name)
steps: [{{id: tell, use: notify.send, with: {{to: ops, text: it is down}}}}]
---
apiVersion: regreen/v1
policy: lab
receivers: {{ops: {{log: {{}}}}}}
"
            )
        };
        let said = |text: String| load(vec![Source { path: "lab".into(), text }]).1.render(false);
        assert_eq!(said(files("web", "[a, b, c]")), "");
        assert!(said(files("wep", "[a, b, c]")).contains("did you mean `web/`?"));
        let (set, _) = load(vec![Source { path: "lab".into(), text: files("web", "[a, b, c]") }]);
        assert!(set.expect("it is good").checks.is_empty(), "nobody is there before the provider says so");
    }

    #[test]
    fn files_hold_where_both_speak_of_one_name_or_id() {
        let set =
            with(&[("web", node("a1", "9")), ("web", node("b1", "2")), ("other", node("old", "7"))], &[]);
        assert_eq!(names(&set), ["a1", "a2"]);
        let Kind::Tcp { address } = &set.checks["web/a1"].kind else { panic!("it is tcp") };
        assert_eq!(&**address, "h1:80");
        assert!(set.inventory.groups["other"].nodes.is_empty(), "an alias is a name too");
    }

    #[test]
    fn what_is_gone_is_known_by_its_name_and_counts_no_more() {
        let set = with(&[], &[node("a2", "2"), node("m1", "9")]);
        assert_eq!(names(&set), ["a1"]);
        assert!(!set.checks.contains_key("web/a2"));
        for name in ["a2", "m1"] {
            let target = set.inventory.node(name).expect("it is known");
            assert!(set.inventory.is_gone(&target) && set.inventory.value(&target).is_some(), "{name}");
            assert_eq!(set.inventory.zone(Some(&target)).as_str(), "far");
        }
        assert!(!set.inventory.is_gone(&set.inventory.node("a1").expect("it is there")));
    }

    #[test]
    fn a_node_that_the_files_give_a_new_id_is_another_one() {
        let set = with(&[], &[node("a2", "older")]);
        assert_eq!(names(&set), ["a1", "a2"]);
        assert!(!set.inventory.is_gone(&set.inventory.node("a2").expect("it is there")));
    }
}
