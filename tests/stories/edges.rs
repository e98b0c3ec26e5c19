//! Stories at the edges: traces, truncated payloads, a runner killed in its call, streams made anew, an old server.

use std::{
    io::Write as _,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use regreen_bus::{log, streams};
use regreen_kit::clock;
use regreen_schemas::{Span, Timestamp, hash::sha256_hex};
use regreen_testkit::{Alertmanager, Nats, Sink, sink::Answer, wait_for};
use regreen_tests::{TOKEN, World, alert, payload, regreen};
use serde_json::json;

/// Somebody with all rights and no sense.
async fn vandal(nats: &Nats) -> regreen_bus::Bus {
    let options = regreen_bus::connect::Options {
        url: nats.url(),
        domain: "default".into(),
        user: "vandal".into(),
        seed: None,
    };
    regreen_bus::Bus::connect(&options).await.expect("a connection")
}

#[tokio::test]
async fn an_edit_is_brought_in_force_or_refused_and_runs_keep_theirs() {
    let mut world = World::new(|text| text.replace("for: 1s, within: 20s", "for: 4s, within: 30s")).await;
    world.start().await;
    let file = world.set().join("playbook.yaml");
    let good = std::fs::read_to_string(&file).expect("the playbook");
    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    world.fire("one").await;
    wait_for("the effect", Duration::from_secs(20), async || {
        let effects = world.services[0].effects().len();
        if effects == 1 { Ok(()) } else { Err(effects) }
    })
    .await;

    // In the middle of the verify: first nonsense, then a playbook by another name.
    std::fs::write(&file, good.replace("mode: auto", "mode: reckless")).expect("written");
    wait_for("the refusal", Duration::from_secs(20), async || {
        let log = world.log();
        if log.contains("are refused") && log.contains("reckless") { Ok(()) } else { Err(log) }
    })
    .await;
    let metrics = reqwest::get(format!("{}/metrics", world.url())).await.expect("metrics");
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains("regreen_set_reload_successful 0"), "{metrics}");
    std::fs::write(&file, good.replace("playbook: restart", "playbook: restart-anew")).expect("written");
    wait_for("the new set", Duration::from_secs(20), async || {
        let log = world.log();
        if log.contains("have changed and are good") { Ok(()) } else { Err(log) }
    })
    .await;
    let story = world.ended("repaired").await;
    assert_eq!(story["playbook"], "restart", "a run keeps the set that it began with");

    world.services[1].break_health(500, true);
    world.verdict("web/two", "down").await;
    world.fire("two").await;
    wait_for("the new playbook's run", Duration::from_secs(40), async || {
        let runs = world.json(&["runs", "list"]);
        let repaired = runs
            .as_array()
            .expect("a list")
            .iter()
            .any(|run| run["playbook"] == "restart-anew" && run["result"] == "repaired");
        if repaired { Ok(()) } else { Err(runs) }
    })
    .await;
}

#[tokio::test]
async fn one_trace_spans_webhook_dispatch_and_call() {
    let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
    let take = async |State(seen): State<Arc<Mutex<Vec<u8>>>>, body: Bytes| {
        seen.lock().expect("no handler panics").extend_from_slice(&body);
    };
    let app = Router::new().route("/v1/traces", post(take)).with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move { axum::serve(listener, app).await });

    let mut world = World::new(|text| text).await;
    world.configure(&format!("otlp_endpoint: http://127.0.0.1:{port}"));
    world.start().await;
    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    let answer = reqwest::Client::new()
        .post(world.webhook())
        .bearer_auth(TOKEN)
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .body(payload(&[alert("one")]).to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    world.ended("repaired").await;
    // Spans carry the trace's id as its sixteen bytes.
    let id = [0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c];
    wait_for("all spans of the trace", Duration::from_secs(20), async || {
        let seen = seen.lock().expect("no handler panics").clone();
        let count = seen.windows(id.len()).filter(|window| *window == id).count();
        let text = String::from_utf8_lossy(&seen).into_owned();
        let named = ["webhook", "dispatch http.request", "call http.request"].map(|name| text.contains(name));
        if named == [true; 3] && count >= 3 { Ok(()) } else { Err((named, count)) }
    })
    .await;
}

