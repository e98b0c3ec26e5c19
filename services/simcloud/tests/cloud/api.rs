//! The API, as its official description has it: every answer of every endpoint is held against it.

use regreen_testkit::{Contract, wait::wait_for};
use serde_json::{Value, json};

use crate::world::{PATIENCE, World, user_data};

/// Asks, and holds request and answer against the description.
struct Strict<'a> {
    world: &'a World,
    contract: Contract,
}

impl Strict<'_> {
    async fn ask(&self, method: &str, path: &str, body: Option<Value>, expected: u16) -> Value {
        self.contract.request(method, path, body.as_ref()).expect("a request as it is described");
        self.wrong(method, path, body, expected).await
    }

    /// The same with a request that is wrong.
    async fn wrong(&self, method: &str, path: &str, body: Option<Value>, expected: u16) -> Value {
        let (status, answer) = self.world.api(method, path, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        let shown = (!answer.is_null()).then_some(&answer);
        self.contract.answer(method, path, status, shown).expect("an answer as it is described");
        answer
    }
}

#[tokio::test]
async fn every_answer_is_as_the_official_description_has_it() {
    let world = World::start(&["--droplets", "1"]).await;
    let api = Strict { world: &world, contract: Contract::load("digitalocean.strict.openapi.json") };
    let id = world.droplets[0].id;
    let (one, acts) = (format!("/v2/droplets/{id}"), format!("/v2/droplets/{id}/actions"));
    assert_eq!(api.ask("GET", "/v2/account", None, 200).await["account"]["status"], "active");
    droplets(&api).await;

    let action = api.ask("POST", &acts, Some(json!({"type": "reboot"})), 201).await["action"]["id"].clone();
    let busy = api.ask("POST", &acts, Some(json!({"type": "power_cycle"})), 422).await;
    assert!(
        busy["message"].as_str().is_some_and(|text| text.contains("already has a pending event")),
        "{busy}"
    );
    api.ask("DELETE", &one, None, 422).await;
    assert_eq!(world.ended(action.as_u64().expect("an id")).await, "completed");
    assert_eq!(api.ask("GET", &format!("/v2/actions/{action}"), None, 200).await["action"]["type"], "reboot");
    let own = api.ask("GET", &format!("{acts}/{action}"), None, 200).await;
    assert_eq!((&own["action"]["resource_id"], &own["action"]["status"]), (&json!(id), &json!("completed")));
    let all = api.ask("GET", &acts, None, 200).await;
    assert_eq!(
        (&all["actions"][0]["id"], &all["actions"][1]["type"]),
        (&action, &json!("create")),
        "the newest first"
    );
    assert!(api.ask("GET", "/v2/actions?per_page=1", None, 200).await["links"]["pages"]["next"].is_string());
    api.wrong("POST", &acts, Some(json!({"type": "explode"})), 422).await;
    api.ask("POST", &acts, Some(json!({"type": "rebuild", "image": "es-8"})), 422).await;

    snapshots(&api, id, &acts).await;
    tags(&api, id).await;
    power(&api, &acts, &one).await;
    for path in
        ["/v2/droplets/1", "/v2/droplets/1/actions", "/v2/actions/1", "/v2/tags/none", "/v2/snapshots/1"]
    {
        assert_eq!(api.ask("GET", path, None, 404).await["id"], "not_found");
    }
    api.wrong("GET", "/v2/droplets/abc", None, 404).await;
    assert_eq!(api.world.api("PATCH", "/v2/droplets", None).await.1["id"], "method_not_allowed");
    api.ask("DELETE", &one, None, 204).await;
    api.ask("DELETE", &one, None, 404).await;
}

