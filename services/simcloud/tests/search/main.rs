//! The stand-in against the real thing: the same requests to three small search nodes and to three of OpenSearch, each
//! cluster in a cloud of its own. What probes, runners and drills read must agree. `make search` gets OpenSearch and
//! runs this; without it the test fails.

#[path = "../cloud/world.rs"]
#[expect(dead_code, reason = "the tests of the cloud itself use all of it")]
mod world;

use std::time::Duration;

use regreen_testkit::{tools, wait::wait_for};
use serde_json::{Map, Value, json};
use world::{PATIENCE, World};

/// How long a write is waited for.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);
/// Where a node's own answer matters: the last of the three, which is never killed.
const WITNESS: usize = 2;
const HEALTH: &[&str] = &[
    "/active_shards_percent_as_number",
    "/delayed_unassigned_shards",
    "/discovered_master",
    "/initializing_shards",
    "/number_of_data_nodes",
    "/relocating_shards",
    "/task_max_waiting_in_queue_millis",
];
const COLOUR: &[&str] =
    &["/status", "/number_of_nodes", "/timed_out", "/active_shards", "/unassigned_shards"];
const ERROR: &[&str] = &["/error/type", "/status"];

/// What a cluster said, in the order in which it was asked.
struct Story<'a> {
    world: &'a World,
    said: Vec<(String, Value)>,
}

impl Story<'_> {
    /// Asks the witness, and keeps the status, the values at `same`, and the kinds of those at `alike`.
    async fn ask(&mut self, asked: &str, body: Option<Value>, same: &[&str], alike: &[&str]) {
        let (method, path) = asked.split_once(' ').expect("a method and a path");
        let address = &self.world.droplets[WITNESS].address;
        let (status, answer) = self.world.node(address, method, path, body).await.expect("an answer");
        let mut kept = Map::from_iter([("status code".to_owned(), status.into())]);
        for place in same {
            kept.insert(
                (*place).to_owned(),
                answer.pointer(place).cloned().unwrap_or_else(|| json!("nothing there")),
            );
        }
        for place in alike {
            kept.insert((*place).to_owned(), kind(answer.pointer(place)).into());
        }
        self.said.push((asked.to_owned(), kept.into()));
    }

    async fn sees(&self, nodes: u64, colour: &str) {
        self.world.sees(&self.world.droplets[WITNESS].address, nodes, colour).await;
    }

    /// Who votes and who is there, by name.
    async fn electorate(&mut self, when: &str) {
        let address = &self.world.droplets[WITNESS].address;
        let parts = "filter_path=metadata.cluster_coordination,nodes.*.name";
        let path = format!("/_cluster/state/metadata,nodes?{parts}");
        let (_, state) = self.world.node(address, "GET", &path, None).await.expect("a state");
        let votes = &state["metadata"]["cluster_coordination"];
        let count = |list: &Value| list.as_array().map(Vec::len);
        let mut names: Vec<&Value> =
            state["nodes"].as_object().expect("nodes").values().map(|node| &node["name"]).collect();
        names.sort_by_key(|name| name.as_str());
        let exclusions = votes["voting_config_exclusions"].clone();
        let voters = [count(&votes["last_committed_config"]), count(&votes["last_accepted_config"])];
        self.said
            .push((when.to_owned(), json!({"voters": voters, "nodes": names, "exclusions": exclusions})));
    }
}

fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "nothing there",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a flag",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a text",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    }
}

#[tokio::test]
async fn stand_ins_answer_as_the_real_ones_do() {
    let there = tools::find(&["opensearch-node"]);
    assert!(there.is_file(), "without OpenSearch nothing is compared");
    let small = World::start(&[]).await;
    let real = World::start(&["--search", "real"]).await;
    let (small, real) = tokio::join!(tell(&small), tell(&real));
    let apart = small.iter().zip(&real).filter(|(small, real)| small != real);
    let apart: Vec<String> = apart
        .map(|((asked, small), (_, real))| format!("{asked}\n  stand-in   {small}\n  OpenSearch {real}"))
        .collect();
    assert!(apart.is_empty(), "{}", apart.join("\n"));
    assert_eq!(small.len(), real.len());
    assert!(small.len() > 30, "so much was asked");
}

async fn tell(world: &World) -> Vec<(String, Value)> {
    let mut story = Story { world, said: Vec::new() };
    well(&mut story).await;
    documents(&mut story).await;
    told(&mut story).await;
    wrong(&mut story).await;
    one_is_lost(&mut story).await;
    two_are_lost(&mut story).await;
    story.said
}

