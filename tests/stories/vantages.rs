//! Stories of seeing: vantages that are cut off, blind or gone, what balancers and Prometheus are told, checks that
//! flap, and guards that hold back. Each vantage is a probe in a network namespace of its own (`netns`).

mod netns;

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use netns::Net;
use regreen_bus::Bus;
use regreen_engine::recover;
use regreen_schemas::{CheckName, check::Status, id::Vantage};
use regreen_testkit::{Sink, process::free_port, wait_for};
use regreen_tests::{Fleet, TOKEN, World, alert, payload};
use serde_json::{Value, json};

const VANTAGES: [&str; 3] = ["ams", "fra", "par"];
/// Addresses on the bridge: NATS, the reference of the vantages, and the two services.
const NATS: u8 = 1;
const REFERENCE: u8 = 9;
const ONE: u8 = 11;
const TWO: u8 = 12;
/// Where the probes answer `/health`, each on its own address.
const EXPOSED: u16 = 8081;

/// Two of three vantages must agree, also for the playbook.
fn two_of_three(text: String) -> String {
    let seen =
        "fall: 1, rise: 1, timeout: 2s, vantages: [ams, fra, par], quorum: 2, expose: {on_unknown: fail}}";
    let text = text.replace("fall: 1, rise: 1}", seen).replace("quorum: 1}", "quorum: 2}");
    assert!(text.contains(seen) && text.contains("min_healthy: {at_least: 1}, quorum: 2}"), "{text}");
    text
}

/// Three vantages that look at two services.
struct Lab {
    // Before the network: its processes are in there.
    fleet: Fleet,
    net: Net,
    log: Bus,
    // Held for its port.
    _reference: Sink,
}

impl Lab {
    async fn start() -> Self {
        let mut net = Net::new(&VANTAGES);
        let mut fleet = Fleet::seen_from(&VANTAGES, two_of_three).await;
        let reference = Sink::start().await;
        let nats = net.forward(NATS, fleet.nats.port()).await;
        let seen = net.forward(REFERENCE, port(&reference)).await;
        let inventory = fleet.world.set().join("inventory.yaml");
        let mut text = fs::read_to_string(&inventory).expect("the inventory");
        for (host, service) in [ONE, TWO].into_iter().zip(&fleet.world.services) {
            let address = net.forward(host, port(service)).await;
            text = text.replace(&service.url().replace("http://", ""), &address);
        }
        fs::write(inventory, text).expect("writable");
        // As in production: what is followed here is read from the log, again and again.
        "{every: 10m, audit: 30d}".clone_into(&mut fleet.snapshots);
        let url = fleet.nats.url();
        fleet.write("engine-a", &url);
        for vantage in VANTAGES {
            let (part, own) = (format!("probe-{vantage}"), net.address_of(vantage));
            fleet.write(&part, &format!("nats://{nats}"));
            fleet.add(&part, &format!("reference: [{seen:?}]\nlisten: {own}:{EXPOSED}"));
        }
        fleet.start("engine-a");
        fleet.phase("engine-a", "ok").await;
        for part in ["ingest", "runner", "notifier"] {
            fleet.start(part);
        }
        let log = fleet.admin().await;
        let mut lab = Self { fleet, net, log, _reference: reference };
        for vantage in VANTAGES {
            lab.probe(vantage);
        }
        lab.fleet.works().await;
        for vantage in VANTAGES {
            lab.vantage(vantage, "sighted", true).await;
            lab.saw(vantage, Status::Up).await;
        }
        lab
    }

    fn world(&self) -> &World {
        &self.fleet.world
    }

    /// Starts the probe of a vantage, in its namespace.
    fn probe(&mut self, vantage: &str) {
        let inside = self.net.enter(vantage);
        self.fleet.start_in(&format!("probe-{vantage}"), inside);
    }

