//! `exec.run` and `process.signal` against real processes; `systemd.*` against a double of `systemctl`: what it is
//! asked, and what its answers are taken for. A real systemd was never at hand.

mod commands;
mod exec;
mod signal;
mod systemd;

use commands::{NODE, Served, refused};
use regreen_schemas::{Span, action::Effect};
use serde_json::json;

#[tokio::test]
async fn only_what_the_list_names_is_served_and_only_on_this_machine() {
    assert_eq!(Served::new(json!({})).names(), [""; 0]);
    let served = Served::new(json!({
        "units": ["app"],
        "processes": {"app": {"executable": "/usr/bin/app"}},
        "commands": {"check": {"argv": ["/bin/true"]}},
    }));
    assert_eq!(
        served.names(),
        ["systemd.get", "systemd.start", "systemd.stop", "systemd.restart", "process.signal", "exec.run"]
    );
    for (action, params) in [
        ("systemd.restart", json!({"unit": "app"})),
        ("process.signal", json!({"name": "app", "signal": "HUP"})),
        ("exec.run", json!({"command": "check"})),
    ] {
        let of = |node| served.command(action, node, params.clone(), Effect::Idempotent, Span::seconds(30));
        assert!(of(NODE).is_ok(), "{action}");
        let why = refused(of("app-2"));
        assert!(why.contains("`app-1`") && why.contains("`app-2`") && why.contains("via:"), "{why}");
    }
    for (action, params, key) in [
        ("systemd.stop", json!({"unit": "sshd"}), "units"),
        ("systemd.stop", json!({"unit": "app.socket"}), "units"),
        ("process.signal", json!({"name": "init", "signal": "HUP"}), "processes"),
        ("exec.run", json!({"command": "/bin/rm"}), "commands"),
    ] {
        let why = refused(served.prepare(action, params));
        assert!(why.contains(&format!("providers.host.{key}")), "{why}");
    }
    assert!(refused(served.prepare("systemd.stop", json!({"unit": "-h"}))).contains("`-h`"));
    assert!(
        refused(served.prepare("process.signal", json!({"name": "app", "signal": "KILL"}))).contains("KILL")
    );
}
