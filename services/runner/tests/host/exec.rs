//! `exec.run`: real programs.

use std::time::Duration;

use regreen_schemas::{Span, action::Effect};
use regreen_testkit::wait_for;
use serde_json::{Value, json};

use crate::commands::{NODE, Served, failed, ok, perform, refused, script, unknown};

fn served(commands: Value) -> Served {
    Served::new(json!({ "commands": commands }))
}

#[tokio::test]
async fn arguments_reach_the_program_one_by_one_and_no_shell_reads_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let show = script(
        dir.path(),
        "show",
        r#"for one in "$@"; do echo "<$one>"; done; env | sort >&2; pwd >&2; cat"#,
    );
    let served = served(json!({"show": {
        "argv": [show, "--as={name}", "{name}"],
        "arguments": {"name": {"type": "text"}},
        "keep_output": true,
    }}));
    let name = "$(touch /tmp/x); `id` * 'a b' \"c\"";
    let result =
        ok(served.perform("exec.run", json!({"command": "show", "arguments": {"name": name}})).await);
    assert_eq!(result["stdout"], format!("<--as={name}>\n<{name}>"));
    let env = result["stderr"].as_str().expect("text");
    assert!(env.contains("PATH=/usr/sbin") && env.ends_with("\n/"), "{env}");
    assert!(!env.contains("HOME=") && !env.contains("CARGO"), "nothing of the runner's environment: {env}");
    for wrong in [json!({"name": "-x"}), json!({"name": "a\nb"}), json!({}), json!({"name": "a", "other": 1})]
    {
        refused(served.prepare("exec.run", json!({"command": "show", "arguments": wrong})));
    }
}

#[tokio::test]
async fn only_the_exit_codes_of_the_list_say_that_nothing_was_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let end = script(dir.path(), "end", "echo a secret >&2; exit $1");
    let entry = |keep: bool| {
        json!({
            "argv": [end, "{code}"],
            "arguments": {"code": {"type": "int", "min": 0, "max": 255}},
            "not_done": [75],
            "harmless": true,
            "keep_output": keep,
        })
    };
    let served = served(json!({"end": entry(false), "told": entry(true)}));
    let run = async |name: &str, code: i32, effect| {
        let params = json!({"command": name, "arguments": {"code": code}});
        perform(served.command("exec.run", NODE, params, effect, Span::seconds(30))).await.0
    };
    assert_eq!(ok(run("end", 0, Effect::AtMostOnce).await), json!({"exit": 0, "stdout": "", "stderr": ""}));
    let why = failed(run("end", 75, Effect::AtMostOnce).await);
    assert!(
        why.contains("75") && !why.contains("secret"),
        "its words are not kept unless the list says so: {why}"
    );
    assert!(unknown(run("end", 1, Effect::Idempotent).await).contains("exit status: 1"));
    assert!(unknown(run("told", 1, Effect::AtMostOnce).await).contains("a secret"));
    // What only reads leaves nothing behind, however it ended.
    assert!(failed(run("end", 1, Effect::Read).await).contains("exit status: 1"));
}

#[tokio::test]
async fn an_author_can_not_call_a_command_harmless() {
    let served = served(json!({
        "rotate": {"argv": ["/bin/true"]},
        "look": {"argv": ["/bin/true"], "harmless": true},
        "gone": {"argv": ["/nowhere/true"]},
    }));
    let read = |name: &str| {
        served.command("exec.run", NODE, json!({"command": name}), Effect::Read, Span::seconds(5))
    };
    assert!(refused(read("rotate")).contains("harmless"));
    assert!(read("look").is_ok());
    let why = refused(served.prepare("exec.run", json!({"command": "gone"})));
    assert!(why.contains("/nowhere/true"), "{why}");
}

#[tokio::test]
async fn when_time_is_up_the_whole_group_is_killed_and_nobody_knows_what_it_did() {
    let dir = tempfile::tempdir().expect("a directory");
    // A child of its own, which would go on and write.
    let text = r#"(while :; do echo x >> "$1"; sleep 0.05; done) & echo $! > "$1.pid"; wait"#;
    let slow = script(dir.path(), "slow", text);
    let file = dir.path().join("written").display().to_string();
    let served = served(json!({"slow": {
        "argv": [slow, "{file}"],
        "arguments": {"file": {"type": "text"}},
        "timeout": "2s",
    }}));
    let why =
        unknown(served.perform("exec.run", json!({"command": "slow", "arguments": {"file": file}})).await);
    assert!(why.contains("killed") && why.contains("1.5s"), "{why}");
    let child = std::fs::read_to_string(format!("{file}.pid")).expect("it began").trim().to_owned();
    wait_for("the end of its child", Duration::from_secs(5), async || {
        let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        // Nobody may have taken leave of it yet.
        if state.is_empty() || state.contains(") Z ") { Ok(()) } else { Err(state) }
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_output_is_read_and_its_end_is_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let flood = script(dir.path(), "flood", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done");
    // What it leaves behind holds its output open.
    let left = script(dir.path(), "left", "sleep 3 & echo done");
    let served = served(json!({
        "flood": {"argv": [flood], "keep_output": true},
        "left": {"argv": [left], "keep_output": true},
    }));
    let result = ok(served.perform("exec.run", json!({"command": "flood"})).await);
    let kept = result["stdout"].as_str().expect("text");
    assert!(kept.len() <= 4096 && kept.ends_with("line 20000"), "{}", kept.len());
    assert_eq!(ok(served.perform("exec.run", json!({"command": "left"})).await)["stdout"], "done");
}