    /// Waits until `status` says this of a vantage.
    async fn vantage(&self, name: &str, what: &str, wanted: bool) {
        wait_for(&format!("{name} to be {what}: {wanted}"), Duration::from_secs(40), async || {
            let status = self.world().json(&["status"]);
            let list = status["vantages"].as_array().cloned().unwrap_or_default();
            let found = list.iter().any(|vantage| vantage["vantage"] == name && vantage[what] == wanted);
            if found { Ok(()) } else { Err(status) }
        })
        .await;
    }

    /// Waits until the log holds this as what a vantage says of web/one.
    async fn saw(&self, vantage: &str, wanted: Status) {
        let (check, name) = (CheckName::from("web/one"), Vantage::from(vantage));
        wait_for(&format!("{vantage} to say {wanted:?}"), Duration::from_secs(20), async || {
            let state = recover::recover(&self.log).await.map_err(|error| error.to_string())?.state;
            let saw = state.looks.get(&check).and_then(|looks| looks.get(&name)).cloned();
            match saw {
                Some(saw) if saw.status == wanted => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// The newest verdict on web/one that said anything.
    async fn known(&self) -> Option<Status> {
        let state = recover::recover(&self.log).await.expect("the log").state;
        state.known.get(&CheckName::from("web/one")).copied()
    }

    /// What a balancer at a vantage is told of web/one.
    async fn health(&self, vantage: &str) -> (u16, Value) {
        let address = self.net.address_of(vantage);
        get(&format!("http://{address}:{EXPOSED}/health/web/one")).await
    }

    /// Cuts a vantage off from everything but NATS.
    fn blind(&self, vantage: &str) {
        for host in [REFERENCE, ONE, TWO] {
            self.net.cut(vantage, host);
        }
    }
}

/// The port of a sink.
fn port(sink: &Sink) -> u16 {
    sink.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address ends with its port")
}

/// An answer's status, and its body where that is JSON.
async fn get(url: &str) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(url).send().await.unwrap_or_else(|error| panic!("{url}: {error}"));
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

/// What a service measures.
async fn metrics(url: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(format!("{url}/metrics")).send().await.expect("an answer");
    answer.text().await.expect("text")
}

/// Waits until the newest decision on a node's alert says this.
async fn decided(world: &World, node: &str, words: &str) {
    wait_for(&format!("{node}'s alert to be {words}"), Duration::from_secs(40), async || {
        let alerts = world.json(&["alerts", "list"]);
        let list = alerts.as_array().cloned().unwrap_or_default();
        let mine = list.iter().find(|alert| alert["labels"]["node"] == node);
        let said = mine.map(|alert| alert["decisions"].to_string()).unwrap_or_default();
        if said.contains(words) { Ok(()) } else { Err(alerts) }
    })
    .await;
}

/// Waits until a sink was called for this many effects.
async fn effects(sink: &Sink, wanted: usize) {
    wait_for(&format!("{wanted} effects"), Duration::from_secs(40), async || {
        let effects = sink.effects();
        if effects.len() == wanted { Ok(()) } else { Err(effects) }
    })
    .await;
}

// Several threads: the commands of people are waited for, and the network between the namespaces goes on meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_vantage_that_is_cut_off_does_nothing_and_two_of_three_repair() {
    let lab = Lab::start().await;
    let (world, service) = (lab.world(), &lab.world().services[0]);
    // Fault 23.
    lab.net.cut("ams", ONE);
    lab.saw("ams", Status::Down).await;
    assert_eq!(world.fire("one").await, 200);
    decided(world, "one", "when_false").await;
    world.verdict("web/one", "up").await;
    let (code, said) = lab.health("ams").await;
    assert_eq!((code, &said["source"]), (200, &json!("verdict")), "ams alone does not empty a pool: {said}");

    // The same alert, and a second witness.
    assert_eq!(service.effects(), [], "nothing is done by one vantage");
    lab.net.cut("fra", ONE);
    world.verdict("web/one", "down").await;
    let (code, said) = wait_for("the verdict at par", Duration::from_secs(10), async || {
        let (code, said) = lab.health("par").await;
        if said["status"] == "down" { Ok((code, said)) } else { Err(said) }
    })
    .await;
    assert_eq!((code, &said["source"]), (503, &json!("verdict")), "{said}");
    assert_eq!(said["reason"], "no answer within 2s", "what the two saw");
    lab.saw("par", Status::Up).await;
    effects(service, 1).await;
    for vantage in ["ams", "fra"] {
        lab.net.heal(vantage, ONE);
    }
    let story = world.ended("repaired").await;
    assert_eq!(story["target"], "one");
    world.verdict("web/one", "up").await;
    assert_eq!(service.effects().len(), 1);
    assert_eq!(world.services[1].effects(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blind_vantage_knows_nothing_and_where_all_are_blind_nothing_is_done() {
    let lab = Lab::start().await;
    let world = lab.world();
    lab.blind("ams");
    lab.vantage("ams", "sighted", false).await;
    lab.saw("ams", Status::Unknown).await;
    let status = world.cli(&["status"]);
    let said = String::from_utf8_lossy(&status.stderr).into_owned();
    assert_eq!(status.status.code(), Some(1));
    assert!(said.contains("vantage ams is blind: its looks are unknown"), "{said}");
    let problems = world.json(&["status"])["problems"].to_string();
    assert!(problems.contains("\"kind\":\"vantage\"") && !problems.contains("fra"), "{problems}");
    assert_eq!(world.fire("one").await, 200);
    decided(world, "one", "when_false").await;
    world.verdict("web/one", "up").await;

    // One that sees is no quorum. Their references go first; the next story is of all going at once.
    for vantage in ["fra", "par"] {
        lab.net.cut(vantage, REFERENCE);
        lab.vantage(vantage, "sighted", false).await;
        lab.blind(vantage);
        for check in ["web/one", "web/two"] {
            world.verdict(check, "unknown").await;
        }
    }
    decided(world, "one", "when_unknown").await;
    let (code, said) = wait_for("the verdict at par", Duration::from_secs(10), async || {
        let (code, said) = lab.health("par").await;
        if said["status"] == "unknown" { Ok((code, said)) } else { Err(said) }
    })
    .await;
    assert_eq!(code, 503, "`on_unknown: fail`: {said}");
    assert_eq!(lab.known().await, Some(Status::Up), "nobody ever said down");

    for vantage in VANTAGES {
        for host in [REFERENCE, ONE, TWO] {
            lab.net.heal(vantage, host);
        }
        lab.vantage(vantage, "sighted", true).await;
    }
    world.verdict("web/one", "up").await;
    decided(world, "one", "when_false").await;
    assert_eq!(world.json(&["runs", "list"]).as_array().map(Vec::len), Some(0));
    for service in &world.services {
        assert_eq!(service.effects(), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vantages_that_lose_everything_at_once_do_not_take_that_for_what_they_look_at() {
    let lab = Lab::start().await;
    let world = lab.world();
    for vantage in VANTAGES {
        lab.blind(vantage);
    }
    // Whoever sends the alerts stands behind the same broken link, and says so again and again.
    wait_for("the verdict to be unknown", Duration::from_secs(20), async || {
        assert_eq!(world.fire("one").await, 200);
        let verdicts = world.json(&["status"])["verdicts"].to_string();
        if verdicts.matches("\"unknown\"").count() == 2 { Ok(()) } else { Err(verdicts) }
    })
    .await;
    assert_eq!(lab.known().await, Some(Status::Up), "it was they who failed: no service was down");
    assert_eq!(world.services[0].effects(), []);
    for vantage in VANTAGES {
        lab.vantage(vantage, "sighted", false).await;
    }
    decided(world, "one", "when_unknown").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_is_killed_says_nothing_until_it_is_back() {
    let mut lab = Lab::start().await;
    let began = Instant::now();
    lab.fleet.kill("probe-ams");
    lab.vantage("ams", "complete", false).await;
    let silent = began.elapsed();
    // Its last digest may be five seconds old when it is killed.
    assert!((9..25).contains(&silent.as_secs()), "three digests were missed: {silent:?}");
    let status = lab.world().json(&["status"]);
    assert!(status["wrong"].to_string().contains("vantage ams is silent: its looks are unknown"), "{status}");
    for check in ["web/one", "web/two"] {
        lab.world().verdict(check, "up").await;
    }
    // What it said before counts no more: with a second one cut off, only one of three sees the service.
    lab.net.cut("fra", ONE);
    lab.world().verdict("web/one", "unknown").await;
    assert_eq!(
        lab.known().await,
        Some(Status::Up),
        "one silent and one that says down are no two that agree"
    );

    lab.probe("ams");
    lab.vantage("ams", "complete", true).await;
    lab.saw("ams", Status::Up).await;
    lab.world().verdict("web/one", "up").await;
    assert_eq!(lab.world().services[0].effects(), []);
}

/// Two groups, each a side of one service.
const SIDES: &str = "  spare:\n    health: web\n    nodes:\n      three: {address: \"127.0.0.1:9\"}\nservices:\n  site: {sides: [web, spare]}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balancers_are_told_the_verdict_and_without_an_engine_what_is_seen_from_here() {
    let exposed = |text: String| {
        let web = "  web: {kind: http, each: node, in: [web], with: {url: \"http://{{ node.address }}/health\"}, interval: 200ms, fall: 1, rise: 1}";
        assert!(text.contains(web), "{text}");
        let of = |name: &str, more: &str| {
            web.replace("  web:", &format!("  {name}:")).replace("rise: 1}", &format!("rise: 1{more}}}"))
        };
        let all = [
            of("web", ", expose: {on_unknown: pass}").replace("in: [web]", "in: [web, spare]"),
            of("strict", ", expose: {on_unknown: fail}"),
            of("inner", ""),
        ];
        text.replace(web, &all.join("\n"))
    };
    let mut fleet = Fleet::new(exposed).await;
    let inventory = fleet.world.set().join("inventory.yaml");
    let text = fs::read_to_string(&inventory).expect("the inventory");
    fs::write(inventory, format!("{text}{SIDES}")).expect("writable");
    let reference = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let seen = reference.local_addr().expect("an address");
    let reference = tokio::spawn(async move { while reference.accept().await.is_ok() {} });
    let port = free_port();
    fleet.add("probe", &format!("reference: [\"{seen}\"]\nlisten: 127.0.0.1:{port}"));
    fleet.start_all().await;
    let told = async |check: &str, code: u16, source: &str, status: &str| {
        let url = format!("http://127.0.0.1:{port}/health/{check}");
        wait_for(&format!("{check} to be {status} by {source}"), Duration::from_secs(20), async || {
            let (found, said) = get(&url).await;
            let right = (found, &said["source"], &said["status"]) == (code, &json!(source), &json!(status));
            if right { Ok(said) } else { Err((found, said)) }
        })
        .await
    };
    let up = told("web/one", 200, "verdict", "up").await;
    assert_eq!(up["check"], "web/one", "{up}");
    for hidden in ["inner/one", "web/nine", "web"] {
        let (code, said) = get(&format!("http://127.0.0.1:{port}/health/{hidden}")).await;
        assert_eq!(code, 404, "{hidden}: {said}");
    }
    fleet.world.services[0].break_health(500, false);
    let down = told("web/one", 503, "verdict", "down").await;
    assert!(down["reason"].as_str().is_some_and(|why| why.contains("500")), "{down}");
    told("strict/one", 503, "verdict", "down").await;

    let sides = wait_for("the sides with their health", Duration::from_secs(20), async || {
        let (code, said) = get(&format!("http://127.0.0.1:{port}/v1/endpoints/site")).await;
        let three = said["standby"][0]["nodes"][0]["health"]["status"].clone();
        if code == 200 && three == "down" { Ok(said) } else { Err((code, said)) }
    })
    .await;
    assert_eq!((&sides["active"]["group"], &sides["standby"][0]["group"]), (&json!("web"), &json!("spare")));
    let nodes = sides["active"]["nodes"].as_array().expect("nodes");
    let healths: Vec<_> = nodes.iter().map(|node| (&node["node"], &node["health"]["status"])).collect();
    assert_eq!(healths, [(&json!("one"), &json!("down")), (&json!("two"), &json!("up"))], "{sides}");
    let address = fleet.world.services[1].url().replace("http://", "");
    assert_eq!(nodes[1]["address"], json!(address), "{sides}");
    assert_eq!(get(&format!("http://127.0.0.1:{port}/v1/endpoints/nobody")).await.0, 404);

    // Nobody stands by a verdict any more: the newest look from here answers, and it goes on looking.
    for engine in ["engine-a", "engine-b"] {
        fleet.kill(engine);
    }
    let killed = Instant::now();
    told("web/two", 200, "own", "up").await;
    let silent = killed.elapsed();
    assert!(silent < Duration::from_secs(10), "the tick was silent for five seconds: {silent:?}");
    told("web/one", 503, "own", "down").await;
    fleet.world.services[0].break_health(200, false);
    fleet.world.services[1].break_health(500, false);
    told("web/one", 200, "own", "up").await;
    told("strict/one", 200, "own", "up").await;
    told("web/two", 503, "own", "down").await;

    // Now it is blind too: what is answered is what was written.
    reference.abort();
    told("web/two", 200, "none", "unknown").await;
    told("strict/two", 503, "none", "unknown").await;
    let (_, sides) = get(&format!("http://127.0.0.1:{port}/v1/endpoints/site")).await;
    assert_eq!(sides["active"]["nodes"][0]["health"]["status"], "unknown", "{sides}");
}

/// Prometheus's own judge of what is measured.
fn promtool() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(PathBuf::from("../.tools/bin")).chain(std::env::split_paths(&path));
    let found = folders.map(|folder| folder.join("promtool")).find(|file| file.is_file());
    found.expect("promtool is not installed: `apt-get install prometheus`")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_every_service_measures_is_what_prometheus_takes() {
    let judge = promtool();
    let mut fleet = Fleet::new(|text| text).await;
    fleet.start_all().await;
    // Something of everything: a repair, and a page.
    fleet.world.services[0].break_health(500, true);
    fleet.world.verdict("web/one", "down").await;
    assert_eq!(fleet.world.fire("one").await, 200);
    fleet.world.ended("repaired").await;
    fleet.world.verdict("web/one", "up").await;
    let (active, _) = fleet.engines().await;
    wait_for("the verdict's metric", Duration::from_secs(20), async || {
        let text = metrics(&fleet.url(active)).await;
        let shown = ["up\"} 1", "down\"} 0", "degraded\"} 0", "unknown\"} 0"].map(|status| {
            text.contains(&format!("regreen_check_verdict{{check=\"web/one\",status=\"{status}"))
        });
        if shown == [true; 4] { Ok(()) } else { Err(text) }
    })
    .await;
    let mut complaints = Vec::new();
    for part in regreen_tests::PARTS {
        let text = metrics(&fleet.url(part)).await;
        let mut command = Command::new(&judge);
        command
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("promtool starts");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            complaints.push(format!("{part}: {}\n{text}", String::from_utf8_lossy(&said)));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// An alert for `one` that began, and ended, at these times.
fn episode(began: &str, ended: Option<&str>) -> String {
    let mut alert = alert("one");
    alert["startsAt"] = began.into();
    if let Some(ended) = ended {
        alert["status"] = "resolved".into();
        alert["endsAt"] = ended.into();
    }
    payload(&[alert]).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_flaps_is_told_once_and_repaired_once_in_a_cooldown() {
    let mut world = World::new(|text| text).await;
    let system = Sink::start().await;
    let policy = format!(
        "apiVersion: regreen/v1\npolicy: lab\nreceivers:\n  oncall: {{webhook: {{url: \"{}/page\"}}}}\n  system: {{webhook: {{url: \"{}/page\"}}}}\nsystem: [system]\n",
        world.pager.url(),
        system.url()
    );
    fs::write(world.set().join("policy.yaml"), policy).expect("writable");
    world.start().await;
    let service = world.services[0].clone();

    // Fault 16. The first time it is repaired.
    service.break_health(500, true);
    world.verdict("web/one", "down").await;
    assert_eq!(world.post(episode("2026-11-20T10:00:00Z", None), TOKEN).await, 200);
    world.ended("repaired").await;
    assert_eq!(world.post(episode("2026-11-20T10:00:00Z", Some("2026-11-20T10:01:00Z")), TOKEN).await, 200);
    assert_eq!(world.pager.effects(), []);

    // It breaks again, and nothing is done before the cooldown is over: somebody hears of it.
    service.break_health(500, true);
    world.verdict("web/one", "down").await;
    assert_eq!(world.post(episode("2026-11-20T10:02:00Z", None), TOKEN).await, 200);
    decided(&world, "one", "cooldown").await;
    effects(&world.pager, 1).await;
    assert!(world.pager.effects()[0].body.contains("cooldown"), "{:?}", world.pager.effects());
    assert_eq!(system.effects(), [], "three changes are no flapping");

    // Up, down, up, down, …: the sixth change is told, those after it are not.
    for status in [200, 500, 200, 500, 200, 500, 200, 500] {
        service.break_health(status, true);
        world.verdict("web/one", if status == 200 { "up" } else { "down" }).await;
    }
    effects(&system, 1).await;
    let page = system.effects().remove(0).body;
    assert!(page.contains("web/one flaps: 6 changes"), "{page}");
    decided(&world, "one", "cooldown").await;
    let measured = metrics(&world.url()).await;
    assert!(measured.contains("regreen_verdicts_flapping_total 1\n"), "{measured}");
    assert_eq!(service.effects().len(), 1, "one action a cooldown");
    assert_eq!(world.json(&["runs", "list"]).as_array().map(Vec::len), Some(1));
    assert_eq!((world.pager.effects().len(), system.effects().len()), (1, 1), "each is told once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_healthy_node_and_a_stranger_are_left_alone() {
    let mut world = World::new(|text| text).await;
    world.start().await;
    // Fault 30: whoever restarts one now has none.
    for service in &world.services {
        service.break_health(500, true);
    }
    for check in ["web/one", "web/two"] {
        world.verdict(check, "down").await;
    }
    assert_eq!(world.fire("one").await, 200);
    decided(&world, "one", "min_healthy").await;
    let explained = world.cli(&["explain", alert("one")["fingerprint"].as_str().expect("text")]);
    let said = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(said.contains("0 healthy others, 1 needed"), "{said}");
    assert_eq!(world.fire("nine").await, 200);
    decided(&world, "nine", "\"blocked\":{\"target\"").await;
    assert_eq!(world.json(&["runs", "list"]).as_array().map(Vec::len), Some(0));
    for service in &world.services {
        assert_eq!(service.calls(), 0);
    }

    // It was the guard alone: as soon as another one is healthy, the same alert is acted on.
    world.services[1].break_health(200, false);
    let story = world.ended("repaired").await;
    assert_eq!(story["target"], "one");
    assert_eq!(world.services[0].effects().len(), 1);
    assert_eq!(world.services[1].calls(), 0);
    decided(&world, "nine", "\"blocked\":{\"target\"").await;
}
