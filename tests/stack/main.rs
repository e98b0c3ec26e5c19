//! `make stack`: all of compose.yaml as real containers. An instance of its application breaks; Prometheus, Alertmanager and
//! Regreen do the rest, and nothing between metric and repair is faked. Then every user tries what it may not.

mod docker;
mod rights;

use std::{
    fmt::Debug,
    io::Write as _,
    time::{Duration, Instant},
};

use docker::Stack;
use regreen_testkit::wait_for;
use serde_json::Value;

/// Two instances of the application, three search nodes, and their cluster.
const CHECKS: u32 = 6;
/// Until all of them have been seen up.
const SEEN_MAX: Duration = Duration::from_secs(60);
/// Each part of the way from the break to the end.
const PART_MAX: Duration = Duration::from_secs(90);
/// The door of the instance that is broken.
const INSTANCE: &str = "http://127.0.0.1:9001";
/// It answers nothing while it is well: see [`until`].
const INSTANCE_HEALTH: &str = "http://127.0.0.1:9001/health";
/// What people would have got.
const PAGE: &str = "http://127.0.0.1:8090/messages";
/// What fires.
const ALERTS: &str = "http://127.0.0.1:9090/api/v1/alerts";

#[tokio::main]
async fn main() {
    regreen_testkit::init_tls();
    let stack = Stack::up();
    say(&format!("all healthy {:.1} s after `up`", stack.took.as_secs_f64()));
    wait_for("all of it to be seen up", SEEN_MAX, async || {
        let verdicts = stack.regreen(&["verdicts"])?;
        if verdicts["counts"]["up"] == CHECKS { Ok(()) } else { Err(verdicts.to_string()) }
    })
    .await;
    say("memory, and what it may have:");
    for (name, usage) in stack.memory() {
        say(&format!("  {name:<18} {usage}"));
    }
    repaired(&stack).await;
    let keys = tempfile::tempdir().expect("a temporary directory");
    stack.keys(keys.path());
    say("refused by the server:");
    for (user, subject) in rights::refused(&stack.nats(), keys.path()).await {
        say(&format!("  {user:<18} {subject}"));
    }
    wait_for("Regreen to be well after it", PART_MAX, async || well(&stack)).await;
    drop(stack);
    say("taken down; good");
}

/// From the break to a rule that fires no more, part by part.
async fn repaired(stack: &Stack) {
    let broken = reqwest::Client::new().post(format!("{INSTANCE}/break")).send().await;
    broken.expect("the instance's door").error_for_status().expect("it breaks");
    let began = Instant::now();
    let part = |what: &str| say(&format!("  {:>5.1} s  {what}", began.elapsed().as_secs_f64()));
    say("app-1 breaks:");
    until("the rule to fire", ALERTS, |answer| answer["data"]["alerts"][0]["state"] == "firing").await;
    part("Prometheus' rule fires");
    until("a run", PAGE, |messages| says(messages, "began")).await;
    part("Regreen began, and told #ops");
    until("the effect", INSTANCE_HEALTH, Value::is_null).await;
    part("app-1 is well again");
    until("the end", PAGE, |messages| says(messages, "repaired:")).await;
    part("proven: the run ended as repaired");
    until("the rule to rest", ALERTS, |answer| {
        answer["data"]["alerts"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
    part("the rule fires no more");
    wait_for("the alert to resolve", PART_MAX, async || {
        let alerts = stack.regreen(&["alerts", "list"])?;
        let closed = !alerts[0]["closed"].is_null();
        if closed { Ok(()) } else { Err(alerts.to_string()) }
    })
    .await;
    part("Alertmanager said so, and Regreen knows");
    let runs = stack.regreen(&["runs", "list"]).expect("runs");
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "one break is one run: {runs}");
}

fn says(messages: &Value, what: &str) -> bool {
    messages.as_array().is_some_and(|all| {
        all.iter().any(|message| message["text"].as_str().is_some_and(|text| text.contains(what)))
    })
}

fn well(stack: &Stack) -> Result<(), String> {
    let status = stack.regreen(&["status"])?;
    let problems = status["problems"].as_array().map(Vec::len);
    if problems == Some(0) { Ok(()) } else { Err(status.to_string()) }
}

/// Asks until the answer is as it should be. A good answer that is not JSON counts as null.
async fn until(what: &str, url: &str, good: impl Fn(&Value) -> bool) {
    wait_for(what, PART_MAX, async || {
        let answer = reqwest::get(url).await.and_then(reqwest::Response::error_for_status);
        let body = match answer {
            Ok(answer) => answer.text().await.map_err(report)?,
            Err(error) => return Err(report(error)),
        };
        let answer = serde_json::from_str(&body).unwrap_or(Value::Null);
        if good(&answer) { Ok(()) } else { Err(body) }
    })
    .await;
}

fn report(error: impl Debug) -> String {
    format!("{error:?}")
}

fn say(text: &str) {
    // Whoever closed the pipe does not want to know.
    let _ = writeln!(std::io::stderr(), "{text}");
}
