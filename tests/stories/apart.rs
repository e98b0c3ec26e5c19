//! Stories of services that run apart: takeover, a stopped engine that comes back, a drained runner.

use std::time::Duration;

use regreen_bus::{snapshots, streams};
use regreen_testkit::{Proxy, sink::Answer, wait_for};
use regreen_tests::{Fleet, TOKEN, alert, payload};

fn unchanged(text: String) -> String {
    text
}

#[tokio::test]
async fn two_engines_that_both_believe_to_be_active_make_one_log() {
    let mut fleet = Fleet::new(unchanged).await;
    fleet.start_all().await;
    fleet.world.services[0].break_health(500, true);
    fleet.world.verdict("web/one", "down").await;
    let (active, standby) = fleet.engines().await;
    // Fault 32: the active one stands still for longer than the log may be silent.
    fleet.signal(active, "STOP");
    assert_eq!(fleet.world.fire("one").await, 200);
    fleet.logged(standby, "phase=\"live\"").await;
    fleet.world.ended("repaired").await;
    fleet.signal(active, "CONT");
    fleet.logged(active, "another engine has taken over").await;
    assert_eq!(fleet.world.services[0].effects().len(), 1, "the loser does nothing");

    // And back: the new one dies, the old one goes on.
    let (active, standby) = fleet.engines().await;
    fleet.kill(active);
    fleet.world.services[1].break_health(500, true);
    assert_eq!(fleet.world.fire("two").await, 200);
    wait_for("the second repair", Duration::from_secs(40), async || {
        let effects = fleet.world.services[1].effects();
        if effects.len() == 1 { Ok(()) } else { Err((effects, fleet.log(standby))) }
    })
    .await;
    fleet.world.verdict("web/two", "up").await;
}

#[tokio::test]
async fn a_runner_that_is_told_to_end_finishes_its_call_first() {
    let mut fleet = Fleet::new(|text| text.replace("timeout: 1s", "timeout: 10s")).await;
    fleet.start_all().await;
    fleet.world.services[0].break_health(500, true);
    fleet.world.verdict("web/one", "down").await;
    fleet.world.services[0].answer([Answer::Slow(Duration::from_secs(3))]);
    assert_eq!(fleet.world.fire("one").await, 200);
    wait_for("the call", Duration::from_secs(20), async || {
        let calls = fleet.world.services[0].calls();
        if calls == 1 { Ok(()) } else { Err(calls) }
    })
    .await;
    fleet.signal("runner", "TERM");
    assert!(fleet.ended("runner").await.success(), "{}", fleet.log("runner"));
    let story = fleet.world.ended("repaired").await.to_string();
    assert!(!story.contains("unknown"), "its result was stored before it ended: {story}");
    for part in ["ingest", "probe", "notifier", "engine-a", "engine-b"] {
        fleet.signal(part, "TERM");
        assert!(fleet.ended(part).await.success(), "{part}: {}", fleet.log(part));
    }
}

#[tokio::test]
async fn every_service_checks_its_file_and_says_what_is_wrong() {
    let fleet = Fleet::new(unchanged).await;
    for part in regreen_tests::PARTS {
        let good = fleet.check(part);
        assert!(good.status.success(), "{part}: {good:?}");
        let file = fleet.world.path().join(format!("{part}.yaml"));
        let text = std::fs::read_to_string(&file).expect("the file");
        for (wrong, code, why) in [
            (format!("{text}surprise: 1\n"), 1, "surprise"),
            (text.replace(".seed", ".sead"), 1, "can't be read"),
            (text.replace("process:", "prozess:"), 1, "prozess"),
        ] {
            std::fs::write(&file, wrong).expect("writable");
            let told = fleet.check(part);
            let said = String::from_utf8_lossy(&told.stderr).into_owned();
            assert_eq!(told.status.code(), Some(code), "{part}: {said}");
            assert!(said.contains(why), "{part}: {said}");
        }
        std::fs::remove_file(&file).expect("there");
        assert_eq!(fleet.check(part).status.code(), Some(2), "{part}");
    }
}

