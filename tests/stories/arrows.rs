//! The arrows between crates, and what is deliberately absent: read from cargo, so that a new dependency that breaks
//! the house fails here, with its name.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// What each crate may depend on among ours. Downward only; services never on each other, but the CLI's `up`.
const ARROWS: &[(&str, &[&str])] = &[
    ("regreen-schemas", &[]),
    ("regreen-playbook", &["schemas"]),
    ("regreen-decider", &["playbook", "schemas"]),
    ("regreen-rehearsal", &["decider", "playbook", "schemas"]),
    ("regreen-bus", &["schemas"]),
    ("regreen-kit", &["schemas"]),
    ("regreen-action", &["bus", "kit", "schemas"]),
    ("regreen-testkit", &["kit"]),
    ("regreen-ingest", &["bus", "kit", "schemas"]),
    ("regreen-probe", &["bus", "kit", "schemas"]),
    ("regreen-engine", &["bus", "decider", "kit", "playbook", "schemas"]),
    ("regreen-runner", &["action", "bus", "kit", "playbook", "schemas"]),
    ("regreen-notifier", &["action", "bus", "kit", "schemas"]),
    (
        "regreen-cli",
        &[
            "action",
            "bus",
            "decider",
            "engine",
            "ingest",
            "kit",
            "notifier",
            "playbook",
            "probe",
            "rehearsal",
            "runner",
            "schemas",
        ],
    ),
    ("regreen-simcloud", &["kit"]),
    ("regreen-sim", &["action", "bus", "decider", "engine", "kit", "probe", "schemas"]),
    ("regreen-tests", &["bus", "engine", "kit", "schemas", "testkit"]),
];

/// Crates that must stay pure, and what they must never see.
const PURE: &[&str] = &["regreen-schemas", "regreen-playbook", "regreen-decider", "regreen-rehearsal"];
const IMPURE: &[&str] =
    &["tokio", "async-nats", "reqwest", "axum", "rand", "rustix", "nix", "futures", "tracing"];
/// What reads a clock only with this feature: calendars are welcome, the time of day is not.
const CLOCKS: &[(&str, &str)] = &[("chrono", "clock")];

#[test]
fn arrows_point_downward_and_the_core_is_pure() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let Some(allowed) = arrows.get(name) else {
            wrong.push(format!("{name} has no row in the table of arrows"));
            continue;
        };
        // Tests may use the test kit; what ships may not.
        let normal =
            package["dependencies"].as_array().expect("a list").iter().filter(|d| d["kind"].is_null());
        for (dependency, row) in normal.filter_map(|row| Some((row["name"].as_str()?, row))) {
            let ours = dependency.strip_prefix("regreen-");
            if ours.is_some_and(|short| !allowed.contains(&short)) {
                wrong.push(format!("{name} → {dependency} is no arrow of ARCHITECTURE.md"));
            }
            let clock = CLOCKS.iter().any(|(on, feature)| *on == dependency && has(row, feature));
            if PURE.contains(&name) && (clock || IMPURE.contains(&dependency)) {
                wrong.push(format!("{name} must stay pure and depends on {dependency}"));
            }
        }
    }
    assert_eq!(packages.len(), ARROWS.len(), "the table of arrows names a crate that is gone");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn has(dependency: &Value, feature: &str) -> bool {
    let named = dependency["features"].as_array().is_some_and(|all| all.iter().any(|one| one == feature));
    named || dependency["uses_default_features"] == true
}
