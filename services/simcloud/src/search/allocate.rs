//! Where copies of shards go: a copy whose node is lost waits for it, and is then built on another; nobody excluded
//! gets one, and what an excluded node has moves away where there is room.

use std::collections::BTreeSet;

use super::model::{Cluster, Index, NodeId, Place, Shard};

/// The setting by which people keep copies away from nodes, a list of names with `*`.
pub const EXCLUDE: &str = "cluster.routing.allocation.exclude._name";

/// An index as it is made: its primaries begin at once where there is a node for them.
pub fn make(cluster: &Cluster, index: &mut Index, shards: usize, now: i64) {
    let nowhere = Place::Unassigned { since: now, last: None };
    let copies = vec![nowhere; 1 + index.replicas()];
    let eligible = eligible(cluster);
    for number in 0..shards {
        let mut shard = Shard { copies: copies.clone(), in_sync: BTreeSet::new() };
        if let Some(node) = eligible.get(number % eligible.len().max(1)) {
            shard.copies[0] = Place::Started { node: node.clone() };
            shard.in_sync.insert(node.clone());
        }
        for copy in shard.copies.iter().skip(1).cloned().enumerate().collect::<Vec<_>>() {
            place(&mut shard, copy.0 + 1, &eligible, 0, now);
        }
        index.shards.push(shard);
    }
}

/// One turn: what was being filled is full, what is lost is noticed, and what can be placed is placed.
pub fn turn(cluster: &Cluster, now: i64) -> Cluster {
    let mut next = cluster.clone();
    let eligible = eligible(cluster);
    for index in next.indices.values_mut() {
        resize(index, now);
        let (delay, wanted) = (index.delay(), 1 + index.replicas());
        for shard in &mut index.shards {
            for copy in &mut shard.copies {
                arrive(cluster, copy, now);
            }
            lead(shard);
            shard.copies.iter().filter_map(Place::active).for_each(|id| {
                shard.in_sync.insert(id.clone());
            });
            prune(cluster, shard);
            for number in 0..wanted {
                place(shard, number, &eligible, delay, now);
                leave(shard, number, &eligible);
            }
        }
    }
    next
}

/// As many copies as its settings want; those that are new are nowhere yet.
pub fn resize(index: &mut Index, now: i64) {
    let wanted = 1 + index.replicas();
    for shard in &mut index.shards {
        shard.copies.resize(wanted, Place::Unassigned { since: now, last: None });
    }
}

/// Nodes that may have copies, those with the fewest first.
fn eligible(cluster: &Cluster) -> Vec<NodeId> {
    let excluded = cluster.setting(EXCLUDE).unwrap_or_default();
    let patterns: Vec<&str> = excluded.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let may =
        cluster.nodes.values().filter(|peer| !patterns.iter().any(|pattern| matches(pattern, &peer.name)));
    let mut ids: Vec<NodeId> = may.map(|peer| peer.id.clone()).collect();
    let shards = || cluster.indices.values().flat_map(|index| &index.shards);
    ids.sort_by_cached_key(|id| {
        shards().flat_map(|shard| &shard.copies).filter(|copy| copy.uses(id)).count()
    });
    ids
}

/// Whether a name is meant by a pattern with `*`.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(head) else { return false };
    (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(tail, &rest[at..]))
}

/// What was being filled is full; what was on a node that is gone is nowhere.
fn arrive(cluster: &Cluster, copy: &mut Place, now: i64) {
    let there = |id: &NodeId| cluster.nodes.contains_key(id);
    let lost = |id: &NodeId| Place::Unassigned { since: now, last: Some(id.clone()) };
    *copy = match copy {
        Place::Initializing { node } | Place::Started { node } if there(node) => {
            Place::Started { node: node.clone() }
        }
        Place::Initializing { node } | Place::Started { node } => lost(node),
        Place::Relocating { to, .. } if there(to) => Place::Started { node: to.clone() },
        Place::Relocating { from, .. } if there(from) => Place::Started { node: from.clone() },
        Place::Relocating { from, .. } => lost(from),
        Place::Unassigned { .. } => return,
    };
}

/// A replica takes over from a primary that is lost.
fn lead(shard: &mut Shard) {
    if shard.copies[0].active().is_none()
        && let Some(number) = shard.copies.iter().position(|copy| copy.active().is_some())
    {
        shard.copies.swap(0, number);
    }
}

/// Who is gone is no longer in sync, as long as anybody else is.
fn prune(cluster: &Cluster, shard: &mut Shard) {
    if shard.copies[0].active().is_some() {
        shard.in_sync.retain(|id| cluster.nodes.contains_key(id));
    }
}

/// Places a copy that is nowhere. A primary begins again only where all of it is; a replica on the node where it was,
/// and on others once it has waited.
fn place(shard: &mut Shard, number: usize, eligible: &[NodeId], delay: i64, now: i64) {
    let Place::Unassigned { since, last } = shard.copies[number].clone() else { return };
    let free = |id: &&NodeId| !shard.copies.iter().any(|copy| copy.uses(id));
    let mut candidates = eligible.iter().filter(free);
    let chosen = if number == 0 {
        candidates.find(|id| shard.in_sync.contains(id))
    } else if shard.copies[0].active().is_none() {
        None
    } else {
        let waited = last.is_none() || now - since >= delay;
        candidates.find(|id| waited || Some(*id) == last.as_ref())
    };
    if let Some(node) = chosen.cloned() {
        shard.copies[number] = Place::Initializing { node };
    }
}

