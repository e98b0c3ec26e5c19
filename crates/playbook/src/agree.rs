//! Where files, runs and providers do not say the same of a node. One of them is wrong, and people must say which: until
//! then nothing destructive is done to that node.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regreen_schemas::{
    Span, Timestamp,
    roster::{By, Member, Members, Roster},
};

use crate::{inventory::Draft, roster::listed, set::Set};

/// What a provider lists follows what was done there with a delay: so long it is no contradiction.
pub const LISTED_WITHIN: Span = Span::minutes(10);

/// Ids of all nodes that a provider lists, each with its name.
pub type Listed = BTreeMap<Arc<str>, Arc<str>>;

/// Who says what, by group and name.
pub type Disagreements = BTreeMap<(Arc<str>, Arc<str>), String>;

impl Set {
    /// The name under which the files list a node of a group.
    #[must_use]
    pub fn file_name(&self, group: &str, node: &regreen_schemas::roster::Node) -> Option<&Arc<str>> {
        self.drafts.groups.get(group).and_then(|draft| listed(draft, node))
    }

    /// Whether the files list a node of this name in a group.
    #[must_use]
    pub fn is_of_files(&self, group: &str, name: &str) -> bool {
        self.drafts.groups.get(group).is_some_and(|draft| draft.nodes.contains_key(name))
    }

    /// How many nodes the files list in a group.
    #[must_use]
    pub fn in_files(&self, group: &str) -> usize {
        self.drafts.groups.get(group).map_or(0, |draft| draft.nodes.len())
    }

    /// Where the files, the roster and the newest lists of the providers do not say the same. `self` is the set as it
    /// is now.
    #[must_use]
    pub fn disagreements<'l>(
        &self,
        roster: &Roster,
        newest: impl Fn(&str) -> Option<&'l Listed>,
        now: Timestamp,
    ) -> Disagreements {
        let nobody = Members::default();
        let names = self.drafts.groups.values().flat_map(|draft| &draft.nodes);
        let names: BTreeSet<&Arc<str>> =
            names.flat_map(|(name, node)| node.aliases.iter().chain([name])).collect();
        let mut out = Disagreements::new();
        for (name, draft) in &self.drafts.groups {
            let members = roster.groups.get(name).unwrap_or(&nobody);
            let mut says = |node: &Arc<str>, why: String| {
                out.entry((name.clone(), node.clone())).or_insert(why);
            };
            let strangers = members.nodes.values().filter(|member| listed(draft, &member.node).is_none());
            for member in strangers {
                self.stranger(name, member, &names, &mut says);
            }
            if let Some(newest) = newest(name) {
                files_and_list(draft, members, newest, &mut says);
                runs_and_list(members, newest, now, &mut says);
            }
        }
        out
    }

    /// A node that the files do not list: its name is its own, and something looks at it.
    fn stranger(
        &self,
        group: &Arc<str>,
        member: &Member,
        names: &BTreeSet<&Arc<str>>,
        says: &mut impl FnMut(&Arc<str>, String),
    ) {
        let (node, who) = (&member.node, said_by(&member.by));
        let group = self.inventory.groups.get(group);
        if names.contains(&node.name) || group.is_none_or(|group| !group.nodes.contains_key(&node.name)) {
            let why = format!("{who} has it with the id {}, and another node has its name", node.id);
            return says(&node.name, why);
        }
        let Some(health) = group.and_then(|group| group.health.as_ref()) else { return };
        if !self.checks.contains_key(format!("{health}/{}", node.name).as_str()) {
            let why =
                format!("{who} has it, and check {health} can't be filled in for it: nobody sees how it is");
            says(&node.name, why);
        }
    }
}

fn said_by(by: &By) -> String {
    match by {
        By::Run(run) => format!("run {run}"),
        By::Discovery => "the provider".to_owned(),
    }
}

fn files_and_list(
    draft: &Draft,
    members: &Members,
    newest: &Listed,
    says: &mut impl FnMut(&Arc<str>, String),
) {
    let gone: BTreeSet<&Arc<str>> =
        members.gone.values().filter_map(|gone| listed(draft, &gone.node)).collect();
    for (name, node) in draft.nodes.iter().filter(|(name, _)| !gone.contains(name)) {
        if node.id.is_empty() {
            if !newest.values().any(|known| known == name) {
                says(name, "the files have it, and the provider lists none of its name".to_owned());
            }
        } else if !newest.contains_key(node.id.as_str()) {
            says(name, format!("the files have it with the id {}, and the provider lists none", node.id));
        }
    }
}