#[tokio::test]
async fn alerts_that_were_cut_off_are_told() {
    let mut world = World::new(|text| text).await;
    let policy = world.set().join("policy.yaml");
    let text = std::fs::read_to_string(&policy).expect("the policy");
    std::fs::write(&policy, format!("{text}system: [oncall]\n")).expect("writable");
    world.start().await;
    for _ in 0..2 {
        let cut =
            payload(&[alert("two")]).to_string().replace("\"truncatedAlerts\":0", "\"truncatedAlerts\":3");
        assert_eq!(world.post(cut, TOKEN).await, 200);
    }
    wait_for("the page", Duration::from_secs(20), async || {
        let pages = world.pager.effects();
        if pages.iter().any(|page| page.body.contains("cut 3 alerts off")) { Ok(()) } else { Err(pages) }
    })
    .await;
    assert_eq!(world.pager.effects().len(), 1, "once an hour, not at each repeat");
}

#[tokio::test]
async fn alerts_that_were_cut_off_are_fetched_where_that_is_configured() {
    let mut world = World::new(|text| text).await;
    let alertmanager = Alertmanager::start_cutting(1, &world.webhook(), TOKEN).await;
    world.configure(&format!("alertmanagers: [{{url: {:?}}}]", alertmanager.url()));
    // Both are there before anybody listens: the first payload that arrives has one, and says that one is missing.
    for node in ["one", "two"] {
        alertmanager.post(&json!({"alertname": "WebDown", "node": node}), false).await;
    }
    alertmanager.post(&json!({"alertname": "Another", "node": "three"}), false).await;
    world.start().await;
    wait_for("all three alerts", Duration::from_secs(40), async || {
        let alerts = world.json(&["alerts", "list"]);
        let text = alerts.to_string();
        let all = ["one", "two", "three"].map(|node| text.contains(&format!("\"node\":\"{node}\"")));
        if all == [true; 3] { Ok(()) } else { Err(alerts) }
    })
    .await;
    let metrics = reqwest::get(format!("{}/metrics", world.url())).await.expect("an answer").text().await;
    assert!(metrics.expect("text").contains("regreen_facts_rejected_total 0"));
}

#[tokio::test]
async fn a_runner_killed_in_its_call_is_looked_up_and_not_repeated() {
    let mut world = World::new(|text| text.replace("timeout: 1s", "timeout: 2s")).await;
    world.start().await;
    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    world.services[0].answer([Answer::DoneThenSilent]);
    world.fire("one").await;
    wait_for("the effect", Duration::from_secs(20), async || {
        let effects = world.services[0].effects();
        if effects.len() == 1 { Ok(()) } else { Err(effects) }
    })
    .await;
    // Between ticket and result: nobody is left who knows how the call ended.
    let killed = Command::new("pkill")
        .args(["-KILL", "-f"])
        .arg(format!("runner-process {}", world.path().display()))
        .status()
        .expect("pkill runs");
    assert!(killed.success(), "there was no runner to kill");
    let story = wait_for("the run's end", Duration::from_secs(90), async || {
        let runs = world.json(&["runs", "list"]);
        if runs[0]["result"].is_string() { Ok(runs[0].clone()) } else { Err(runs) }
    })
    .await;
    let told = story.to_string();
    assert_eq!(story["result"], "repaired", "{told}");
    for wanted in ["overdue", "began", "attempt_unknown", "observed", "step_succeeded"] {
        assert!(told.contains(wanted), "{wanted} in {told}");
    }
    assert_eq!(world.services[0].effects().len(), 1, "looked up, not repeated");
}

/// Somebody who is paged when the domain itself is in trouble.
async fn deadman(world: &World) -> Sink {
    let sink = Sink::start().await;
    let file = world.path().join("deadman.url");
    std::fs::write(&file, format!("{}/page", sink.url())).expect("writable");
    world.configure(&format!("deadman: [{{file: {file:?}}}]"));
    sink
}

/// Waits for exactly these pages.
async fn paged(deadman: &Sink, wanted: &[(&str, &str)]) {
    wait_for(&format!("{wanted:?}"), Duration::from_secs(60), async || {
        let pages: Vec<serde_json::Value> = deadman
            .effects()
            .iter()
            .map(|page| serde_json::from_str(&page.body).expect("a page is JSON"))
            .collect();
        let told: Vec<_> =
            pages.iter().map(|page| (page["state"].as_str(), page["status"].as_str())).collect();
        let same =
            told.iter().copied().eq(wanted.iter().map(|(state, status)| (Some(*state), Some(*status))));
        if same { Ok(()) } else { Err(pages) }
    })
    .await;
}

