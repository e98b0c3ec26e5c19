//! `elasticsearch.state.get`: a few lines for whoever is woken. Every node is asked what it sees for itself, since a
//! cluster that has lost its master has no view of its own, and its nodes go on counting those that they last saw.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{BoxFuture, join_all, try_join};
use regreen_action::{Call, Refusal, params};
use regreen_schemas::{
    command::Command,
    fact::{Answer, Verb},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Access,
    cluster::{Ask, Cluster, Member, nobody, telling},
    params::Group,
    votes::Votes,
    wait::Health,
};
use crate::rest::Wrong;

/// Nodes that are asked, all at the same time: so many tell as well as all.
const NODES_MAX: usize = 32;
/// What is read of the state.
const PARTS: &str = "master_node,nodes.*.name,metadata.cluster_coordination";

#[derive(Deserialize)]
struct Params {
    group: Group,
}

/// `_cluster/state`, as one node has it.
#[derive(Deserialize)]
struct State {
    /// Null while it has none. OpenSearch has it under this name too.
    #[serde(default)]
    master_node: Option<String>,
    /// By id.
    #[serde(default)]
    nodes: BTreeMap<String, Named>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Metadata {
    cluster_coordination: Votes,
}

/// What a node says, or why it says nothing.
type Sight = Result<(Health, State), Wrong>;

struct Get {
    cluster: Cluster,
    name: String,
}

pub fn prepare(access: &Access, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    let Params { group } = params(command)?;
    Ok(Box::new(Get { cluster: access.cluster(&group.nodes)?, name: group.name }))
}

impl Get {
    async fn sights(&self) -> Vec<(&str, Sight)> {
        let nodes = self.cluster.members().iter().take(NODES_MAX);
        join_all(nodes.map(async |node| (node.name.as_str(), self.sight(node).await))).await
    }

    async fn sight(&self, node: &Member) -> Sight {
        let health = Ask::get(&["_cluster", "health"], &[("local", "true")]);
        let query = [("local", "true"), ("filter_path", PARTS)];
        let state = Ask::get(&["_cluster", "state", "master_node,nodes,metadata"], &query);
        try_join(self.cluster.read_from(node, &health), self.cluster.read_from(node, &state)).await
    }

    async fn tell(&self) -> Result<Value, Wrong> {
        let sights = self.sights().await;
        if sights.iter().any(|(_, sight)| sight.is_ok()) {
            return Ok(json!({"summary": summary(&sights)}));
        }
        let wrongs: Vec<Wrong> = sights.into_iter().filter_map(|(_, sight)| sight.err()).collect();
        let reasons: Vec<&str> = wrongs.iter().map(|wrong| wrong.reason.as_str()).collect();
        let reason = format!("no node of {} tells: {}", self.name, reasons.join("; "));
        let most = wrongs.into_iter().fold(None, |most, wrong| Some(telling(wrong, most)));
        Err(Wrong { reason, ..most.unwrap_or_else(nobody) })
    }
}

impl Call for Get {
    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            match self.tell().await {
                Ok(result) => Verb::Ok { result },
                Err(wrong) => wrong.verb(),
            }
        })
    }

    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        Box::pin(async move {
            match self.tell().await {
                Ok(result) => Verb::Observed { look, answer: Answer::Done { result } },
                Err(wrong) => wrong.verb(),
            }
        })
    }
}