async fn well(story: &mut Story<'_>) {
    story.sees(3, "green").await;
    story
        .ask("GET /", None, &["/name", "/cluster_name"], &["/version/number", "/cluster_uuid", "/tagline"])
        .await;
    story.ask("GET /_cluster/health", None, COLOUR, HEALTH).await;
    story
        .ask("GET /_cluster/health?wait_for_nodes=%3E%3D3&wait_for_status=green", None, COLOUR, HEALTH)
        .await;
    story.ask("GET /_nodes", None, &["/_nodes/total", "/_nodes/failed", "/cluster_name"], &["/nodes"]).await;
    story.ask("GET /_nodes/_local/http", None, &["/_nodes/total"], &[]).await;
    story.electorate("at first").await;
    let parts = "GET /_cluster/state/metadata,nodes";
    story
        .ask(
            parts,
            None,
            &["/cluster_name"],
            &["/cluster_uuid", "/metadata/cluster_coordination/term", "/nodes"],
        )
        .await;
}

async fn documents(story: &mut Story<'_>) {
    let settings = json!({"number_of_shards": 1, "number_of_replicas": 2,
        "index.unassigned.node_left.delayed_timeout": "0"});
    let index = json!({"settings": settings, "mappings": {"properties": {"@timestamp": {"type": "date"}}}});
    let acknowledged = &["/acknowledged", "/shards_acknowledged", "/index"];
    story.ask("PUT /canary", Some(index.clone()), acknowledged, &[]).await;
    story.ask("PUT /canary", Some(index), ERROR, &["/error/root_cause"]).await;
    story.sees(3, "green").await;
    let written =
        &["/_index", "/_id", "/_version", "/result", "/_shards/total", "/_shards/failed", "/_seq_no"];
    let one = |time: &str| Some(json!({"@timestamp": time, "n": 1}));
    story.ask("PUT /canary/_doc/1", one("2026-11-22T05:00:00Z"), written, &["/_primary_term"]).await;
    story.ask("PUT /canary/_doc/1", one("2026-11-22T05:00:01Z"), written, &[]).await;
    story.ask("PUT /canary/_doc/2", one("2026-11-22T05:00:00.5Z"), written, &[]).await;
    story.ask("PUT /canary/_create/2", one("2026-11-22T05:00:00Z"), ERROR, &[]).await;
    story.ask("POST /canary/_refresh", None, &["/_shards/failed", "/_shards/total"], &[]).await;
    let newest = json!({"size": 1, "_source": false, "track_total_hits": false,
        "sort": [{"@timestamp": {"order": "desc", "numeric_type": "date"}}]});
    let hit = &["/timed_out", "/_shards/failed", "/hits/hits/0/sort", "/hits/hits/0/_id", "/hits/total"];
    story.ask("POST /canary/_search", Some(newest), hit, &["/took", "/hits/hits/0/_source"]).await;
    let some = json!({"query": {"ids": {"values": ["1", "7"]}}});
    story
        .ask("POST /canary/_search", Some(some.clone()), &["/hits/total", "/hits/hits/0/_source"], &[])
        .await;
    story.ask("POST /canary/_count", Some(some), &["/count"], &[]).await;
    story.ask("GET /canary/_count", None, &["/count", "/_shards/failed"], &[]).await;
    story.ask("GET /canary/_doc/1", None, &["/found", "/_version", "/_source"], &["/_seq_no"]).await;
    story.ask("GET /canary/_doc/7", None, &["/found", "/_id"], &["/_source"]).await;
    story.ask("DELETE /canary/_doc/2", None, written, &[]).await;
    story.ask("DELETE /canary/_doc/2", None, &["/result"], &[]).await;
    story.ask("GET /none/_doc/1", None, ERROR, &["/error/reason"]).await;
    story.ask("POST /none/_search", None, ERROR, &[]).await;
}

