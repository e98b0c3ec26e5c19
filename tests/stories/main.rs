//! Stories with real processes: nats-server, Alertmanager, `regreen up` with its runner. The oracle is the sinks'
//! effect log: what was really done.

use std::time::Duration;

use regreen_testkit::{Alertmanager, Nats, sink::Answer, wait_for};
use regreen_tests::{TOKEN, World, alert, payload, regreen};
use serde_json::json;

fn unchanged(text: String) -> String {
    text
}

#[tokio::test]
async fn a_real_alert_becomes_one_decision_one_effect_and_a_verified_repair() {
    let mut world = World::new(unchanged).await;
    world.start().await;
    // Two Alertmanagers with the same alert, as an HA pair sends it.
    let pair = [
        Alertmanager::start(&world.webhook(), TOKEN).await,
        Alertmanager::start(&world.webhook(), TOKEN).await,
    ];
    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    let labels = json!({"alertname": "WebDown", "node": "one"});
    for alertmanager in &pair {
        alertmanager.post(&labels, false).await;
    }
    let story = world.ended("repaired").await;
    assert_eq!(story["target"], "one");
    for alertmanager in &pair {
        alertmanager.post(&labels, true).await;
    }
    wait_for("the alert to be resolved", Duration::from_secs(20), async || {
        let alerts = world.json(&["alerts", "list"]);
        if alerts[0]["closed"].is_null() { Err(alerts) } else { Ok(()) }
    })
    .await;
    assert_eq!(world.services[0].effects().len(), 1, "one effect");
    assert_eq!(world.services[1].effects(), []);
    assert_eq!(world.json(&["runs", "list"]).as_array().map(Vec::len), Some(1), "one run");
    assert_eq!(world.pager.effects(), [], "nobody is woken by a repair that worked");

    // Anyone can ask why; and the secret is nowhere.
    let run = story["run"].as_str().expect("an id");
    let explained = String::from_utf8(world.cli(&["explain", run]).stdout).expect("text");
    assert!(explained.contains("web/one is down") && explained.contains("step_succeeded"), "{explained}");
    assert!(!explained.contains(TOKEN));
    let shown = String::from_utf8(world.cli(&["runs", "show", run, "--follow"]).stdout).expect("text");
    assert!(shown.contains("verify_held") && !shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn an_alert_that_starts_nothing_is_explained_and_decided_again_when_the_verdict_changes() {
    let mut world = World::new(unchanged).await;
    world.start().await;
    assert_eq!(world.fire("one").await, 200);
    let fingerprint = alert("one")["fingerprint"].as_str().expect("text").to_owned();
    let decided = async |words: &str| {
        wait_for(words, Duration::from_secs(20), async || {
            let text = String::from_utf8(world.cli(&["explain", &fingerprint]).stdout).expect("text");
            if text.contains(words) { Ok(()) } else { Err(text) }
        })
        .await;
    };
    decided("when_false").await;
    decided("web/one is up").await;
    // Alertmanager would be silent for hours now: the change of the verdict alone decides it again.
    world.services[0].break_health(500, true);
    world.ended("repaired").await;
    assert_eq!(world.services[0].effects().len(), 1);
}

#[tokio::test]
async fn refusals_are_clear_and_half_valid_payloads_give_their_good_half() {
    let mut world = World::new(unchanged).await;
    world.start().await;
    let good = payload(&[alert("one")]).to_string();
    assert_eq!(world.post(good.clone(), "wrong").await, 401);
    assert_eq!(world.post("{".into(), TOKEN).await, 400);
    assert_eq!(world.post(payload(&[]).to_string().replace("\"4\"", "\"3\""), TOKEN).await, 400);
    assert_eq!(world.post(format!("{{\"x\":\"{}\"}}", "x".repeat(4 << 20)), TOKEN).await, 413);
    let half = payload(&[json!({"status": "firing"}), alert("two")]).to_string();
    assert_eq!(world.post(half, TOKEN).await, 200);
    wait_for("the good half", Duration::from_secs(10), async || {
        let alerts = world.json(&["alerts", "list"]);
        if alerts.as_array().is_some_and(|list| list.len() == 1) { Ok(()) } else { Err(alerts) }
    })
    .await;
    let metrics = reqwest::get(format!("{}/metrics", world.url()))
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    for wanted in [
        "regreen_alerts_received_total 1",
        "reason=\"credentials\"} 1",
        "reason=\"bad_alert\"} 1",
        "reason=\"too_large\"} 1",
    ] {
        assert!(metrics.contains(wanted), "{wanted} in {metrics}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_not_repeated() {
    let mut world = World::new(unchanged).await;
    world.start().await;
    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    // The state must be readable for the look: it is healthy from the effect on, whose answer never comes.
    world.services[0].answer([Answer::DoneThenSilent]);
    world.fire("one").await;
    let story = world.ended("repaired").await.to_string();
    assert!(story.contains("attempt_unknown") && story.contains("observed"), "{story}");
    assert_eq!(world.services[0].effects().len(), 1, "looked up, not repeated");
}

#[tokio::test]
async fn what_nobody_can_look_up_is_asked_and_answered_by_a_person() {
    let unseen = |text: String| {
        let observe = text.find("      observe:").expect("the look-up");
        let end = observe + text[observe..].find('\n').expect("a line") + 1;
        format!("{}{}", &text[..observe], &text[end..])
    };
    let mut world = World::new(unseen).await;
    world.start().await;
    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    world.services[0].answer([Answer::DoneThenSilent]);
    world.fire("one").await;
    wait_for("the question", Duration::from_secs(20), async || {
        let pages = world.pager.effects();
        if pages.len() == 1 && pages[0].body.contains("--not-done") { Ok(()) } else { Err(pages) }
    })
    .await;
    let runs = world.json(&["runs", "list"]);
    let run = runs[0]["run"].as_str().expect("a run").to_owned();
    let status = world.cli(&["status"]);
    let said = String::from_utf8_lossy(&status.stderr).into_owned();
    assert!(said.contains(&format!("regreen settle {run} --done")), "{said}");
    assert_eq!(world.cli(&["settle", &run]).status.code(), Some(2), "one answer or the other");
    let settled = world.cli(&["settle", &run, "--done"]);
    assert!(settled.status.success(), "{settled:?}");
    world.ended("repaired").await;
    assert_eq!(world.cli(&["settle", &run, "--done"]).status.code(), Some(2), "it is over");
    assert_eq!(world.services[0].effects().len(), 1, "asked, not repeated");
}

#[tokio::test]
async fn a_run_is_ended_by_hand_and_its_call_is_settled_first() {
    let mut world = World::new(|text| text.replace("timeout: 1s", "timeout: 10s")).await;
    world.start().await;
    world.services[0].break_health(500, false);
    world.verdict("web/one", "down").await;
    world.services[0].answer([Answer::Slow(Duration::from_secs(2))]);
    world.fire("one").await;
    wait_for("the call", Duration::from_secs(20), async || {
        let calls = world.services[0].calls();
        if calls == 1 { Ok(()) } else { Err(calls) }
    })
    .await;
    let run = world.json(&["runs", "list"])[0]["run"].as_str().expect("a run").to_owned();
    let cancelled = world.cli(&["runs", "cancel", &run, "--reason", "by hand"]);
    let said = String::from_utf8_lossy(&cancelled.stdout).into_owned();
    assert!(cancelled.status.success() && said.contains("settled first"), "{cancelled:?}");
    let story = world.ended("cancelled").await.to_string();
    assert!(story.contains("step_succeeded") && !story.contains("verify_began"), "{story}");
    assert_eq!(world.cli(&["runs", "cancel", &run]).status.code(), Some(1), "it is over");
    assert_eq!(world.services[0].effects().len(), 1);
}

#[tokio::test]
async fn a_repair_that_fails_wakes_somebody_once() {
    let mut world = World::new(unchanged).await;
    world.start().await;
    world.services[0].break_health(500, false);
    world.verdict("web/one", "down").await;
    world.services[0].answer([Answer::Refuse(403)]);
    world.fire("one").await;
    world.ended("failed").await;
    wait_for("the page", Duration::from_secs(20), async || {
        let pages = world.pager.effects();
        if pages.len() == 1 && pages[0].body.contains("403") { Ok(()) } else { Err(pages) }
    })
    .await;
    assert_eq!(world.services[0].effects(), []);
}

#[tokio::test]
async fn everything_killed_in_a_verify_goes_on_where_it_was() {
    let mut world = World::new(|text| text.replace("for: 1s, within: 20s", "for: 3s, within: 30s")).await;
    world.start().await;
    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    world.fire("one").await;
    wait_for("the effect", Duration::from_secs(20), async || {
        let effects = world.services[0].effects();
        if effects.len() == 1 { Ok(()) } else { Err(effects) }
    })
    .await;
    // kill -9 of `up` takes the private nats-server and the runner with it.
    world.up = None;
    world.start().await;
    world.ended("repaired").await;
    assert_eq!(world.services[0].effects().len(), 1, "nothing is done twice");
}

#[tokio::test]
async fn nats_away_means_503_and_nothing_is_lost_or_doubled() {
    let mut nats = Nats::start().await;
    let mut world = World::new(unchanged).await;
    world.on(&nats.url());
    world.start().await;
    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    let alertmanager = Alertmanager::start(&world.webhook(), TOKEN).await;
    nats.kill();
    assert_eq!(world.fire("two").await, 503, "not stored is not accepted");
    alertmanager.post(&json!({"alertname": "WebDown", "node": "one"}), false).await;
    nats.restart().await;
    world.ended("repaired").await;
    assert_eq!(world.services[0].effects().len(), 1, "Alertmanager came again, and nothing doubled");
}

#[tokio::test]
async fn the_stop_switch_holds_everything_until_it_is_released() {
    let mut world = World::new(unchanged).await;
    world.start().await;
    assert!(world.cli(&["stop", "--reason", "a story"]).status.success());
    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    world.fire("one").await;
    wait_for("the block", Duration::from_secs(10), async || {
        let alerts = world.json(&["alerts", "list"]).to_string();
        if alerts.contains("stopped") { Ok(()) } else { Err(alerts) }
    })
    .await;
    assert_eq!(world.cli(&["start", "restart", "--target", "one"]).status.code(), Some(1));
    assert_eq!(world.cli(&["status"]).status.code(), Some(1), "status says that something is wrong");
    assert_eq!(world.services[0].effects(), []);
    assert!(world.cli(&["resume"]).status.success());
    world.ended("repaired").await;
    assert_eq!(world.services[0].effects().len(), 1);
}

#[tokio::test]
async fn a_missing_secret_fails_before_any_ticket_and_is_told() {
    let mut world = World::new(|text| text.replace("secret: web-token", "secret: nobody-knows")).await;
    world.start().await;
    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    world.fire("one").await;
    let story = world.ended("failed").await.to_string();
    assert!(story.contains("nobody-knows"), "{story}");
    assert_eq!(world.services[0].effects(), []);
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_starts() {
    let world = World::new(|text| text.replace("cooldown: 10m", "cooldwn: 10m")).await;
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(regreen());
        command.args(arguments).arg(world.set()).output().expect("it starts")
    };
    let checked = run(&["check"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(1));
    assert!(
        said.contains("RG101") && said.contains("RG501") && said.contains("did you mean `cooldown`?"),
        "{said}"
    );
    let data = world.path().join("data").display().to_string();
    let up = run(&["up", "--data-dir", &data, "--playbooks"]);
    assert_eq!(up.status.code(), Some(1), "{up:?}");
    assert!(!world.path().join("data").exists(), "nothing was started");

    let good = World::new(unchanged).await;
    let open = std::process::Command::new(regreen())
        .args(["up", "--listen", "0.0.0.0:0", "--data-dir", &data, "--playbooks"])
        .arg(good.set())
        .output()
        .expect("it starts");
    assert_eq!(open.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&open.stderr).contains("loopback only"), "{open:?}");
}

#[test]
fn the_drill_hello_repairs_holds_back_and_agrees_with_the_effect_log() {
    let output = std::process::Command::new(regreen())
        .args(["drill", "hello", "--json"])
        .current_dir("..")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(
        (&report["agrees"], &report["result"], &report["effects"]),
        (&json!(true), &json!("repaired"), &json!(2)),
        "{report}"
    );
    assert!(report["held_back_by"].as_str().is_some_and(|why| why.starts_with("cooldown")), "{report}");
    assert_eq!(report["looked_up"], true, "{report}");
    for words in
        ["verified", "the runner is killed", "it is looked up, not repeated", "looked    2: it is done"]
    {
        assert!(said.contains(words), "{words} in {said}");
    }
}