/// The cluster by the node that knows most: one with a master, if there is one.
fn summary(sights: &[(&str, Sight)]) -> String {
    let told = || sights.iter().filter_map(|(_, sight)| sight.as_ref().ok());
    let Some((health, state)) =
        told().find(|(_, state)| state.master_node.is_some()).or_else(|| told().next())
    else {
        return "no node answers".into();
    };
    let answering: BTreeSet<&str> =
        sights.iter().filter(|(_, sight)| sight.is_ok()).map(|(name, _)| *name).collect();
    let mut lines = vec![match &state.master_node {
        Some(id) => format!("{}, master {}", health.told(), state.name(id)),
        None => "no master".into(),
    }];
    lines.push(voters(state, &answering));
    for (name, sight) in sights {
        match sight {
            Ok((_, own)) if own.master_node.is_none() => lines.push(format!("{name} sees no master")),
            Ok(_) if state.master_node.is_some() && !state.nodes.values().any(|node| node.name == *name) => {
                lines.push(format!("{name} answers and is not in the cluster"));
            }
            Ok(_) => {}
            Err(wrong) => lines.push(wrong.reason.clone()),
        }
    }
    let excluded = state.metadata.cluster_coordination.excluded();
    if !excluded.is_empty() {
        lines.push(format!("without a vote by exclusion: {}", excluded.join(", ")));
    }
    lines.join("\n")
}

/// A cluster with a master knows who is there; without one only who answers is.
fn voters(state: &State, answering: &BTreeSet<&str>) -> String {
    let voting = &state.metadata.cluster_coordination.last_committed_config;
    let there = |id: &&String| match (&state.master_node, state.nodes.get(*id)) {
        (_, None) => false,
        (Some(_), Some(_)) => true,
        (None, Some(node)) => answering.contains(node.name.as_str()),
    };
    format!("{} of {} voting nodes", voting.iter().filter(there).count(), voting.len())
}

impl State {
    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.nodes.get(id).map_or(id, |node| &node.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(master: Option<&str>, nodes: &[&str]) -> Sight {
        let nodes: BTreeMap<String, Value> =
            nodes.iter().map(|name| (format!("i{}", &name[1..]), json!({"name": name}))).collect();
        let votes = json!({"last_committed_config": ["i1", "i2", "i3"], "voting_config_exclusions": []});
        let state =
            json!({"master_node": master, "nodes": nodes, "metadata": {"cluster_coordination": votes}});
        let health = json!({"status": "yellow", "number_of_nodes": nodes.len(), "unassigned_shards": 1,
            "initializing_shards": 0, "relocating_shards": 2});
        let health = serde_json::from_value(health).expect("a health");
        Ok((health, serde_json::from_value(state).expect("a state")))
    }

    #[test]
    fn a_state_is_that_of_a_node_with_a_master_and_else_of_those_who_answer() {
        let gone = || Err(Wrong::unknown("a2: gone"));
        let all = ["a1", "a2", "a3"];
        let table = [
            (
                vec![sight(Some("i3"), &["a1", "a3"]), gone(), sight(Some("i3"), &["a1", "a3"])],
                "yellow, 2 nodes, 1 shards unassigned, 2 shards relocating, master a3\n2 of 3 voting nodes\na2: gone",
            ),
            // One is apart, and still counts those that it saw last.
            (
                vec![sight(None, &all), sight(Some("i2"), &["a2", "a3"]), sight(Some("i2"), &["a2", "a3"])],
                "yellow, 2 nodes, 1 shards unassigned, 2 shards relocating, master a2\n2 of 3 voting nodes\n\
                 a1 sees no master",
            ),
            // Nobody has a master: only who answers is there, whatever the others count.
            (
                vec![sight(None, &all), gone(), gone()],
                "no master\n1 of 3 voting nodes\na1 sees no master\na2: gone\na2: gone",
            ),
            // One is a cluster of its own.
            (
                vec![
                    sight(Some("i1"), &["a1", "a3"]),
                    sight(Some("i2"), &["a2"]),
                    sight(Some("i1"), &["a1", "a3"]),
                ],
                "yellow, 2 nodes, 1 shards unassigned, 2 shards relocating, master a1\n2 of 3 voting nodes\n\
                 a2 answers and is not in the cluster",
            ),
        ];
        for (sights, told) in table {
            let named: Vec<(&str, Sight)> = all.into_iter().zip(sights).collect();
            assert_eq!(summary(&named), told);
        }
    }
}