/// Moves a copy away from a node that shall have none.
fn leave(shard: &mut Shard, number: usize, eligible: &[NodeId]) {
    let Place::Started { node: from } = shard.copies[number].clone() else { return };
    if eligible.contains(&from) {
        return;
    }
    let to = eligible.iter().find(|id| !shard.copies.iter().any(|copy| copy.uses(id))).cloned();
    if let Some(to) = to {
        shard.copies[number] = Place::Relocating { from, to };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::search::model::Peer;

    const LONG: i64 = 5_000;

    fn id(name: char) -> NodeId {
        NodeId(name.to_string())
    }

    fn of(nodes: &str) -> Cluster {
        let peer = |name: char| {
            let empty = String::new();
            let (transport, http, ephemeral) = (empty.clone(), empty.clone(), empty);
            (id(name), Peer { id: id(name), name: format!("n-{name}"), transport, http, ephemeral })
        };
        Cluster { nodes: nodes.chars().map(peer).collect(), ..Cluster::default() }
    }

    fn with_index(mut cluster: Cluster, replicas: u32) -> Cluster {
        let settings = BTreeMap::from([
            ("index.number_of_replicas".to_owned(), replicas.to_string()),
            ("index.unassigned.node_left.delayed_timeout".to_owned(), format!("{LONG}ms")),
        ]);
        let uuid = String::new();
        let mut index =
            Index { uuid, created: 0, settings, mappings: serde_json::Value::Null, shards: Vec::new() };
        make(&cluster, &mut index, 1, 0);
        cluster.indices.insert("i".into(), index);
        cluster
    }

    /// `a* b` is a primary on a and a replica on b; `-` is nowhere, `b?` is being filled, `b>c` moves.
    fn seen(cluster: &Cluster) -> String {
        let word = |copy: &Place| match copy {
            Place::Unassigned { .. } => "-".to_owned(),
            Place::Initializing { node } => format!("{node}?"),
            Place::Started { node } => node.to_string(),
            Place::Relocating { from, to } => format!("{from}>{to}"),
        };
        cluster.indices["i"].shards[0].copies.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    fn without(mut cluster: Cluster, name: char) -> Cluster {
        cluster.nodes.remove(&id(name));
        cluster
    }

    fn with(mut cluster: Cluster, name: char) -> Cluster {
        cluster.nodes.extend(of(&name.to_string()).nodes);
        cluster
    }

    #[test]
    fn a_copy_waits_for_its_node_and_is_then_built_elsewhere() {
        let cluster = with_index(of("abc"), 1);
        assert_eq!(seen(&cluster), "a b?");
        let cluster = turn(&cluster, 1);
        assert_eq!(seen(&cluster), "a b");
        let lost = turn(&without(cluster, 'a'), 10);
        assert_eq!(seen(&lost), "b -", "the replica leads");
        assert_eq!(seen(&turn(&lost, 10 + LONG - 1)), "b -", "it waits");
        assert_eq!(seen(&turn(&lost, 10 + LONG)), "b c?");
        assert_eq!(seen(&turn(&turn(&lost, 10 + LONG), 10 + LONG)), "b c");
        assert_eq!(seen(&turn(&with(lost, 'a'), 11)), "b a?", "its own node need not wait");
    }

    #[test]
    fn a_primary_begins_again_only_where_all_of_it_is() {
        let cluster = with_index(of("abc"), 0);
        let lost = turn(&turn(&without(cluster, 'a'), 10), 10 + 10 * LONG);
        assert_eq!(seen(&lost), "-");
        let back = turn(&with(lost, 'a'), 20 * LONG);
        assert_eq!(seen(&back), "a?");
        assert_eq!(seen(&turn(&back, 20 * LONG)), "a");
    }

    #[test]
    fn an_excluded_node_is_left_where_there_is_room() {
        let mut cluster = turn(&with_index(of("abc"), 1), 1);
        cluster.persistent.insert(EXCLUDE.into(), "x, n-a".into());
        let moving = turn(&cluster, 2);
        assert_eq!(seen(&moving), "a>c b");
        assert_eq!(seen(&turn(&moving, 3)), "c b");
        let tight = turn(&turn(&without(cluster, 'c'), 2), 3);
        assert_eq!(seen(&tight), "a b", "it stays where it has nowhere to go");
        cluster = tight;
        cluster.persistent.insert(EXCLUDE.into(), "*".into());
        assert_eq!(seen(&turn(&cluster, 4)), "a b");
    }

    #[test]
    fn more_replicas_than_nodes_stay_nowhere() {
        let cluster = turn(&with_index(of("ab"), 2), 1);
        assert_eq!(seen(&cluster), "a b -");
        assert_eq!(seen(&turn(&with(cluster, 'd'), 2)), "a b d?");
    }

    #[test]
    fn names_are_matched_with_stars() {
        let table = [
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c*", "abcd", true),
            ("a", "ab", false),
            ("*", "", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
