//! `systemd.*` against a double of `systemctl`: what it is asked, and what its answers are taken for.

use std::{fs, path::Path};

use regreen_action::{Call, Refusal};
use regreen_schemas::{Span, action::find, fact::Answer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::commands::{NODE, Served, failed, look, ok, perform, refused, script, unknown};

/// Short, and long enough for a unit to be watched.
const TIMEOUT: Span = Span::seconds(5);

/// A machine whose `systemctl` shows what a file says, and does what another says.
struct Machine {
    dir: TempDir,
    served: Served,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let here = dir.path().display();
        let text = format!(
            "echo \"$*\" >> {here}/asked\ncase $3 in show) cat {here}/shown ;; *) . {here}/job ;; esac"
        );
        let systemctl = script(dir.path(), "systemctl", &text);
        let served = Served::new(json!({"systemctl": systemctl, "units": ["app", "db.service"]}));
        Self { dir, served }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// How the unit is.
    fn shows(&self, state: &str, invocation: &str) {
        fs::write(self.path().join("shown"), shown(state, invocation)).expect("writable");
    }

    /// What a job does, and how the unit is then.
    fn job(&self, text: &str, state: &str, invocation: &str) {
        let here = self.path().display();
        fs::write(self.path().join("after"), shown(state, invocation)).expect("writable");
        fs::write(self.path().join("job"), format!("cp {here}/after {here}/shown; {text}\n"))
            .expect("writable");
    }

    fn prepare(&self, action: &str) -> Result<Box<dyn Call>, Refusal> {
        let effect = find(action).expect("declared").effect;
        self.served.command(action, NODE, json!({"unit": "app"}), effect, TIMEOUT)
    }

    /// What it was asked to do, beside showing.
    fn jobs(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.path().join("asked")).unwrap_or_default();
        asked.lines().filter(|line| !line.contains(" show ")).map(str::to_owned).collect()
    }
}

fn shown(state: &str, invocation: &str) -> String {
    let result = if state == "failed" { "exit-code" } else { "success" };
    format!(
        "Result={result}\nNRestarts=1\nLoadState=loaded\nActiveState={state}\nSubState=sub\nInvocationID={invocation}\n"
    )
}

fn before(invocation: &str) -> Option<Value> {
    Some(json!({ "invocation": invocation }))
}

#[tokio::test]
async fn a_restart_is_proven_by_another_invocation_that_stays() {
    let machine = Machine::new();
    machine.shows("active", "a");
    machine.job("exit 0", "active", "b");
    let (verb, kept) = perform(machine.prepare("systemd.restart")).await;
    assert_eq!(ok(verb), json!({"active": "active", "sub": "sub", "result": "success", "restarts": 1}));
    assert_eq!(kept, before("a"), "the ticket keeps what a look compares with");
    assert_eq!(machine.jobs(), ["--no-pager --no-ask-password restart -- app.service"]);
    assert!(matches!(look(machine.prepare("systemd.restart"), kept).await, Answer::Done { .. }));

    // It says that it is done, and the same one runs.
    machine.job("exit 0", "active", "b");
    let why = unknown(perform(machine.prepare("systemd.restart")).await.0);
    assert!(why.contains("active (sub)"), "{why}");
    assert_eq!(look(machine.prepare("systemd.restart"), before("b")).await, Answer::NotDone);
}

#[tokio::test]
async fn a_unit_that_fails_after_its_restart_is_not_restarted() {
    let machine = Machine::new();
    machine.shows("active", "a");
    machine.job("echo 'Job for app.service failed.' >&2; exit 1", "failed", "b");
    let (verb, kept) = perform(machine.prepare("systemd.restart")).await;
    let why = unknown(verb);
    assert!(why.contains("Job for app.service failed."), "{why}");
    assert_eq!(
        look(machine.prepare("systemd.restart"), kept).await,
        Answer::NotDone,
        "seen, so it may be tried again"
    );
    // The job went well, and the unit did not stay.
    machine.shows("active", "a");
    machine.job("exit 0", "failed", "b");
    let why = unknown(perform(machine.prepare("systemd.restart")).await.0);
    assert!(why.contains("failed (sub), result exit-code"), "{why}");
}

#[tokio::test]
async fn what_the_manager_refuses_was_surely_not_done() {
    let machine = Machine::new();
    machine.shows("active", "a");
    machine.job("echo 'Access denied' >&2; exit 4", "active", "a");
    let why = failed(perform(machine.prepare("systemd.restart")).await.0);
    assert!(why.contains("refuses") && why.contains("Access denied"), "{why}");
    // And what there is not, or can't be seen, is not asked for.
    let asked = machine.jobs().len();
    let shown = machine.path().join("shown");
    fs::write(&shown, "LoadState=not-found\nActiveState=inactive\n").expect("writable");
    for action in ["systemd.restart", "systemd.start", "systemd.stop", "systemd.get"] {
        let why = failed(perform(machine.prepare(action)).await.0);
        assert!(why.contains("not-found"), "{why}");
    }
    fs::remove_file(&shown).expect("there");
    assert!(failed(perform(machine.prepare("systemd.restart")).await.0).contains("can't be shown"));
    assert_eq!(machine.jobs().len(), asked);
    let too_short = machine.served.command(
        "systemd.stop",
        NODE,
        json!({"unit": "db"}),
        regreen_schemas::action::Effect::Idempotent,
        Span::seconds(3),
    );
    assert!(refused(too_short).contains("too short"));
}

#[tokio::test]
async fn a_job_that_is_not_over_in_time_is_unknown_and_looked_up() {
    let machine = Machine::new();
    machine.shows("active", "a");
    machine.job("sleep 60", "deactivating", "a");
    let (verb, kept) = perform(machine.prepare("systemd.restart")).await;
    let why = unknown(verb);
    assert!(why.contains("not over within"), "{why}");
    // While it is on its way nothing is said; then it is there.
    let mut call = machine.prepare("systemd.restart").expect("prepared");
    let why = failed(call.observe(1, kept.clone()).await);
    assert!(why.contains("deactivating"), "{why}");
    machine.shows("active", "b");
    assert!(matches!(look(machine.prepare("systemd.restart"), kept).await, Answer::Done { .. }));
    machine.shows("active", "a");
    let unseen = look(machine.prepare("systemd.restart"), None).await;
    assert!(matches!(unseen, Answer::CannotTell { .. }), "{unseen:?}");
    // Never looked at, never asked: the host gave up on the look before the ticket.
    let asked = machine.jobs().len();
    assert!(failed(call.perform().await).contains("not looked at"));
    assert_eq!(machine.jobs().len(), asked);
}

#[tokio::test]
async fn a_unit_is_started_stopped_and_shown() {
    let machine = Machine::new();
    machine.shows("inactive", "a");
    machine.job("exit 0", "active", "b");
    assert_eq!(ok(perform(machine.prepare("systemd.start")).await.0)["active"], "active");
    machine.job("exit 0", "inactive", "b");
    assert_eq!(ok(perform(machine.prepare("systemd.stop")).await.0)["active"], "inactive");
    machine.job("exit 0", "active", "b");
    let why = unknown(perform(machine.prepare("systemd.stop")).await.0);
    assert!(why.contains("it is active"), "something has started it again: {why}");
    assert_eq!(ok(perform(machine.prepare("systemd.get")).await.0)["sub"], "sub");
    let verbs: Vec<String> =
        machine.jobs().iter().filter_map(|line| line.split(' ').nth(2).map(str::to_owned)).collect();
    assert_eq!(verbs, ["start", "stop", "stop"], "each once");
}
