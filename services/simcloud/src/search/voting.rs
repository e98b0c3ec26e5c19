//! Who votes: what a majority is, and how the electorate follows the nodes that come and go.

use std::collections::BTreeSet;

use super::model::{Cluster, NodeId};

/// An electorate of so many is never shrunk below it: two lost nodes must not leave one that decides alone.
const SAFE: usize = 3;

/// Whether these may decide.
pub fn quorum(cluster: &Cluster, yes: &BTreeSet<NodeId>) -> bool {
    majority(&cluster.committed, yes) && majority(&cluster.accepted, yes)
}

fn majority(config: &[NodeId], yes: &BTreeSet<NodeId>) -> bool {
    config.iter().filter(|id| yes.contains(id)).count() * 2 > config.len()
}

/// The electorate that suits the nodes that are there: an odd number, of those that may vote, the present ones first.
/// The one in force stays where the present nodes could not carry another.
pub fn reconfigure(cluster: &Cluster) -> Vec<NodeId> {
    let current = &cluster.accepted;
    let may = |id: &&NodeId| !cluster.retired(id);
    let live: Vec<&NodeId> = cluster.nodes.keys().filter(may).collect();
    let kept: Vec<&NodeId> = current.iter().filter(may).collect();
    let least = if kept.len() >= SAFE { SAFE } else { 1 };
    let odd = live.len() - usize::from(live.len().is_multiple_of(2) && !live.is_empty());
    let size = odd.max(least);

    let rank = |id: &NodeId| {
        let (present, voting) = (cluster.nodes.contains_key(id), current.contains(id));
        (!present, cluster.master.as_ref() != Some(id), !voting)
    };
    let mut all: Vec<&NodeId> =
        live.iter().chain(&kept).copied().collect::<BTreeSet<_>>().into_iter().collect();
    all.sort_by_key(|id| rank(id));
    let mut next: Vec<NodeId> = all.into_iter().take(size).cloned().collect();
    next.sort();
    let present: BTreeSet<NodeId> = cluster.nodes.keys().cloned().collect();
    if majority(&next, &present) { next } else { current.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::model::{Exclusion, Peer};

    fn id(name: &str) -> NodeId {
        NodeId(name.into())
    }

    fn cluster(voting: &str, present: &str, excluded: &str) -> Cluster {
        let ids = |text: &str| text.chars().map(|name| id(&name.to_string())).collect::<Vec<_>>();
        let peer = |id: NodeId| {
            let (name, transport) = (format!("node-{id}"), String::new());
            (id.clone(), Peer { id, name, http: transport.clone(), ephemeral: transport.clone(), transport })
        };
        Cluster {
            master: ids(present).first().cloned(),
            nodes: ids(present).into_iter().map(peer).collect(),
            committed: ids(voting),
            accepted: ids(voting),
            exclusions: ids(excluded)
                .into_iter()
                .map(|id| Exclusion { node_name: format!("node-{id}"), node_id: id.0 })
                .collect(),
            ..Cluster::default()
        }
    }

    #[test]
    fn the_electorate_follows_the_nodes() {
        let table = [
            ("abc", "abc", "", "abc"),
            // One is lost: it keeps its vote, so that a second loss ends the quorum.
            ("abc", "ab", "", "abc"),
            // Another one takes its place.
            ("abc", "abd", "", "abd"),
            ("abc", "abcd", "", "abc"),
            ("abc", "abcde", "", "abcde"),
            ("abcde", "abcd", "", "abc"),
            // Without its vote two are left, and of two one decides.
            ("abc", "ab", "c", "a"),
            ("abc", "abd", "c", "abd"),
            ("a", "ab", "", "a"),
            ("a", "abd", "", "abd"),
            // Nobody may: it stays.
            ("abc", "ab", "abc", "abc"),
        ];
        for (voting, present, excluded, expected) in table {
            let found: String =
                reconfigure(&cluster(voting, present, excluded)).into_iter().map(|id| id.0).collect();
            assert_eq!(found, expected, "{voting} with {present} there and {excluded} excluded");
        }
    }

    #[test]
    fn while_the_electorate_changes_both_must_agree() {
        let mut cluster = cluster("abc", "abc", "");
        let yes = |text: &str| text.chars().map(|name| id(&name.to_string())).collect::<BTreeSet<_>>();
        assert!(quorum(&cluster, &yes("ab")) && !quorum(&cluster, &yes("a")));
        cluster.accepted = vec![id("a")];
        assert!(
            quorum(&cluster, &yes("ab")) && !quorum(&cluster, &yes("a")) && !quorum(&cluster, &yes("bc"))
        );
        assert!(!quorum(&Cluster::default(), &yes("abc")), "nobody voted for nobody");
    }
}
