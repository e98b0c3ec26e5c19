//! Every shipped playbook, with the inventory beside it, is good and warns of nothing; its tests reach every branch;
//! and the rules that shall start it are rules.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use regreen_testkit::tools;
use serde_json::Value;

/// What may be said of shipped files: that an action is declared in them and served by no runner of this release.
const FOREIGN: &str = "RG202";

/// The folders under `playbooks/`.
fn shipped() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../playbooks");
    let folders = std::fs::read_dir(&root).expect("playbooks/ is there");
    let folders: Vec<PathBuf> = folders.map(|folder| folder.expect("readable").path()).collect();
    assert!(!folders.is_empty(), "nothing is shipped");
    folders
}

fn regreen(arguments: &[&str], folder: &Path) -> Output {
    Command::new(regreen_tests::regreen()).args(arguments).arg(folder).output().expect("it starts")
}

fn good(output: &Output, what: &Path) {
    let said = [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).join("\n");
    assert_eq!(output.status.code(), Some(0), "{}: {said}", what.display());
}

#[test]
fn shipped_files_warn_of_nothing() {
    for folder in shipped() {
        let output = regreen(&["check", "--format", "json"], &folder);
        good(&output, &folder);
        let findings: Vec<Value> = serde_json::from_slice(&output.stdout).expect("findings");
        let told = findings.iter().find(|one| one["severity"] != "note" || one["code"] != FOREIGN);
        assert_eq!(told, None, "{}", folder.display());
    }
}

#[test]
fn shipped_tests_reach_every_branch() {
    for folder in shipped() {
        good(&regreen(&["test", "--coverage-min", "100"], &folder), &folder);
    }
}

#[test]
fn shipped_rules_fire_as_their_tests_say() {
    let mut tried = 0;
    for folder in shipped() {
        for (verb, file) in [("check", "prometheus.rules"), ("test", "prometheus.rules.test")] {
            let path = folder.join(file);
            // Both or none: rules without a test are found by the second turn.
            if !folder.join("prometheus.rules").exists() {
                continue;
            }
            let mut promtool = Command::new(tools::find(&["promtool"]));
            good(&promtool.args([verb, "rules"]).arg(&path).output().expect("it starts"), &path);
            tried += 1;
        }
    }
    assert!(tried > 0, "no rules are shipped");
}