#[tokio::test]
async fn nats_away_wakes_somebody_all_the_same() {
    let mut nats = Nats::start().await;
    let mut world = World::new(|text| text).await;
    world.on(&nats.url());
    let deadman = deadman(&world).await;
    world.start().await;
    nats.kill();
    paged(&deadman, &[("nats_away", "firing")]).await;
    nats.restart().await;
    paged(&deadman, &[("nats_away", "firing"), ("nats_away", "over")]).await;
}

#[tokio::test]
async fn facts_made_anew_freeze_the_domain_until_somebody_reconciles() {
    let nats = Nats::start().await;
    let mut world = World::new(|text| text.replace("timeout: 1s", "timeout: 300s")).await;
    world.on(&nats.url());
    let deadman = deadman(&world).await;
    world.start().await;
    // Something is under way: done, and nobody will ever say so.
    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    world.services[0].answer([Answer::DoneThenSilent]);
    assert_eq!(world.fire("one").await, 200);
    wait_for("the effect", Duration::from_secs(20), async || {
        let effects = world.services[0].effects();
        if effects.len() == 1 { Ok(()) } else { Err(effects) }
    })
    .await;
    // Fault 31.
    let bus = vandal(&nats).await;
    let mut stream = bus.nats().js.get_stream(bus.names.facts()).await.expect("FACTS");
    let config = stream.info().await.expect("its settings").config.clone();
    bus.nats().js.delete_stream(bus.names.facts()).await.expect("deleted");
    bus.nats().js.create_stream(config).await.expect("made anew");
    wait_for("the freeze", Duration::from_secs(60), async || {
        let status = world.json(&["status"]);
        if status["wrong"].to_string().contains("regreen reconcile") { Ok(()) } else { Err(status) }
    })
    .await;
    paged(&deadman, &[("frozen", "firing")]).await;
    world.services[1].break_health(500, true);
    assert_eq!(world.fire("two").await, 200, "ingest stores what comes; nobody decides it");
    // The frozen engine goes on writing that it lives: it had the time to act, and did not.
    let records = || world.json(&["status"])["decisions"].as_u64().unwrap_or_default();
    let before = records();
    wait_for("some records more", Duration::from_secs(20), async || {
        let now = records();
        if now >= before + 3 { Ok(()) } else { Err(now) }
    })
    .await;
    assert_eq!(world.services[1].effects(), []);

    let nobody = world.cli(&["reconcile", "--reason", "a story"]);
    assert_eq!(nobody.status.code(), Some(2), "there is nobody to ask: {nobody:?}");
    let reconciled = world.cli(&["reconcile", "--reason", "a story", "--yes"]);
    let said = String::from_utf8_lossy(&reconciled.stdout).into_owned();
    assert!(reconciled.status.success() && said.contains("step restart"), "{reconciled:?}");
    paged(&deadman, &[("frozen", "firing"), ("frozen", "over")]).await;
    // What was under way is looked up, and what was never decided comes again by itself.
    world.ended("repaired").await;
    assert_eq!(world.services[0].effects().len(), 1, "looked up, not repeated");
    world.verdict("web/two", "down").await;
    assert_eq!(world.fire("two").await, 200);
    wait_for("the second repair", Duration::from_secs(40), async || {
        let effects = world.services[1].effects();
        if effects.len() == 1 { Ok(()) } else { Err(effects) }
    })
    .await;
    assert_eq!(world.cli(&["reconcile", "--reason", "again", "--yes"]).status.code(), Some(1), "not frozen");
}

#[tokio::test]
async fn init_tells_drift_and_an_old_server_is_refused() {
    let nats = Nats::start().await;
    let init = |url: &str| {
        let arguments = ["init", "--size-mib", "200", "--nats", url];
        Command::new(regreen()).args(arguments).output().expect("it starts")
    };
    assert!(init(&nats.url()).status.success());
    let bus = vandal(&nats).await;
    let mut stream = bus.nats().js.get_stream(bus.names.facts()).await.expect("FACTS");
    let mut config = stream.info().await.expect("its settings").config.clone();
    config.max_age = Duration::from_hours(24);
    bus.nats().js.update_stream(config).await.expect("changed");
    let told = init(&nats.url());
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!(told.status.code(), Some(1));
    assert!(said.contains("max_age") && said.contains("nothing was changed"), "{said}");

    // A server of another age: it says its version before anything else.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let url = format!("nats://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let info = json!({"server_id": "old", "version": "2.9.10", "go": "go1.19", "host": "127.0.0.1", "port": 4222,
            "max_payload": 1_048_576, "proto": 1, "headers": true, "jetstream": true, "client_id": 1});
        write!(stream, "INFO {info}\r\n").expect("the client listens");
        let mut read = [0; 4096];
        while std::io::Read::read(&mut stream, &mut read).is_ok_and(|n| n > 0) {
            if stream.write_all(b"PONG\r\n").is_err() {
                return;
            }
        }
    });
    let refused = init(&url);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("2.9.10") && said.contains("2.12") && said.contains("upgrade"), "{said}");
}

