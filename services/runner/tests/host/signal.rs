//! `process.signal`: real processes, each a copy of a small program under a path of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use regreen_testkit::{process::Process, wait_for};
use serde_json::{Value, json};

use crate::commands::{Served, failed, install, ok};

/// The shell under another name: it is one program that can be told what to do with a signal.
fn program(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    let shell = fs::canonicalize("/bin/sh").expect("a shell");
    install(&shell, &path);
    path
}

/// Runs a script by it, until its log says that it is ready.
async fn start(program: &Path, script: &str, log: &Path) -> Process {
    let mut command = Command::new(program);
    let process = Process::start(command.args(["-c", script]), log).expect("it starts");
    logged(log, "ready").await;
    process
}

async fn logged(log: &Path, words: &str) {
    wait_for(&format!("{words:?}"), Duration::from_secs(10), async || {
        let text = fs::read_to_string(log).unwrap_or_default();
        if text.contains(words) { Ok(()) } else { Err(text) }
    })
    .await;
}

fn served(process: Value) -> Served {
    Served::new(json!({"processes": {"app": process}}))
}

const HANDLES: &str = "trap 'echo again' HUP; echo ready; while :; do sleep 0.05; done";

#[tokio::test]
async fn the_one_process_of_a_program_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let (app, log) = (program(dir.path(), "app"), dir.path().join("log"));
    let served = served(json!({ "executable": app }));
    let hup = json!({"name": "app", "signal": "HUP"});
    assert!(failed(served.perform("process.signal", hup.clone()).await).contains("no process runs"));
    let process = start(&app, HANDLES, &log).await;
    assert_eq!(ok(served.perform("process.signal", hup.clone()).await), json!({"pid": process.id()}));
    logged(&log, "again").await;
    // An upgrade has put another file in its place: it is still the one.
    fs::remove_file(&app).expect("there");
    program(dir.path(), "app");
    assert_eq!(ok(served.perform("process.signal", hup).await)["pid"], process.id());
    let why = failed(served.perform("process.signal", json!({"name": "app", "signal": "USR1"})).await);
    assert!(why.contains("does not handle"), "{why}");
    assert!(fs::metadata(format!("/proc/{}", process.id())).is_ok(), "it lives");
}

#[tokio::test]
async fn of_a_family_the_eldest_and_of_strangers_none_without_a_pidfile() {
    let dir = tempfile::tempdir().expect("a directory");
    let (app, log) = (program(dir.path(), "app"), dir.path().join("log"));
    // The child ends with its parent: nobody else would end it.
    let family = "trap 'echo again' HUP; (trap 'echo child' HUP; echo ready; while [ -d /proc/$$ ]; do sleep 0.05; done) & while :; do wait; done";
    let parent = start(&app, family, &log).await;
    let by_program = served(json!({ "executable": app }));
    let hup = json!({"name": "app", "signal": "HUP"});
    assert_eq!(ok(by_program.perform("process.signal", hup.clone()).await)["pid"], parent.id());
    logged(&log, "again").await;
    assert!(!fs::read_to_string(&log).expect("a log").contains("child"));

    let other_log = dir.path().join("other");
    let other = start(&app, HANDLES, &other_log).await;
    let why = failed(by_program.perform("process.signal", hup.clone()).await);
    assert!(why.contains("2 processes run") && why.contains("pidfile"), "{why}");
    let pidfile = dir.path().join("app.pid");
    let by_file = served(json!({"executable": app, "pidfile": pidfile}));
    let told = async || by_file.perform("process.signal", hup.clone()).await;
    assert!(failed(told().await).contains("can't be read"));
    for wrong in ["", "none", "-1", "0"] {
        fs::write(&pidfile, wrong).expect("writable");
        assert!(failed(told().await).contains("holds no process id"));
    }
    fs::write(&pidfile, format!("{}\n", other.id())).expect("writable");
    assert_eq!(ok(told().await)["pid"], other.id());
    logged(&other_log, "again").await;
    // A number that is another's by now: ours.
    fs::write(&pidfile, std::process::id().to_string()).expect("writable");
    let why = failed(told().await);
    assert!(why.contains("has ended"), "{why}");
}
