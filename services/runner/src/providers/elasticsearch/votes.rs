//! Which nodes may vote on the master: the voting exclusions, shared with people as well. They are added one by one, and
//! cleared all at once or not at all. So they are cleared only while ours is the only one: to clear those of others and
//! add them again would give a node its vote back that somebody is just removing, and lose them for good if this process
//! ended in between. With others there nothing is cleared, and the outcome says whose they are.
//!
//! Of three nodes with one excluded a single one is left that votes: an even number never does. It can't be lost then,
//! as neither of the two could before.

use std::collections::BTreeSet;

use hyper::Method;
use serde::Deserialize;

use super::cluster::{Ask, Cluster, MASTER, SETTLE};
use crate::rest::Wrong;

const EXCLUSIONS: &[&str] = &["_cluster", "voting_config_exclusions"];

/// `_cluster/state/metadata`, as far as it is read here.
#[derive(Clone, Debug, Deserialize)]
struct State {
    metadata: Metadata,
}

#[derive(Clone, Debug, Deserialize)]
struct Metadata {
    cluster_coordination: Votes,
}

/// Who votes, and who must not.
#[derive(Clone, Debug, Deserialize)]
pub struct Votes {
    /// Ids of the nodes that vote.
    pub last_committed_config: BTreeSet<String>,
    #[serde(rename = "voting_config_exclusions")]
    exclusions: Vec<Exclusion>,
}

/// A node that is not there when it is excluded has no id yet.
#[derive(Clone, Debug, Deserialize)]
struct Exclusion {
    node_id: String,
    node_name: String,
}

impl Votes {
    /// Whether this node is listed.
    pub fn exclude(&self, name: &str) -> bool {
        self.exclusions.iter().any(|exclusion| exclusion.node_name == name)
    }

    /// Whether this node is listed, and does not vote any more: the one follows the other by a moment.
    pub fn withhold(&self, name: &str) -> bool {
        let still = |exclusion: &Exclusion| self.last_committed_config.contains(&exclusion.node_id);
        self.exclude(name)
            && !self.exclusions.iter().any(|exclusion| exclusion.node_name == name && still(exclusion))
    }

    /// Who else is listed, by name, or by id where there is no name.
    fn others(&self, name: &str) -> Vec<&str> {
        let others = self.exclusions.iter().filter(|exclusion| exclusion.node_name != name);
        others.map(Exclusion::shown).collect()
    }

    /// All who are listed.
    pub fn excluded(&self) -> Vec<&str> {
        self.exclusions.iter().map(Exclusion::shown).collect()
    }
}

impl Exclusion {
    fn shown(&self) -> &str {
        if self.node_name == "_absent_" { &self.node_id } else { &self.node_name }
    }
}

/// The votes as they are.
pub async fn read(cluster: &Cluster) -> Result<Votes, Wrong> {
    let query = [("filter_path", "metadata.cluster_coordination"), MASTER];
    let state: State = cluster.read(&Ask::get(&["_cluster", "state", "metadata"], &query)).await?;
    Ok(state.metadata.cluster_coordination)
}

/// Takes a node's vote, or gives it back. Whether anything had to be written.
pub async fn change(cluster: &Cluster, name: &str, exclude: bool) -> Result<bool, Wrong> {
    let votes = read(cluster).await?;
    match exclude {
        true if votes.withhold(name) => return Ok(false),
        false if !votes.exclude(name) => return Ok(false),
        _ => {}
    }
    let others = votes.others(name);
    if !exclude && !others.is_empty() {
        return Err(blocked(name, &others));
    }
    let added = [("node_names", name), SETTLE];
    let (method, query) = match exclude {
        true => (Method::POST, added.as_slice()),
        // It would wait until the node has left, and it shall stay.
        false => (Method::DELETE, [("wait_for_removal", "false")].as_slice()),
    };
    cluster.write(&Ask { method, path: EXCLUSIONS, query, body: None }).await?;
    Ok(true)
}

fn blocked(name: &str, others: &[&str]) -> Wrong {
    Wrong::permanent(format!(
        "the vote of {name} is not given back: {} excluded as well, and voting exclusions are cleared all at once. \
         When whoever excluded them is done: DELETE /_cluster/voting_config_exclusions?wait_for_removal=false",
        match others {
            [one] => format!("{one} is"),
            many => format!("{} are", many.join(", ")),
        }
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn votes(voters: &[&str], exclusions: &[(&str, &str)]) -> Votes {
        let exclusions: Vec<Value> =
            exclusions.iter().map(|(id, name)| json!({"node_id": id, "node_name": name})).collect();
        let part =
            json!({"term": 3, "last_committed_config": voters, "voting_config_exclusions": exclusions});
        serde_json::from_value(part).expect("votes")
    }

    #[test]
    fn a_vote_is_withheld_once_the_node_is_listed_and_votes_no_more() {
        let table = [
            (votes(&["i1", "i2", "i3"], &[]), false, false),
            (votes(&["i1", "i2", "i3"], &[("i2", "a2")]), true, false),
            (votes(&["i1"], &[("i2", "a2")]), true, true),
            (votes(&["i1"], &[("_absent_", "a2")]), true, true),
            (votes(&["i1"], &[("i2", "a20"), ("i9", "_absent_")]), false, false),
        ];
        for (votes, listed, withheld) in table {
            assert_eq!((votes.exclude("a2"), votes.withhold("a2")), (listed, withheld), "{votes:?}");
        }
    }

    #[test]
    fn those_of_others_are_named() {
        let votes = votes(&["i1"], &[("i2", "a2"), ("_absent_", "b1"), ("i9", "_absent_")]);
        assert_eq!(votes.others("a2"), ["b1", "i9"]);
        let wrong = blocked("a2", &votes.others("a2"));
        assert!(wrong.reason.contains("b1, i9 are excluded as well"), "{}", wrong.reason);
    }
}
