//! The actions of Elasticsearch against three real nodes of OpenSearch: a list and votes that somebody else uses too, a
//! node that is lost, a quorum that is lost. `make search` gets OpenSearch and runs it.

#[path = "../elasticsearch/commands.rs"]
mod commands;
mod nodes;

use std::collections::BTreeSet;

use commands::{group, node, served::Served, serving};
use nodes::Nodes;
use regreen_kit::secrets::Secrets;
use regreen_schemas::{
    Span,
    fact::{Failure, Verb},
};
use reqwest::Method;
use serde_json::{Value, json};

const EXCLUDE: &str = "elasticsearch.node.exclude";
const INCLUDE: &str = "elasticsearch.node.include";
const KEY: &str = "cluster.routing.allocation.exclude._name";
const SETTINGS: &str = "/_cluster/settings?flat_settings=true";
const VOTES: &str = "/_cluster/voting_config_exclusions";
/// Somebody else's: a node that is long gone, with a space, and a pattern.
const OTHERS: &str = "old-1, b*";

#[tokio::test]
async fn a_cluster_is_told_and_what_others_told_it_stays() {
    let mut nodes = Nodes::start().await;
    let served = serving(&json!({}), &Secrets::default());
    nodes.by_hand(Method::PUT, SETTINGS, Some(json!({"persistent": {KEY: OTHERS}}))).await;
    index(&nodes).await;
    a_node_goes_and_comes(&nodes, &served).await;
    a_list_that_hides_another_stays(&nodes, &served).await;
    somebody_elses_vote_stays(&nodes, &served).await;
    a_lost_node_is_excluded(&mut nodes, &served).await;
    a_lost_quorum_is_told(&mut nodes, &served).await;
}

/// Two shards, each with two copies: enough that a node which leaves is missed.
async fn index(nodes: &Nodes) {
    let settings = json!({"number_of_shards": 2, "number_of_replicas": 1, "index.unassigned.node_left.delayed_timeout": "1s"});
    nodes.by_hand(Method::PUT, "/books", Some(json!({"settings": settings}))).await;
    nodes.wait("green", |health| health["status"] == "green").await;
}

async fn done(served: &Served, action: &str, params: Value) -> Value {
    match served.perform(action, params).await {
        Verb::Ok { result } => result,
        other => panic!("{action}: {other:?}"),
    }
}

async fn list(nodes: &Nodes) -> Value {
    nodes.by_hand(Method::GET, SETTINGS, None).await["persistent"][KEY].clone()
}

/// Who is excluded from voting, and how many vote.
async fn votes(nodes: &Nodes) -> (BTreeSet<String>, usize) {
    let state = nodes.by_hand(Method::GET, "/_cluster/state/metadata", None).await;
    let part = &state["metadata"]["cluster_coordination"];
    let names = part["voting_config_exclusions"].as_array().expect("a list").iter();
    let names = names.map(|exclusion| exclusion["node_name"].as_str().expect("a name").to_owned());
    (names.collect(), part["last_committed_config"].as_array().expect("a list").len())
}

async fn a_node_goes_and_comes(nodes: &Nodes, served: &Served) {
    let of = || node("a2", &nodes.inventory());
    for _ in 0..2 {
        done(served, EXCLUDE, of()).await;
        assert_eq!(list(nodes).await, format!("{OTHERS},a2"), "said twice it stands there once");
        // Of the two that are left a single one votes: the number of voters is odd.
        assert_eq!(votes(nodes).await, (BTreeSet::from(["a2".into()]), 1));
    }
    for _ in 0..2 {
        done(served, INCLUDE, of()).await;
        assert_eq!(list(nodes).await, OTHERS);
        assert_eq!(votes(nodes).await.0, BTreeSet::new());
    }
    let waited = done(
        served,
        "elasticsearch.cluster.wait",
        json!({"group": group(&nodes.inventory()), "status": "green"}),
    )
    .await;
    assert_eq!(waited, json!({"status": "green"}));
}

