//! Stories of what is looked at, by real parts: Alertmanager's silences, HAProxy's servers, values in JSON, and verdicts
//! joined from others; and of what a playbook that only observes leaves as evidence.

use std::{fs, process::Command, time::Duration};

use regreen_testkit::{
    Alertmanager,
    process::{Process, free_port},
    tools, wait_for,
};
use regreen_tests::{TOKEN, World, alert, payload};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// HAProxy before the two services, with its runtime API on a port.
async fn haproxy(world: &World) -> (Process, u16) {
    let port = free_port();
    let address = |n: usize| world.services[n].url().replace("http://", "");
    let file = world.path().join("haproxy.cfg");
    let text = format!(
        "global\n  stats socket ipv4@127.0.0.1:{port} level admin\n\
         defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n\
         backend web\n  server one {} check inter 100ms\n  server two {} check inter 100ms\n",
        address(0),
        address(1)
    );
    fs::write(&file, text).expect("a writable directory");
    let mut command = Command::new(tools::find(&["haproxy"]));
    command.arg("-db").arg("-f").arg(&file);
    let process = Process::start(&mut command, &world.path().join("haproxy.log")).expect("it starts");
    wait_for("HAProxy", Duration::from_secs(10), async || {
        TcpStream::connect(("127.0.0.1", port)).await.map(|_| ())
    })
    .await;
    (process, port)
}

#[tokio::test]
async fn checks_of_many_kinds_say_what_they_see_of_real_parts() {
    let mut world = World::new(|text| text).await;
    let alertmanager = Alertmanager::start("http://127.0.0.1:9/", "x").await;
    let (_proxy, runtime) = haproxy(&world).await;
    let one = world.services[0].url();
    let checks = format!(
        "apiVersion: regreen/v1\nchecks:\n  \
           untouched: {{kind: http, with: {{url: \"{one}/state\", json: {{/effects: 0}}}}, interval: 200ms, fall: 1, rise: 1}}\n  \
           port: {{kind: tcp, with: {{address: \"{address}\"}}, interval: 200ms, degraded: {{above: 900}}}}\n  \
           proxy: {{kind: haproxy, each: node, in: [web], with: {{address: \"127.0.0.1:{runtime}\", backend: web, server: \"{{{{ node.name }}}}\"}}, interval: 200ms, fall: 1, rise: 1}}\n  \
           silence: {{kind: silences, each: node, in: [web], with: {{url: \"{alertmanager}\", labels: {{alertname: WebDown, node: \"{{{{ node.name }}}}\"}}}}, interval: 200ms, fall: 1, rise: 1}}\n  \
           numbers: {{kind: prometheus, with: {{url: \"{one}\", query: up}}, interval: 200ms, down: {{below: 1}}}}\n  \
           every: {{kind: all, of: [web/*]}}\n  \
           some: {{kind: any, of: [web/*]}}\n  \
           most: {{kind: share, of: [web/*], degraded: {{below: 100}}, down: {{below: 50}}}}\n",
        address = one.replace("http://", ""),
        alertmanager = alertmanager.url(),
    );
    fs::write(world.set().join("many.yaml"), checks).expect("a writable directory");
    world.start().await;
    let up = [
        "untouched",
        "port",
        "proxy/one",
        "proxy/two",
        "silence/one",
        "silence/two",
        "every",
        "some",
        "most",
    ];
    for check in up {
        world.verdict(check, "up").await;
    }

    // One of two fails, and something was done to it.
    world.services[0].break_health(500, false);
    let client = reqwest::Client::new();
    client.post(format!("{one}/restart")).send().await.expect("an effect");
    for (check, wanted) in
        [("web/one", "down"), ("every", "down"), ("some", "up"), ("most", "degraded"), ("untouched", "down")]
    {
        world.verdict(check, wanted).await;
    }

    // Somebody takes a server out, and silences the other.
    let mut command = TcpStream::connect(("127.0.0.1", runtime)).await.expect("the runtime API");
    command.write_all(b"set server web/one state maint\n").await.expect("sent");
    let mut answer = String::new();
    command.read_to_string(&mut answer).await.expect("an answer");
    assert_eq!(answer.trim(), "", "HAProxy takes it");
    let silence = json!({
        "matchers": [{"name": "node", "value": "two", "isRegex": false, "isEqual": true}],
        "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2999-01-01T00:00:00Z", "createdBy": "ana", "comment": "the disk"});
    let posted = client.post(format!("{}/api/v2/silences", alertmanager.url())).json(&silence).send().await;
    assert!(posted.expect("an answer").status().is_success());
    world.verdict("proxy/one", "degraded").await;
    world.verdict("silence/two", "degraded").await;
    world.verdict("proxy/two", "up").await;
    world.verdict("silence/one", "up").await;

    // What can't tell says so, and why.
    let verdicts = wait_for("the reason", Duration::from_secs(20), async || {
        let all = world.json(&["verdicts"])["verdicts"].clone();
        let of =
            |check: &str| all.as_array().and_then(|all| all.iter().find(|v| v["check"] == check).cloned());
        match (of("numbers"), of("silence/two")) {
            (Some(numbers), Some(silence)) if !numbers["reason"].is_null() => Ok((numbers, silence)),
            _ => Err(all),
        }
    })
    .await;
    assert_eq!(verdicts.0["status"], "unknown");
    assert!(verdicts.1["reason"].to_string().contains("ana"), "{}", verdicts.1);
}

#[tokio::test]
async fn what_only_observes_leaves_evidence() {
    let mut world = World::new(|text| text.replace("mode: auto", "mode: observe")).await;
    world.start().await;
    world.services[0].break_health(500, false);
    world.verdict("web/one", "down").await;
    assert_eq!(world.fire("one").await, 200);
    assert_eq!(world.fire("two").await, 200);
    let story = world.ended("observed").await;
    assert!(story.to_string().contains("would do: restart: http.request on one"), "{story}");
    let mut over = alert("one");
    over["status"] = "resolved".into();
    over["endsAt"] = "2026-11-20T11:50:00Z".into();
    assert_eq!(world.post(payload(&[over]).to_string(), TOKEN).await, 200);
    let evidence = wait_for("the end of the alert", Duration::from_secs(20), async || {
        let evidence = world.json(&["playbook", "evidence", "restart"]);
        if evidence["runs"][0]["episode"].is_null() { Err(evidence) } else { Ok(evidence) }
    })
    .await;
    assert_eq!(
        (evidence["runs"][0]["mode"].clone(), evidence["runs"][0]["effects"].clone()),
        (json!("observe"), json!(0))
    );
    assert_eq!(evidence["held_back"], json!({"skipped: when_false": 1}), "the other one was well");
    assert_eq!(world.services[0].effects(), []);
    let none = world.cli(&["playbook", "evidence", "nobody"]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
}