#[tokio::test]
async fn a_log_that_was_silent_for_long_is_suspect_until_somebody_resumes() {
    let nats = Nats::start().await;
    let bus = vandal(&nats).await;
    // A domain that was made an hour ago and last heard of then.
    let long_ago = Timestamp(clock::wall().0 - Span::minutes(60).0);
    let sizing = streams::Sizing { replicas: 1, bytes: 200 << 20 };
    streams::init(&bus, sizing, long_ago, false).await.expect("made");
    let (seq, genesis) = log::newest(&bus).await.expect("Genesis");
    let mut record = regreen_schemas::record::decode(&genesis).expect("readable");
    let hash = sha256_hex(&genesis);
    (record.n, record.prev_hash, record.items) = (2, hash.as_str().into(), Vec::new());
    let bytes = serde_json::to_vec(&record).expect("plain data");
    log::Log::new(&bus, log::Tail { seq, hash }).append(bytes.into()).await.expect("written");

    let mut world = World::new(|text| text).await;
    world.on(&nats.url());
    let deadman = deadman(&world).await;
    world.launch();
    wait_for("suspicion", Duration::from_secs(40), async || {
        let status = world.json(&["status"]);
        if status["wrong"].to_string().contains("regreen resume --suspect") { Ok(()) } else { Err(status) }
    })
    .await;
    paged(&deadman, &[("suspect", "firing")]).await;
    world.verdict("web/one", "up").await;
    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    assert_eq!(world.fire("one").await, 200);
    wait_for("the decision", Duration::from_secs(20), async || {
        let alerts = world.json(&["alerts", "list"]);
        if alerts[0]["decisions"].to_string().contains("suspect") { Ok(()) } else { Err(alerts) }
    })
    .await;
    assert_eq!(world.services[0].effects(), [], "nothing is done before somebody has looked");
    let resumed = world.cli(&["resume", "--suspect"]);
    assert!(resumed.status.success(), "{resumed:?}");
    world.ended("repaired").await;
    assert_eq!(world.services[0].effects().len(), 1);
    world.ready().await;
}

/// Fault 19.
#[tokio::test]
async fn a_provider_that_asks_for_patience_gets_it_and_the_deadline_holds() {
    let patient = |text: String| {
        text.replace("mode: auto", "mode: auto\ndeadline: 8s")
            .replace("timeout: 1s", "timeout: 1s\n    attempts: 3")
            .replace("max: 3", "max: 9")
    };
    let mut world = World::new(patient).await;
    world.start().await;
    let number = |line: &serde_json::Value, field: &str| line[field].as_i64().unwrap_or_default();
    world.services[0].answer([Answer::Busy(2), Answer::Refuse(500)]);
    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    assert_eq!(world.fire("one").await, 200);
    let story = world.ended("repaired").await;
    let lines = story["lines"].as_array().expect("lines").clone();
    let at = |kind: &str| -> Vec<serde_json::Value> {
        lines.iter().filter(|line| !line["what"][kind].is_null()).cloned().collect()
    };
    let (failed, sent) = (at("attempt_failed"), at("dispatched"));
    // The 429 did nothing for sure; after the 500 it is looked up twice, then tried once more.
    assert_eq!((failed.len(), sent.len()), (1, 5), "{story}");
    assert!(
        number(&sent[1], "at") - number(&failed[0], "at") >= 2000,
        "the second try came too early: {story}"
    );
    assert_eq!(world.services[0].effects().len(), 1);

    // Asked to wait for longer than the deadline: it ends by the deadline, and nothing is called again.
    let calls = world.services[1].calls();
    world.services[1].answer([Answer::Busy(3600)]);
    world.services[1].break_health(500, true);
    world.verdict("web/two", "down").await;
    assert_eq!(world.fire("two").await, 200);
    world.ended("failed").await;
    assert_eq!((world.services[1].calls() - calls, world.services[1].effects().len()), (1, 0));
}