#[tokio::test]
async fn a_service_is_ready_once_it_has_reached_nats() {
    let mut fleet = Fleet::new(unchanged).await;
    let answer = |fleet: &Fleet, part: &str| {
        let told = fleet.ask_ready(part);
        (told.status.code(), String::from_utf8_lossy(&told.stderr).into_owned())
    };
    for part in ["ingest", "probe", "runner", "notifier", "engine-a"] {
        let (code, said) = answer(&fleet, part);
        assert!(code == Some(1) && said.contains("does not answer"), "{part}: {said}");
        fleet.nats.signal("STOP");
        fleet.start(part);
        fleet.phase(part, "nats: not connected yet").await;
        let (code, said) = answer(&fleet, part);
        assert!(code == Some(1) && said.contains("nats: not connected yet"), "{part}: {said}");
        fleet.nats.signal("CONT");
        fleet.phase(part, "ok").await;
        assert_eq!(answer(&fleet, part), (Some(0), String::new()), "{part}");
    }
}

#[tokio::test]
async fn the_example_of_every_service_is_a_good_configuration() {
    let fleet = Fleet::new(unchanged).await;
    let etc = fleet.world.path().join("etc");
    std::fs::create_dir_all(etc.join("playbooks")).expect("writable");
    for file in ["playbook.yaml", "policy.yaml"] {
        std::fs::copy(fleet.world.set().join(file), etc.join("playbooks").join(file)).expect("copied");
    }
    std::fs::copy(fleet.world.set().join("inventory.yaml"), etc.join("inventory.yaml")).expect("copied");
    for entry in std::fs::read_dir(fleet.world.path().join("keys")).expect("keys") {
        let file = entry.expect("an entry").path();
        std::fs::copy(&file, etc.join(file.file_name().expect("a name"))).expect("copied");
    }
    for service in ["ingest", "probe", "engine-a", "runner", "notifier"] {
        let name = service.split('-').next().expect("a name");
        let text = std::fs::read_to_string(format!("../docs/config/{name}.yaml")).expect("an example");
        // Its secrets: keys are there, what other files it names is made up.
        for named in text.split("file: /etc/regreen/").skip(1) {
            let secret = etc.join(named.split(['}', '\n', ' ', ',']).next().expect("a name"));
            if !secret.exists() {
                std::fs::write(secret, "x").expect("writable");
            }
        }
        let here = text
            .replace("/etc/regreen", &etc.display().to_string())
            .replace("/var/lib/regreen", &fleet.world.path().display().to_string());
        std::fs::write(fleet.world.path().join(format!("{service}.yaml")), here).expect("writable");
        let checked = fleet.check(service);
        assert!(checked.status.success(), "{name}: {checked:?}");
    }
}

#[tokio::test]
async fn the_same_webhook_a_hundred_times_is_one_run() {
    let mut fleet = Fleet::new(unchanged).await;
    fleet.start_all().await;
    fleet.world.services[0].break_health(500, true);
    fleet.world.verdict("web/one", "down").await;
    let body = payload(&[alert("one")]).to_string();
    // Fault 13: from three Alertmanagers, all at once.
    let mut posts = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (url, body) = (fleet.world.webhook(), body.clone());
        posts.spawn(async move {
            let request = reqwest::Client::new().post(url).bearer_auth(TOKEN).body(body);
            request.send().await.expect("an answer").status().as_u16()
        });
    }
    assert!(posts.join_all().await.into_iter().all(|status| status == 200));
    fleet.world.ended("repaired").await;
    assert_eq!(fleet.world.json(&["runs", "list"]).as_array().map(Vec::len), Some(1));
    assert_eq!(fleet.world.services[0].effects().len(), 1);
}

