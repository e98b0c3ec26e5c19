//! Droplets and the search nodes in them: what becomes of a cluster when they go, come back, and are replaced.

use serde_json::{Value, json};

use regreen_testkit::{Contract, wait::wait_for};

use crate::world::{Droplet, PATIENCE, World, user_data};

/// An index whose copies do not wait for a lost node.
fn impatient(replicas: u32) -> Value {
    json!({"settings": {"number_of_replicas": replicas, "index.unassigned.node_left.delayed_timeout": "0"}})
}

async fn write(world: &World, at: &Droplet, id: &str) -> (u16, Value) {
    let path = format!("/canary/_doc/{id}?timeout=2s");
    let document = json!({"@timestamp": "2026-11-22T05:00:00Z", "id": id});
    world.node(&at.address, "PUT", &path, Some(document)).await.expect("an answer")
}

async fn voters(world: &World, at: &Droplet) -> Vec<String> {
    let (_, state) =
        world.node(&at.address, "GET", "/_cluster/state/metadata,nodes", None).await.expect("a state");
    let ids = state["metadata"]["cluster_coordination"]["last_committed_config"].as_array().expect("a list");
    let name = |id: &Value| {
        state["nodes"][id.as_str().expect("an id")]["name"].as_str().unwrap_or("gone").to_owned()
    };
    let mut names: Vec<String> = ids.iter().map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_lost_node_is_missed_and_comes_back_by_a_reboot() {
    let world = World::start(&[]).await;
    let [one, two, three] = &world.droplets[..] else { panic!("three droplets") };
    let (status, made) = world.node(&two.address, "PUT", "/canary", Some(impatient(2))).await.expect("made");
    assert_eq!((status, &made["acknowledged"]), (200, &json!(true)));
    let (status, written) = write(&world, three, "before").await;
    assert_eq!((status, &written["result"]), (201, &json!("created")));
    world.sees(&one.address, 3, "green").await;

    world.harm(one.id, "kill").await;
    world.sees(&two.address, 2, "yellow").await;
    world.sees(&three.address, 2, "yellow").await;
    assert_eq!(world.machine(one.id).await["machine"], "dead");
    assert_eq!(write(&world, two, "meanwhile").await.0, 201);

    assert_eq!(world.act(one.id, "reboot").await, "completed");
    world.sees(&one.address, 3, "green").await;
    for id in ["before", "meanwhile"] {
        let path = format!("/canary/_doc/{id}");
        let (_, found) = world.node(&one.address, "GET", &path, None).await.expect("an answer");
        assert_eq!(found["_source"]["id"], id, "{found}");
    }
    assert_eq!(world.effects(), ["kill es-a-1", "reboot es-a-1"]);
}

#[tokio::test]
async fn two_lost_at_once_leave_no_master_and_nothing_is_written() {
    let world = World::start(&[]).await;
    let [one, two, three] = &world.droplets[..] else { panic!("three droplets") };
    world.node(&one.address, "PUT", "/canary", Some(impatient(1))).await.expect("made");
    assert_eq!(write(&world, one, "before").await.0, 201);
    tokio::join!(world.harm(one.id, "kill"), world.harm(two.id, "kill"));
    wait_for("no master", PATIENCE, async || {
        let (_, health) = world.node(&three.address, "GET", "/_cluster/health?local=true", None).await?;
        if health["discovered_master"] == false { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
    let (status, refused) = write(&world, three, "lost").await;
    assert_eq!((status, &refused["error"]["type"]), (503, &json!("cluster_block_exception")));
    let asked = world.node(&three.address, "GET", "/_cluster/health?master_timeout=500ms", None).await;
    let (status, refused) = asked.expect("an answer");
    assert_eq!((status, &refused["error"]["type"]), (503, &json!("master_not_discovered_exception")));
    assert_eq!(refused["status"], 503);

    tokio::join!(world.act(one.id, "power_cycle"), world.act(two.id, "power_cycle"));
    world.sees(&three.address, 3, "green").await;
    let (_, found) = world.node(&three.address, "GET", "/canary/_doc/before", None).await.expect("an answer");
    assert_eq!(found["found"], true);
    let (status, _) = world.node(&three.address, "GET", "/canary/_doc/lost", None).await.expect("an answer");
    assert_eq!(status, 404, "what was refused was not done");
}

#[tokio::test]
async fn a_broken_droplet_is_replaced_by_one_that_knows_its_cluster_from_user_data() {
    let world = World::start(&[]).await;
    let [one, two, _] = &world.droplets[..] else { panic!("three droplets") };
    world.node(&two.address, "PUT", "/canary", Some(impatient(2))).await.expect("made");
    assert_eq!(write(&world, two, "before").await.0, 201);
    world.harm(one.id, "kill_and_break").await;
    for kind in ["reboot", "power_cycle"] {
        assert_eq!(world.act(one.id, kind).await, "completed", "so it says");
        assert_eq!(world.machine(one.id).await["machine"], "broken");
    }
    world.sees(&two.address, 2, "yellow").await;

    let new = world.create("es-a-new", Some(&user_data(&world.droplets))).await;
    world.sees(&new.address, 3, "green").await;
    let (_, found) = world.node(&new.address, "GET", "/canary/_doc/before", None).await.expect("an answer");
    assert_eq!(found["found"], true, "documents are copied to whoever joins");
    wait_for("its vote", PATIENCE, async || {
        let names = voters(&world, two).await;
        if names == ["es-a-2", "es-a-3", "es-a-new"] { Ok(()) } else { Err(names) }
    })
    .await;

    // A template that is wrong makes a droplet, and no search node.
    let wrong = user_data(&world.droplets).replace("seed_hosts", "seed_host");
    let idle = world.create("es-a-wrong", Some(&wrong)).await;
    let machine = world.machine(idle.id).await;
    assert_eq!(machine["machine"], "idle");
    assert!(machine["problem"].as_str().is_some_and(|why| why.contains("discovery.seed_host")), "{machine}");
    assert!(world.node(&idle.address, "GET", "/", None).await.is_err());
    // One of another cluster runs, and does not join.
    let other = user_data(&world.droplets).replace("cluster.name: es-a", "cluster.name: es-b");
    let other = world.create("es-a-other", Some(&other)).await;
    wait_for("the other", PATIENCE, async || world.node(&other.address, "GET", "/", None).await).await;
    world.sees(&two.address, 3, "green").await;
    let (_, health) =
        world.node(&other.address, "GET", "/_cluster/health?local=true", None).await.expect("health");
    assert_eq!(health["discovered_master"], false, "{health}");
}

#[tokio::test]
async fn a_node_that_hangs_hears_no_reboot_but_its_reset_button() {
    let world = World::start(&[]).await;
    let [one, two, _] = &world.droplets[..] else { panic!("three droplets") };
    world.harm(one.id, "hang").await;
    world.sees(&two.address, 2, "green").await;
    assert_eq!(world.act(one.id, "reboot").await, "completed");
    assert_eq!(world.machine(one.id).await["machine"], "hung");
    assert_eq!(world.act(one.id, "shutdown").await, "errored");
    assert_eq!(world.act(one.id, "power_cycle").await, "completed");
    world.sees(&one.address, 3, "green").await;
}

#[tokio::test]
async fn exclusions_are_honoured_and_given_back() {
    const EXCLUDE: &str = "cluster.routing.allocation.exclude._name";
    let world = World::start(&[]).await;
    let [one, two, _] = &world.droplets[..] else { panic!("three droplets") };
    world.node(&two.address, "PUT", "/canary", Some(impatient(1))).await.expect("made");
    let settings = json!({"persistent": {EXCLUDE: format!("somebody,{}", one.name)}});
    let (status, answer) =
        world.node(&two.address, "PUT", "/_cluster/settings", Some(settings)).await.expect("set");
    assert_eq!((status, &answer["acknowledged"]), (200, &json!(true)));
    let (_, shown) =
        world.node(&one.address, "GET", "/_cluster/settings?flat_settings=true", None).await.expect("shown");
    assert_eq!(shown["persistent"][EXCLUDE], "somebody,es-a-1");
    wait_for("no copy on it", PATIENCE, async || {
        let (_, state) = world.node(&two.address, "GET", "/_cluster/state/routing_table,nodes", None).await?;
        let copies =
            state["routing_table"]["indices"]["canary"]["shards"]["0"].as_array().expect("copies").clone();
        let on = |copy: &Value| state["nodes"][copy["node"].as_str().unwrap_or("")]["name"].clone();
        let there = copies.iter().all(|copy| copy["state"] == "STARTED" && on(copy) != one.name.as_str());
        if there { Ok(()) } else { Err(state.to_string()) }
    })
    .await;

    let path = format!("/_cluster/voting_config_exclusions?node_names={}", one.name);
    let (status, body) = world.node(&two.address, "POST", &path, None).await.expect("excluded");
    assert_eq!((status, &body), (200, &Value::Null), "an empty body");
    assert!(!voters(&world, two).await.contains(&one.name));
    let back = "/_cluster/voting_config_exclusions?wait_for_removal=false";
    assert_eq!(world.node(&two.address, "DELETE", back, None).await.expect("given back").0, 200);
    wait_for("its vote", PATIENCE, async || {
        let names = voters(&world, two).await;
        if names.contains(&one.name) { Ok(()) } else { Err(names) }
    })
    .await;
}

#[tokio::test]
async fn answers_of_a_search_node_are_as_the_official_description_has_them() {
    let contract = Contract::load("elasticsearch-8.17.strict.openapi.json");
    let world = World::start(&["--droplets", "1"]).await;
    let address = &world.droplets[0].address;
    world.node(address, "PUT", "/canary", Some(impatient(0))).await.expect("made");
    let settings = json!({"persistent": {"cluster.routing.allocation.exclude._name": "somebody"}});
    // Not those of voting exclusions: a body is described there, and real nodes send none.
    let asked = [
        ("GET", "/", None),
        ("GET", "/_cluster/health", None),
        ("GET", "/_cluster/health?local=true&level=indices", None),
        ("GET", "/_cluster/health/canary", None),
        ("GET", "/_cluster/settings?flat_settings=true", None),
        ("PUT", "/_cluster/settings", Some(settings)),
        ("GET", "/_cluster/state/metadata,nodes", None),
        ("GET", "/_nodes", None),
        ("GET", "/_nodes/_local", None),
        ("GET", "/canary/_settings", None),
    ];
    for (method, path, body) in asked {
        contract.request(method, path, body.as_ref()).expect("a request as it is described");
        let (status, answer) = world.node(address, method, path, body).await.expect("an answer");
        let shown = (!answer.is_null()).then_some(&answer);
        contract.answer(method, path, status, shown).expect("an answer as it is described");
    }
}