async fn droplets(api: &Strict<'_>) {
    let names = json!({"names": ["b1", "b2", "b3"], "size": "s-2vcpu-4gb", "image": 7, "region": "ams3", "tags": ["bulk"]});
    let made = api.ask("POST", "/v2/droplets", Some(names), 202).await;
    let actions: Vec<u64> = made["links"]["actions"]
        .as_array()
        .expect("links")
        .iter()
        .filter_map(|link| link["id"].as_u64())
        .collect();
    assert_eq!((made["droplets"].as_array().map(Vec::len), actions.len()), (Some(3), 3));
    for action in actions {
        assert_eq!(api.world.ended(action).await, "completed");
    }
    let first = api.ask("GET", "/v2/droplets?tag_name=bulk&per_page=2", None, 200).await;
    assert_eq!((first["droplets"].as_array().map(Vec::len), &first["meta"]["total"]), (Some(2), &json!(3)));
    let next =
        first["links"]["pages"]["next"].as_str().expect("a link").strip_prefix(&api.world.api).expect("here");
    let second = api.ask("GET", next, None, 200).await;
    assert_eq!(second["droplets"][0]["name"], "b3");
    assert_eq!(second["droplets"][0]["memory"], 4096);
    assert!(second["links"]["pages"]["prev"].is_string());
    let named = api.ask("GET", "/v2/droplets?name=b2", None, 200).await;
    assert_eq!((&named["meta"]["total"], &named["droplets"][0]["status"]), (&json!(1), &json!("active")));
    assert_eq!(api.ask("GET", "/v2/droplets?tag_name=none", None, 200).await["droplets"], json!([]));
    api.wrong("GET", "/v2/droplets?per_page=1000", None, 422).await;
    api.wrong("POST", "/v2/droplets", Some(json!({"name": "a_b", "size": "s", "image": "i"})), 422).await;
    api.wrong(
        "POST",
        "/v2/droplets",
        Some(json!({"name": "ab", "size": "s", "image": "i", "colour": "red"})),
        422,
    )
    .await;
    api.wrong("POST", "/v2/droplets", None, 422).await;

    // All that have a tag, at once: it exists there, so it must be seen here.
    api.ask("POST", "/v2/droplets/actions?tag_name=bulk", Some(json!({"type": "power_off"})), 201).await;
    wait_for("three that are off", PATIENCE, async || {
        let all = api.ask("GET", "/v2/droplets?tag_name=bulk", None, 200).await;
        let off = all["droplets"].as_array().expect("droplets").iter().all(|one| one["status"] == "off");
        if off { Ok(()) } else { Err(all) }
    })
    .await;
    api.wrong("POST", "/v2/droplets/actions?tag_name=bulk", Some(json!({"type": "reboot"})), 422).await;
    api.ask("DELETE", "/v2/droplets?tag_name=bulk", None, 204).await;
    let destroyed = |effect: &&String| effect.starts_with("destroy_by_tag b");
    assert_eq!(api.world.effects().iter().filter(destroyed).count(), 3);
    api.wrong("DELETE", "/v2/droplets", None, 422).await;
}

async fn snapshots(api: &Strict<'_>, id: u64, acts: &str) {
    let begun = api.ask("POST", acts, Some(json!({"type": "snapshot", "name": "nightly"})), 201).await;
    api.world.ended(begun["action"]["id"].as_u64().expect("an id")).await;
    let of = api.ask("GET", &format!("/v2/droplets/{id}/snapshots"), None, 200).await;
    let snapshot = of["snapshots"][0]["id"].as_u64().expect("an id");
    assert_eq!(api.ask("GET", "/v2/snapshots?resource_type=droplet", None, 200).await["meta"]["total"], 1);
    let path = format!("/v2/snapshots/{snapshot}");
    assert_eq!(api.ask("GET", &path, None, 200).await["snapshot"]["name"], "nightly");
    let droplet = api.ask("GET", &format!("/v2/droplets/{id}"), None, 200).await;
    assert_eq!(droplet["droplet"]["snapshot_ids"], json!([snapshot]));
    api.ask("DELETE", &path, None, 204).await;
    api.ask("DELETE", &path, None, 404).await;
}

async fn tags(api: &Strict<'_>, id: u64) {
    assert_eq!(api.ask("POST", "/v2/tags", Some(json!({"name": "op:1"})), 201).await["tag"]["name"], "op:1");
    api.wrong("POST", "/v2/tags", Some(json!({"name": "o p"})), 422).await;
    let resources =
        |id: u64| json!({"resources": [{"resource_id": id.to_string(), "resource_type": "droplet"}]});
    api.ask("POST", "/v2/tags/op:1/resources", Some(resources(id)), 204).await;
    api.ask("POST", "/v2/tags/op:1/resources", Some(resources(1)), 404).await;
    assert_eq!(api.ask("GET", "/v2/tags/op:1", None, 200).await["tag"]["resources"]["droplets"]["count"], 1);
    assert_eq!(api.ask("GET", "/v2/droplets?tag_name=op:1", None, 200).await["meta"]["total"], 1);
    api.ask("DELETE", "/v2/tags/op:1/resources", Some(resources(id)), 204).await;
    assert_eq!(api.ask("GET", "/v2/droplets?tag_name=op:1", None, 200).await["meta"]["total"], 0);
    assert_eq!(api.ask("GET", "/v2/tags", None, 200).await["tags"].as_array().map(Vec::len), Some(3));
    api.ask("DELETE", "/v2/tags/op:1", None, 204).await;
}