fn runs_and_list(
    members: &Members,
    newest: &Listed,
    now: Timestamp,
    says: &mut impl FnMut(&Arc<str>, String),
) {
    for Member { node, by, since } in members.nodes.values() {
        if matches!(by, By::Run(_)) && !newest.contains_key(&node.id) && now - *since > LISTED_WITHIN {
            let why = format!("{} made it with the id {}, and the provider lists none", said_by(by), node.id);
            says(&node.name, why);
        }
    }
    for gone in members.gone.values() {
        if newest.contains_key(&gone.node.id) && now - gone.at > LISTED_WITHIN {
            let why = format!("run {} took it away, and the provider still lists it", gone.run);
            says(&gone.node.name, why);
        }
    }
    let mut called: BTreeMap<&Arc<str>, &Arc<str>> = BTreeMap::new();
    for (id, name) in newest {
        if let Some(first) = called.insert(name, id) {
            says(name, format!("the provider calls two nodes so: {first} and {id}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use regreen_schemas::roster::Node;

    use super::*;
    use crate::{diagnostic::Source, load};

    const FILES: &str = "apiVersion: regreen/v1
inventory: lab
groups:
  web: {health: web, nodes: {a1: {id: '1', address: h}, a2: {address: h}}}
---
apiVersion: regreen/v1
checks:
  web: {kind: tcp, each: node, in: [web], with: {address: '{{ node.labels.port }}:80'}}
";

    /// Members as name, id, by run; gone ones as name, id.
    fn told(
        members: &[(&str, &str, bool)],
        gone: &[(&str, &str)],
        listed: Option<&[(&str, &str)]>,
    ) -> String {
        let text = FILES.replace("{{ node.labels.port }}", "h");
        told_of(&text, members, gone, listed)
    }

    fn told_of(
        text: &str,
        members: &[(&str, &str, bool)],
        gone: &[(&str, &str)],
        listed: Option<&[(&str, &str)]>,
    ) -> String {
        let (set, findings) = load(vec![Source { path: "lab".into(), text: text.into() }]);
        let set = set.unwrap_or_else(|| panic!("{}", findings.render(false)));
        let node = |name: &str, id: &str| Node { name: name.into(), id: id.into(), ..Node::default() };
        let mut roster = Roster::default();
        for (name, id, made) in members {
            let by = if *made { By::Run("r".into()) } else { By::Discovery };
            roster.add(&"web".into(), Member { node: node(name, id), by, since: Timestamp(0) });
        }
        for (name, id) in gone {
            roster.remove(&"web".into(), &node(name, id), &By::Run("r".into()), Timestamp(0));
        }
        let listed: Option<Listed> =
            listed.map(|list| list.iter().map(|(id, name)| (Arc::from(*id), Arc::from(*name))).collect());
        let later = Timestamp(0) + LISTED_WITHIN + Span::seconds(1);
        let found = set.with(&roster).disagreements(&roster, |_| listed.as_ref(), later);
        found.into_iter().map(|((_, node), why)| format!("{node}: {why}\n")).collect()
    }

    #[test]
    fn who_agrees_is_not_told_of() {
        assert_eq!(told(&[], &[], None), "");
        assert_eq!(told(&[("a3", "3", true), ("a4", "4", false)], &[], None), "");
        let all = [("1", "other"), ("2", "a2"), ("3", "a3")];
        assert_eq!(
            told(&[("a3", "3", true)], &[], Some(&all)),
            "",
            "ids count, and names where there is none"
        );
        assert_eq!(
            told(&[], &[("a1", "1")], Some(&[("2", "a2")])),
            "",
            "what a run took away is missed by none"
        );
    }

    #[test]
    fn each_contradiction_is_told() {
        let (id, name) = (("1", "a1"), ("2", "a2"));
        let cases: [(&str, String); 7] = [
            ("a1: the provider has it with the id 9, and another", told(&[("a1", "9", false)], &[], None)),
            ("a1: run r has it with the id 9, and another", told(&[("a1", "9", true)], &[], None)),
            ("a1: the files have it with the id 1, and the provider", told(&[], &[], Some(&[name]))),
            ("a2: the files have it, and the provider lists none", told(&[], &[], Some(&[id]))),
            ("a3: run r made it with the id 3", told(&[("a3", "3", true)], &[], Some(&[id, name]))),
            ("a1: run r took it away, and the provider still", told(&[], &[("a1", "1")], Some(&[id, name]))),
            (
                "b: the provider calls two nodes so: 7 and 8",
                told(&[], &[], Some(&[id, name, ("7", "b"), ("8", "b")])),
            ),
        ];
        for (wanted, found) in cases {
            assert!(found.starts_with(wanted) && found.lines().count() == 1, "{wanted}: {found}");
        }
    }

    #[test]
    fn a_node_that_nobody_can_look_at_is_told() {
        let text = FILES.replace("address: h}", "address: h, labels: {port: h}}");
        let found = told_of(&text, &[("a3", "3", true)], &[], None);
        assert!(found.starts_with("a3: run r has it, and check web can't be filled in"), "{found}");
    }
}