async fn told(story: &mut Story<'_>) {
    let key = "cluster.routing.allocation.exclude._name";
    let set = |value: Value| Some(json!({"persistent": {key: value}}));
    let settings = "/_cluster/settings";
    story
        .ask(
            &format!("PUT {settings}"),
            set(json!("somebody, x*")),
            &["/acknowledged", "/persistent", "/transient"],
            &[],
        )
        .await;
    story.ask(&format!("GET {settings}?flat_settings=true"), None, &["/persistent", "/transient"], &[]).await;
    story.ask(&format!("GET {settings}"), None, &["/persistent", "/transient"], &[]).await;
    story.ask(&format!("PUT {settings}"), set(Value::Null), &["/acknowledged", "/persistent"], &[]).await;
    story.ask(&format!("GET {settings}?flat_settings=true"), None, &["/persistent"], &[]).await;
    let votes = "/_cluster/voting_config_exclusions";
    story.ask(&format!("POST {votes}?node_names=somebody"), None, &[""], &[]).await;
    story.ask(&format!("POST {votes}?node_names=somebody"), None, &[""], &[]).await;
    story.electorate("somebody who is not there shall not vote").await;
    story.ask(&format!("DELETE {votes}?wait_for_removal=false"), None, &[""], &[]).await;
    story.electorate("nobody is excluded").await;
}

async fn wrong(story: &mut Story<'_>) {
    story.ask("PUT /_cluster/settings", Some(json!({"persistent": {"clutser.x": 1}})), ERROR, &[]).await;
    story.ask("POST /_cluster/voting_config_exclusions", None, ERROR, &[]).await;
    story.ask("GET /_cluster/health?wait_for_status=blue", None, ERROR, &[]).await;
    story
        .ask("GET /_cluster/health?wait_for_nodes=9&timeout=200ms", None, &["/timed_out", "/status"], HEALTH)
        .await;
    story.ask("GET /nothing/of/that", None, &[], &["/error"]).await;
    story.ask("PATCH /_cluster/health", None, &["/status"], &["/error"]).await;
    story.ask("PUT /Canary", None, ERROR, &[]).await;
}

async fn one_is_lost(story: &mut Story<'_>) {
    let lost = story.world.droplets[0].id;
    story.world.harm(lost, "kill").await;
    story.sees(2, "yellow").await;
    story.ask("GET /_cluster/health?local=true", None, COLOUR, HEALTH).await;
    story.electorate("one is lost").await;
    story.ask("GET /_cluster/health?wait_for_status=green&timeout=200ms", None, COLOUR, HEALTH).await;
    story
        .ask(
            "PUT /canary/_doc/3",
            Some(json!({"n": 3})),
            &["/result", "/_shards/total", "/_shards/failed"],
            &[],
        )
        .await;
    assert_eq!(story.world.act(lost, "reboot").await, "completed");
    story.sees(3, "green").await;
    // A copy that is back may fail once more: it is waited for, not looked at.
    story
        .ask("GET /_cluster/health?wait_for_status=green&wait_for_nodes=3&timeout=60s", None, COLOUR, HEALTH)
        .await;
    story.electorate("it is back").await;
}

async fn two_are_lost(story: &mut Story<'_>) {
    let [one, two] = [0, 1].map(|number| story.world.droplets[number].id);
    tokio::join!(story.world.harm(one, "kill"), story.world.harm(two, "kill"));
    let witness = story.world.droplets[WITNESS].address.clone();
    wait_for("no master", PATIENCE, async || {
        let (_, health) = story.world.node(&witness, "GET", "/_cluster/health?local=true", None).await?;
        if health["discovered_master"] == false { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
    story.ask("GET /_cluster/health?local=true", None, &["/status", "/discovered_master"], HEALTH).await;
    // OpenSearch says `cluster_manager` where Elasticsearch says `master`.
    let no_master = &["/error/type", "/error/reason", "/error/root_cause"];
    for path in ["/_cluster/health", "/_cluster/state/metadata,nodes", "/_cluster/settings"] {
        story.ask(&format!("GET {path}?master_timeout=500ms"), None, &["/status"], no_master).await;
    }
    let settings = Some(json!({"persistent": {"cluster.routing.allocation.exclude._name": "x"}}));
    story.ask("PUT /_cluster/settings?master_timeout=500ms", settings, &["/status"], no_master).await;
    // A real node may also wait for its master for ever: what must not come is a yes.
    let write = story.world.node(&witness, "PUT", "/canary/_doc/4?timeout=1s", Some(json!({"n": 4})));
    if let Ok(answer) = tokio::time::timeout(WRITE_PATIENCE, write).await {
        let (status, refused) = answer.expect("an answer");
        assert!(status >= 500 && refused["error"]["type"].is_string(), "{status} {refused}");
    }
    story.ask("GET /canary/_doc/1", None, &["/found"], &[]).await;
    tokio::join!(story.world.act(one, "power_cycle"), story.world.act(two, "reboot"));
    story.sees(3, "green").await;
    for id in [1, 3] {
        story.ask(&format!("GET /canary/_doc/{id}"), None, &["/found", "/_source"], &[]).await;
    }
}