async fn power(api: &Strict<'_>, acts: &str, one: &str) {
    for (kind, status) in
        [("power_off", "off"), ("power_on", "active"), ("shutdown", "off"), ("power_cycle", "active")]
    {
        let begun = api.ask("POST", acts, Some(json!({"type": kind})), 201).await;
        assert_eq!(begun["action"]["status"], "in-progress");
        assert_eq!(
            api.world.ended(begun["action"]["id"].as_u64().expect("an id")).await,
            "completed",
            "{kind}"
        );
        assert_eq!(api.ask("GET", one, None, 200).await["droplet"]["status"], status, "{kind}");
    }
    api.ask("POST", acts, Some(json!({"type": "power_on"})), 422).await;
}

#[tokio::test]
async fn answers_are_wrong_on_demand_before_the_effect_or_after_it() {
    let world = World::start(&["--droplets", "1"]).await;
    let (id, name) = (world.droplets[0].id, &world.droplets[0].name);
    let acts = format!("/v2/droplets/{id}/actions");
    let fail = async |fault: Value| assert_eq!(world.api("POST", "/sim/api/fail", Some(fault)).await.0, 204);
    let reboot = Some(json!({"type": "reboot"}));
    let hits = json!({"method": "POST", "path_prefix": "/v2/droplets/"});

    fail(json!({"match": hits, "status": 500, "times": 2})).await;
    for _ in 0..2 {
        let (status, body) = world.api("POST", &acts, reboot.clone()).await;
        assert_eq!((status, &body["id"]), (500, &json!("server_error")));
    }
    assert!(world.effects().is_empty(), "before the effect there is none");
    fail(json!({"match": hits, "status": 0, "when": "before"})).await;
    let url = format!("{}{acts}", world.api);
    world
        .ask("POST".parse().expect("a method"), &url, reboot.as_ref())
        .await
        .expect_err("the connection was cut");
    assert!(world.effects().is_empty());
    fail(json!({"match": hits, "status": 0, "when": "after"})).await;
    world
        .ask("POST".parse().expect("a method"), &url, reboot.as_ref())
        .await
        .expect_err("the connection was cut");
    assert_eq!(world.effects(), [format!("reboot {name}")], "nobody was told, and it happened");
    fail(json!({"match": {"path_prefix": "/v2/account"}, "status": 502, "body": "<html>"})).await;
    assert_eq!(world.api("GET", "/v2/account", None).await, (502, Value::Null), "no JSON");
}

#[tokio::test]
async fn a_limit_is_told_always_and_kept_on_demand_and_a_token_is_wanted() {
    let world = World::start(&["--droplets", "1"]).await;
    let http = reqwest::Client::new();
    let url = format!("{}/v2/account", world.api);
    let stranger = http.get(&url).bearer_auth("another").send().await.expect("an answer");
    assert_eq!(stranger.status(), 401);
    let number = |answer: &reqwest::Response, name: &str| -> i64 {
        answer.headers()[name].to_str().expect("a text").parse().expect("a number")
    };
    assert_eq!(number(&stranger, "ratelimit-limit"), 5000);
    assert!(stranger.headers().contains_key("x-request-id"));
    let fault = json!({"status": 429});
    world.api("POST", "/sim/api/fail", Some(fault)).await;
    let busy = http.get(&url).bearer_auth(crate::world::TOKEN).send().await.expect("an answer");
    assert_eq!(
        (busy.status().as_u16(), number(&busy, "ratelimit-remaining"), number(&busy, "retry-after")),
        (429, 0, 1)
    );
    let well = http.get(&url).bearer_auth(crate::world::TOKEN).send().await.expect("an answer");
    assert!(well.status().is_success() && number(&well, "ratelimit-remaining") > 4000);
    assert!(number(&well, "ratelimit-reset") > number(&busy, "ratelimit-reset"));
    // What a droplet is told reaches it whole.
    let new = world.create("es-a-2", Some(&user_data(&world.droplets))).await;
    world.sees(&new.address, 2, "green").await;
}