#[tokio::test]
async fn the_state_is_kept_the_past_is_trimmed_and_recovery_goes_by_the_newest_that_is_whole() {
    let mut fleet = Fleet::new(unchanged).await;
    fleet.start("engine-a");
    fleet.phase("engine-a", "ok").await;
    for part in ["ingest", "probe", "runner", "notifier"] {
        fleet.start(part);
    }
    fleet.works().await;
    fleet.world.services[0].break_health(500, true);
    fleet.world.verdict("web/one", "down").await;
    assert_eq!(fleet.world.fire("one").await, 200);
    let story = fleet.world.ended("repaired").await;
    let explain = |fleet: &Fleet, what: &str| {
        String::from_utf8_lossy(&fleet.world.cli(&["explain", what]).stdout).into_owned()
    };
    let run = story["run"].as_str().expect("an id");
    assert!(explain(&fleet, run).contains("when: down"), "{}", explain(&fleet, run));
    // With an audit period of seconds the log is trimmed while we wait.
    fleet.logged("engine-a", "is trimmed").await;
    let bus = fleet.admin().await;
    let extent = streams::extent(&bus, bus.names.decisions()).await.expect("DECISIONS");
    assert!(extent.first > 1, "{extent:?}");
    fleet.kill("engine-a");

    // Fault 33: the newest is corrupt, the one before was written by a newer release.
    let kept = snapshots::list(&bus).await.expect("snapshots");
    assert!(kept.len() >= 3, "{kept:?}");
    let mut newest = snapshots::manifest(&bus, kept[0]).await.expect("readable");
    newest.streams = None;
    snapshots::put(&bus, &newest, "{}".into()).await.expect("spoilt");
    let mut before = snapshots::manifest(&bus, kept[1]).await.expect("readable");
    let body = snapshots::body(&bus, &before).await.expect("whole");
    before.format += 1;
    snapshots::put(&bus, &before, body.clone().into()).await.expect("written");
    fleet.start("engine-b");
    fleet.logged("engine-b", &format!("the log is folded from here seq={}", kept[2])).await;
    fleet.works().await;
    fleet.phase("engine-b", "ok").await;
    let alerts = fleet.world.json(&["alerts", "list"]);
    assert_eq!(alerts[0]["labels"]["node"], "one", "what was known is known: {alerts}");
    fleet.world.services[1].break_health(500, true);
    fleet.world.verdict("web/two", "down").await;
    assert_eq!(fleet.world.fire("two").await, 200);
    wait_for("the second repair", Duration::from_secs(40), async || {
        let effects = fleet.world.services[1].effects();
        if effects.len() == 1 { Ok(()) } else { Err((effects, fleet.log("engine-b"))) }
    })
    .await;
    assert_eq!(fleet.world.services[0].effects().len(), 1, "and nothing is done again");

    // Without any, a trimmed log is refused, loudly.
    fleet.kill("engine-b");
    for seq in snapshots::list(&bus).await.expect("snapshots") {
        snapshots::remove(&bus, seq).await.expect("removed");
    }
    fleet.start("engine-a");
    fleet.logged("engine-a", "DECISIONS was trimmed, and no snapshot").await;
    assert!(!fleet.ended("engine-a").await.success());
}

#[tokio::test]
async fn a_runner_stopped_between_ticket_and_call_never_calls_late() {
    let mut fleet = Fleet::new(unchanged).await;
    let proxy = Proxy::start(fleet.nats.port()).await;
    fleet.write("runner", &format!("nats://127.0.0.1:{}", proxy.port()));
    fleet.start_all().await;
    fleet.world.services[0].break_health(500, true);
    fleet.world.verdict("web/one", "down").await;
    // Fault 34: the ticket is on its way, its acknowledgement is not.
    proxy.hold_after(b"PUB regreen.ticket.");
    assert_eq!(fleet.world.fire("one").await, 200);
    wait_for("the ticket", Duration::from_secs(20), async || proxy.holding().then_some(()).ok_or("none yet"))
        .await;
    fleet.signal("runner", "STOP");
    proxy.release();
    wait_for("the engine to ask", Duration::from_secs(60), async || {
        let runs = fleet.world.json(&["runs", "list"]).to_string();
        if runs.contains("\"began\"") { Ok(()) } else { Err(runs) }
    })
    .await;
    assert_eq!(fleet.world.services[0].calls(), 0);
    fleet.signal("runner", "CONT");
    let story = fleet.world.ended("repaired").await.to_string();
    assert!(
        story.contains("\"not_called\":\"late\""),
        "it won the ticket, and knew that it was too late: {story}"
    );
    assert_eq!(fleet.world.services[0].effects().len(), 1, "then once, in time");
}

