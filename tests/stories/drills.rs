//! The drill of the first whole scenario, with stand-ins: its exit code, and what its report says of each act.

use std::{fs, process::Command};

use regreen_tests::regreen;
use serde_json::{Value, json};

#[test]
fn the_drill_elasticsearch_node_lost_meets_its_objectives_and_agrees_with_the_effect_log() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (page, history) = (dir.path().join("drill.html"), dir.path().join("drills.jsonl"));
    let output = Command::new(regreen())
        .args(["drill", "elasticsearch-node-lost", "--json", "--report"])
        .arg(&page)
        .arg("--history")
        .arg(&history)
        .current_dir("..")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report: {said}"));
    assert_eq!(output.status.code(), Some(0), "{said}\n{report:#}");
    assert_eq!((&report["met"], &report["disagreements"]), (&json!(true), &json!([])), "{said}");

    // Reboot; reboot, power cycle, create, destroy; nothing; reboot.
    assert_eq!((&report["effects"], &report["canary"]["lost"]), (&json!(6), &json!(0)), "{said}");
    let acts = report["acts"].as_array().expect("acts");
    let results: Vec<&Value> = acts.iter().map(|act| &act["timeline"]["result"]).collect();
    assert_eq!(results, [&json!("repaired"), &json!("repaired"), &Value::Null, &json!("repaired")], "{said}");
    assert!(report["canary"]["acknowledged"].as_u64().is_some_and(|count| count > 100), "{said}");
    for words in [
        "woken after",
        "engine, runner, probes and NATS are killed",
        "took the log over",
        "elasticsearch-node-replace",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }

    let page = fs::read_to_string(page).expect("the page");
    assert!(page.contains("every objective met") && page.matches("<svg").count() == acts.len(), "{page}");
    let kept = fs::read_to_string(history).expect("the history");
    assert_eq!(kept.lines().count(), 1, "{kept}");
}
