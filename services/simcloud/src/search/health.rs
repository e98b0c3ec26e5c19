//! The colour of a cluster, and the numbers that go with it, as `_cluster/health` tells them.

use serde_json::{Map, Value, json};

use super::model::{Cluster, Index, Place, Shard};

/// The worse comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Colour {
    Red,
    Yellow,
    Green,
}

impl Colour {
    /// As the API says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Yellow => "yellow",
            Self::Green => "green",
        }
    }

    /// The colour of that word.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Red, Self::Yellow, Self::Green].into_iter().find(|colour| colour.word() == word)
    }

    fn of_shard(shard: &Shard) -> Self {
        match (shard.copies[0].active(), shard.copies.iter().all(|copy| copy.active().is_some())) {
            (None, _) => Self::Red,
            (Some(_), false) => Self::Yellow,
            (Some(_), true) => Self::Green,
        }
    }
}

/// Copies, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub primaries: usize,
    pub active: usize,
    pub relocating: usize,
    pub initializing: usize,
    pub unassigned: usize,
    pub primaries_unassigned: usize,
    pub delayed: usize,
}

impl Counts {
    fn add(&mut self, index: &Index, now: i64) {
        for shard in &index.shards {
            self.primaries += usize::from(shard.copies[0].active().is_some());
            self.primaries_unassigned += usize::from(matches!(shard.copies[0], Place::Unassigned { .. }));
            for copy in &shard.copies {
                self.active += usize::from(copy.active().is_some());
                match copy {
                    Place::Unassigned { since, last } => {
                        self.unassigned += 1;
                        self.delayed += usize::from(last.is_some() && now - since < index.delay());
                    }
                    Place::Initializing { .. } => self.initializing += 1,
                    Place::Relocating { .. } => self.relocating += 1,
                    Place::Started { .. } => {}
                }
            }
        }
    }
}

/// The health of some of a cluster's indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    pub colour: Colour,
    pub counts: Counts,
}

/// Looks at the indices that `of` names; at all where it names none.
pub fn look(cluster: &Cluster, of: &[String], now: i64) -> Health {
    let mut health = Health { colour: Colour::Green, counts: Counts::default() };
    let named = cluster.indices.iter().filter(|(name, _)| of.is_empty() || of.contains(name));
    for (_, index) in named {
        health.counts.add(index, now);
        health.colour = health.colour.min(colour(index));
    }
    health
}

/// The worst of its shards.
pub fn colour(index: &Index) -> Colour {
    index.shards.iter().map(Colour::of_shard).min().unwrap_or(Colour::Green)
}

/// The answer of `_cluster/health`. `master`: whether there is one.
pub fn answer(cluster: &Cluster, name: &str, health: Health, master: bool, timed_out: bool) -> Value {
    let Health { colour, counts } = health;
    let all = counts.active + counts.initializing + counts.unassigned;
    let percent = if all == 0 { 100.0 } else { counts.active as f64 * 100.0 / all as f64 };
    json!({
        "cluster_name": name,
        "status": if master { colour.word() } else { "red" },
        "timed_out": timed_out,
        "number_of_nodes": cluster.nodes.len(),
        "number_of_data_nodes": cluster.nodes.len(),
        "discovered_master": master,
        "active_primary_shards": counts.primaries,
        "active_shards": counts.active,
        "relocating_shards": counts.relocating,
        "initializing_shards": counts.initializing,
        "unassigned_shards": counts.unassigned,
        "unassigned_primary_shards": counts.primaries_unassigned,
        "delayed_unassigned_shards": counts.delayed,
        "number_of_pending_tasks": 0,
        "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0,
        "active_shards_percent_as_number": percent,
    })
}

/// The part `indices` of `level=indices`.
pub fn by_index(cluster: &Cluster, of: &[String], now: i64) -> Value {
    let named = cluster.indices.iter().filter(|(name, _)| of.is_empty() || of.contains(name));
    let one = |(name, index): (&String, &Index)| {
        let Health { colour, counts } = look(cluster, std::slice::from_ref(name), now);
        let part = json!({
            "status": colour.word(),
            "number_of_shards": index.shards.len(),
            "number_of_replicas": index.replicas(),
            "active_primary_shards": counts.primaries,
            "active_shards": counts.active,
            "relocating_shards": counts.relocating,
            "initializing_shards": counts.initializing,
            "unassigned_shards": counts.unassigned,
            "unassigned_primary_shards": counts.primaries_unassigned,
        });
        (name.clone(), part)
    };
    Value::Object(named.map(one).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::search::model::NodeId;

    #[test]
    fn a_colour_is_that_of_the_worst_shard() {
        let on = |name: &str| Place::Started { node: NodeId(name.into()) };
        let nowhere = Place::Unassigned { since: 0, last: Some(NodeId("z".into())) };
        let filling = Place::Initializing { node: NodeId("c".into()) };
        let moving = Place::Relocating { from: NodeId("a".into()), to: NodeId("c".into()) };
        let table = [
            (vec![], Colour::Green, (0, 0)),
            (vec![vec![on("a"), on("b")]], Colour::Green, (0, 0)),
            (vec![vec![moving, on("b")]], Colour::Green, (0, 0)),
            (vec![vec![on("a"), nowhere.clone()]], Colour::Yellow, (0, 1)),
            (vec![vec![on("a"), filling.clone()], vec![on("a"), on("b")]], Colour::Yellow, (1, 0)),
            (vec![vec![filling, nowhere.clone()]], Colour::Red, (1, 1)),
            (vec![vec![on("a")], vec![nowhere]], Colour::Red, (0, 1)),
        ];
        for (shards, colour, (initializing, unassigned)) in table {
            let shards: Vec<Shard> =
                shards.into_iter().map(|copies| Shard { copies, in_sync: BTreeSet::new() }).collect();
            let (uuid, settings) = (String::new(), BTreeMap::new());
            let index = Index { uuid, created: 0, settings, mappings: Value::Null, shards };
            let cluster = Cluster { indices: BTreeMap::from([("i".into(), index)]), ..Cluster::default() };
            let health = look(&cluster, &[], 1);
            assert_eq!(health.colour, colour, "{cluster:?}");
            assert_eq!((health.counts.initializing, health.counts.unassigned), (initializing, unassigned));
            assert_eq!(look(&cluster, &["other".into()], 1).colour, Colour::Green);
        }
    }
}