/// A transient list hides the persistent one: it is the one to change, and must not go away by what we take out of it.
async fn a_list_that_hides_another_stays(nodes: &Nodes, served: &Served) {
    let transient = async || nodes.by_hand(Method::GET, SETTINGS, None).await["transient"][KEY].clone();
    let of = || node("a2", &nodes.inventory());
    nodes.by_hand(Method::PUT, SETTINGS, Some(json!({"transient": {KEY: ""}}))).await;
    done(served, EXCLUDE, of()).await;
    assert_eq!((transient().await, list(nodes).await), (json!("a2"), json!(OTHERS)));
    done(served, INCLUDE, of()).await;
    assert_eq!((transient().await, list(nodes).await), (json!(""), json!(OTHERS)));
    nodes.by_hand(Method::PUT, SETTINGS, Some(json!({"transient": {KEY: null}}))).await;
}

async fn somebody_elses_vote_stays(nodes: &Nodes, served: &Served) {
    let of = || node("a2", &nodes.inventory());
    nodes.by_hand(Method::POST, &format!("{VOTES}?node_names=b9"), None).await;
    done(served, EXCLUDE, of()).await;
    let verb = served.perform(INCLUDE, of()).await;
    assert!(
        matches!(&verb, Verb::Unknown { reason } if reason.contains("b9 is excluded as well")),
        "{verb:?}"
    );
    assert_eq!(list(nodes).await, OTHERS);
    assert_eq!(votes(nodes).await.0, BTreeSet::from(["a2".into(), "b9".into()]));
    nodes.by_hand(Method::DELETE, &format!("{VOTES}?wait_for_removal=false"), None).await;
    done(served, INCLUDE, of()).await;
}

async fn a_lost_node_is_excluded(nodes: &mut Nodes, served: &Served) {
    let inventory = nodes.inventory();
    // The votes that were given back count a moment later; until then the one that votes must not be the lost one.
    regreen_testkit::wait_for("three votes", nodes::PATIENCE, async || match votes(nodes).await {
        (_, 3) => Ok(()),
        other => Err(other),
    })
    .await;
    nodes.kill(&[2]);
    nodes.wait("two nodes", |health| health["number_of_nodes"] == 2).await;
    let summary = state(served, &inventory).await;
    assert!(summary.contains("2 nodes") && summary.contains("master a"), "{summary}");
    assert!(summary.contains("a3: no connection") && summary.contains("voting nodes"), "{summary}");
    done(served, EXCLUDE, node("a3", &inventory)).await;
    assert_eq!(list(nodes).await, format!("{OTHERS},a3"));
    let wait = json!({"group": group(&inventory), "status": "green"});
    done(served, "elasticsearch.cluster.wait", wait).await;
    // Three copies of nothing: no node is left for them.
    let replicas = json!({"index": {"number_of_replicas": 2}});
    nodes.by_hand(Method::PUT, "/books/_settings", Some(replicas)).await;
    let params = json!({"group": group(&inventory), "status": "green"});
    let mut wait =
        served.command("elasticsearch.cluster.wait", params, Span::seconds(3), 1).expect("prepared");
    let verb = wait.perform().await;
    let Verb::Failed { kind: Failure::Permanent, reason, .. } = &verb else { panic!("{verb:?}") };
    assert!(reason.contains("yellow, 2 nodes, 2 shards unassigned"), "{reason}");
    done(served, INCLUDE, node("a3", &inventory)).await;
    assert_eq!((list(nodes).await, votes(nodes).await.0), (json!(OTHERS), BTreeSet::new()));
}

async fn state(served: &Served, inventory: &[(&str, String)]) -> String {
    let result = done(served, "elasticsearch.state.get", json!({"group": group(inventory)})).await;
    result["summary"].as_str().expect("a summary").to_owned()
}

async fn a_lost_quorum_is_told(nodes: &mut Nodes, served: &Served) {
    let inventory = nodes.inventory();
    // With every vote on one node: the one that is killed.
    done(served, "elasticsearch.voting.exclude", node("a1", &inventory)).await;
    nodes.kill(&[1]);
    regreen_testkit::wait_for("no master", nodes::PATIENCE, async || {
        let summary = state(served, &inventory).await;
        if summary.starts_with("no master") { Ok(()) } else { Err(summary) }
    })
    .await;
    let summary = state(served, &inventory).await;
    assert!(summary.contains("0 of 1 voting nodes") && summary.contains("a1 sees no master"), "{summary}");
    let verb = served.perform(EXCLUDE, node("a2", &inventory)).await;
    assert!(matches!(&verb, Verb::Failed { kind: Failure::Transient, .. }), "{verb:?}");
}