#[tokio::test]
async fn what_resolved_while_no_engine_was_there_is_not_acted_on() {
    let mut fleet = Fleet::new(unchanged).await;
    fleet.start_all().await;
    for service in &fleet.world.services {
        service.break_health(500, true);
    }
    for check in ["web/one", "web/two"] {
        fleet.world.verdict(check, "down").await;
    }
    fleet.kill("engine-a");
    fleet.kill("engine-b");
    // Faults 36 and 14: it fired and resolved meanwhile; and the resolved came first, its firing late.
    let ended = |node: &str| {
        let mut alert = alert(node);
        alert["status"] = "resolved".into();
        alert["endsAt"] = "2026-11-20T12:45:23Z".into();
        payload(&[alert]).to_string()
    };
    for body in [
        payload(&[alert("one")]).to_string(),
        ended("one"),
        ended("two"),
        payload(&[alert("two")]).to_string(),
    ] {
        assert_eq!(fleet.world.post(body, TOKEN).await, 200);
    }
    fleet.start("engine-a");
    wait_for("all of it to be decided", Duration::from_secs(40), async || {
        let alerts = fleet.world.json(&["alerts", "list"]);
        let one =
            alerts.as_array().and_then(|list| list.iter().find(|alert| alert["labels"]["node"] == "one"));
        if one.is_some_and(|alert| !alert["closed"].is_null()) { Ok(()) } else { Err(alerts) }
    })
    .await;
    fleet.phase("engine-a", "ok").await;
    assert_eq!(fleet.world.services[0].effects(), [], "it had resolved: nothing is done for it");
}

#[tokio::test]
async fn a_call_that_did_nothing_is_looked_up_and_tried_once_more() {
    let mut fleet = Fleet::new(|text| text.replace("timeout: 1s", "timeout: 1s\n    attempts: 2")).await;
    fleet.start_all().await;
    // Fault 21: no effect, and no answer.
    fleet.world.services[0].answer([Answer::Silent]);
    fleet.world.services[0].break_health(500, true);
    fleet.world.verdict("web/one", "down").await;
    assert_eq!(fleet.world.fire("one").await, 200);
    let story = fleet.world.ended("repaired").await.to_string();
    assert!(story.contains("attempt_unknown"), "{story}");
    assert_eq!(fleet.world.services[0].effects().len(), 1);
    assert_eq!(fleet.world.services[0].calls(), 2, "looked up, and then tried once more");
}

#[tokio::test]
async fn a_write_that_timed_out_and_landed_late_causes_nothing_twice() {
    let mut fleet = Fleet::new(unchanged).await;
    fleet.start_all().await;
    fleet.world.services[0].break_health(500, true);
    fleet.world.verdict("web/one", "down").await;
    // Fault 7: the server stands still in the middle of it.
    fleet.nats.signal("STOP");
    assert_eq!(fleet.world.fire("one").await, 503, "in doubt is not accepted");
    fleet.nats.signal("CONT");
    wait_for("the second try", Duration::from_secs(30), async || {
        let status = fleet.world.fire("one").await;
        if status == 200 { Ok(()) } else { Err(status) }
    })
    .await;
    fleet.world.ended("repaired").await;
    assert_eq!(fleet.world.services[0].effects().len(), 1);
    assert_eq!(fleet.world.json(&["runs", "list"]).as_array().map(Vec::len), Some(1));
}
