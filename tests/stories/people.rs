//! Stories of people: who is asked and whose yes counts, where they hear of it, and how they bring files in force.
//! Slack, PagerDuty and the relay for e-mail are doubles on loopback; all else is real.

use std::{
    fs,
    process::{Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use futures::TryStreamExt as _;
use regreen_bus::{Bus, snapshots};
use regreen_kit::clock;
use regreen_schemas::{Span, hash::sha256_hex};
use regreen_testkit::{Nats, sink::Answer, wait_for};
use regreen_tests::{Fleet, TOKEN, World, alert, payload, regreen};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// Longest wait for what takes a moment.
const SOON: Duration = Duration::from_secs(20);
/// Longest wait for what takes some tries.
const LATER: Duration = Duration::from_secs(90);

// What a person types.

fn asks(text: String) -> String {
    text.replace("mode: auto", "mode: approve").replace("min_healthy: {at_least: 1}, ", "")
}

/// The policy: receivers of this story, and who may approve.
fn policy(world: &World, receivers: &str, approvers: &str) {
    let text = format!(
        "apiVersion: regreen/v1\npolicy: lab\nreceivers: {{oncall: {{webhook: {{url: \"{}/page\"}}}}{receivers}}}\napprovers: {approvers}\n",
        world.pager.url()
    );
    fs::write(world.set().join("policy.yaml"), text).expect("writable");
}

/// Exit code, and all that was said.
fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    (output.status.code(), text.concat())
}

/// Asserts the exit code and a word of what was said.
#[track_caller]
fn says(output: &Output, code: i32, words: &str) {
    let (found, text) = said(output);
    assert!(found == Some(code) && text.contains(words), "wanted {code} and `{words}`: {found:?}: {text}");
}

/// Breaks a service, for good unless it heals; its alert fires once that is seen.
async fn broken(world: &World, n: usize, heals: bool) {
    let node = ["one", "two"][n];
    world.services[n].break_health(500, heals);
    world.verdict(&format!("web/{node}"), "down").await;
    assert_eq!(world.fire(node).await, 200);
}

/// The same trouble as another alert.
fn another(node: &str) -> String {
    let mut alert = alert(node);
    alert["labels"]["severity"] = "page".into();
    alert["fingerprint"] = format!("{:0<16}", format!("fa{node}")).into();
    payload(&[alert]).to_string()
}

/// The alert is over.
fn resolved(node: &str) -> String {
    let mut alert = alert(node);
    alert["status"] = "resolved".into();
    alert["endsAt"] = "2026-11-20T12:45:23Z".into();
    payload(&[alert]).to_string()
}

/// What `regreen approvals list` shows once a run asks: run and hash of the plan.
async fn asked(world: &World) -> (String, String) {
    wait_for("a run that asks", SOON, async || {
        let asked = world.json(&["approvals", "list"]);
        let text = |key: &str| asked[0][key].as_str().map(String::from);
        text("run").zip(text("plan_hash")).ok_or_else(|| format!("{asked}\n{}", world.log()))
    })
    .await
}

/// What became of an alert, as `regreen alerts list` says it.
async fn decided(world: &World, fingerprint: &str, words: &str) {
    wait_for(words, SOON, async || {
        let alerts = world.json(&["alerts", "list"]);
        let list = alerts.as_array().cloned().unwrap_or_default();
        let found = list.iter().find(|alert| alert["fingerprint"] == fingerprint);
        let decisions = found.map(|alert| alert["decisions"].to_string()).unwrap_or_default();
        if decisions.contains(words) { Ok(()) } else { Err(alerts) }
    })
    .await;
}

async fn effects(world: &World, n: usize, wanted: usize) {
    wait_for("the effect", Duration::from_secs(40), async || {
        let effects = world.services[n].effects();
        if effects.len() == wanted { Ok(()) } else { Err((effects, world.json(&["runs", "list"]))) }
    })
    .await;
}

// What the streams hold.

async fn vandal(nats: &Nats) -> Bus {
    let (url, domain) = (nats.url(), "default".into());
    let options = regreen_bus::connect::Options { url, domain, user: "vandal".into(), seed: None };
    Bus::connect(&options).await.expect("a connection")
}

/// Every message of a stream as it lies there: subject and bytes.
async fn messages(bus: &Bus, name: &str) -> Vec<(String, Vec<u8>)> {
    let mut stream = bus.nats().js.get_stream(name).await.expect("a stream");
    let state = stream.info().await.expect("its state").state.clone();
    let mut found = Vec::new();
    for seq in state.first_sequence.max(1)..=state.last_sequence {
        match stream.get_raw_message(seq).await {
            Ok(message) => found.push((message.subject.to_string(), message.payload.to_vec())),
            // A newer one has taken its place.
            Err(error) => assert!(error.to_string().contains("no message found"), "{error}"),
        }
    }
    found
}

/// The streams that hold these words, snapshots as what they say.
async fn holding(bus: &Bus, words: &str) -> Vec<String> {
    let held = |bytes: &[u8]| bytes.windows(words.len()).any(|window| window == words.as_bytes());
    let names: Vec<String> = bus.nats().js.stream_names().try_collect().await.expect("the streams");
    assert!(names.len() >= 9, "{names:?}");
    let mut found = Vec::new();
    for name in names {
        if messages(bus, &name).await.iter().any(|(subject, bytes)| held(subject.as_bytes()) || held(bytes)) {
            found.push(name);
        }
    }
    for seq in snapshots::list(bus).await.expect("snapshots") {
        let manifest = snapshots::manifest(bus, seq).await.expect("readable");
        if held(&snapshots::body(bus, &manifest).await.expect("whole")) {
            found.push(format!("snapshot {seq}"));
        }
    }
    found
}

/// Waits until a decision says this.
async fn recorded(bus: &Bus, words: &str, times: usize) {
    wait_for(words, SOON, async || {
        let records = messages(bus, &bus.names.decisions()).await;
        let texts: Vec<_> =
            records.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
        let found = texts.iter().map(|text| text.matches(words).count()).sum::<usize>();
        if found >= times { Ok(()) } else { Err((found, texts.last().cloned())) }
    })
    .await;
}

// Doubles.

/// A request to a double.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    bearer: String,
    body: Value,
}

/// An API on loopback that notes what it is asked.
#[derive(Clone, Default)]
struct Double {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// It answers 500.
    fails: Arc<AtomicBool>,
}

impl Double {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let double = Self { port, ..Self::default() };
        let app = Router::new().fallback(answer).with_state(double.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        double
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no handler panics").clone()
    }

    /// Waits for a request.
    async fn heard(&self, what: &str, wanted: impl Fn(&Asked) -> bool) -> Asked {
        wait_for(what, LATER, async || {
            let asked = self.asked();
            asked.iter().find(|asked| wanted(asked)).cloned().ok_or(asked)
        })
        .await
    }
}

/// What Slack and PagerDuty both would be content with.
async fn answer(
    State(double): State<Double>,
    uri: Uri,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut asked = double.asked.lock().expect("no handler panics");
    asked.push(Asked { path: uri.path().into(), bearer: bearer.into(), body });
    let status = if double.fails.load(Ordering::SeqCst) { 500 } else { 200 };
    let said = json!({"ok": true, "channel": "C024BE91L", "ts": format!("1405894322.{:06}", asked.len()), "status": "success"});
    (StatusCode::from_u16(status).expect("a status"), Json(said)).into_response()
}

/// A relay that takes every letter.
async fn relay() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let letters: Arc<Mutex<Vec<String>>> = Arc::default();
    let box_of = letters.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever speaks to it may leave when they like.
            let _ = take(stream, &box_of).await;
        }
    });
    (port, letters)
}

async fn take(stream: TcpStream, letters: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut letter: Option<String> = None;
    write.write_all(b"220 relay\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        match (&mut letter, line.as_str()) {
            (Some(text), ".") => {
                letters.lock().expect("nobody panics with it").push(std::mem::take(text));
                letter = None;
            }
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
                continue;
            }
            (None, "DATA") => {
                letter = Some(String::new());
                write.write_all(b"354 go on\r\n").await?;
                continue;
            }
            (None, _) => {}
        }
        write.write_all(b"250 ok\r\n").await?;
    }
    Ok(())
}

// Approvals.

#[tokio::test]
async fn nothing_is_done_before_a_yes_to_this_plan_and_of_two_at_once_one_counts() {
    let mut world = World::new(|text| asks(text).replace("for: 1s", "for: 3s")).await;
    policy(&world, "", "{sre: [local], default: sre}");
    world.start().await;
    broken(&world, 0, true).await;
    let (run, plan) = asked(&world).await;
    let shown = world.cli(&["approvals", "list"]);
    says(&shown, 0, "restart: http.request on one: ");
    says(&shown, 0, &format!("regreen approve {run} --plan {plan}"));
    says(&world.cli(&["status"]), 1, &format!("regreen approve {run}"));
    says(&world.cli(&["approve", &run, "--plan", "another"]), 1, "the plan is another");
    says(&world.cli(&["approve", &run]), 2, "there is nobody to ask");
    assert_eq!(world.services[0].calls(), 0, "nothing is done unasked");

    // Fault 25.
    let mut codes = std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| world.cli(&["approve", &run, "--plan", &plan])));
        both.map(|one| said(&one.join().expect("no panic")))
    });
    codes.sort();
    assert_eq!(codes.each_ref().map(|(code, _)| *code), [Some(0), Some(1)], "{codes:?}");
    let story = world.ended("repaired").await.to_string();
    assert_eq!(story.matches("\"approved\"").count(), 1, "{story}");
    assert!(story.contains("\"by\":\"local\""), "{story}");
    assert_eq!(world.services[0].effects().len(), 1, "once");
    assert_eq!(world.json(&["approvals", "list"]), json!([]));
}

#[tokio::test]
async fn a_no_is_a_no_and_so_is_no_answer_and_a_yes_that_comes_too_late() {
    let mut world = World::new(asks).await;
    policy(&world, "", "{sre: [local], default: sre}");
    world.start().await;
    broken(&world, 0, true).await;
    let (run, _) = asked(&world).await;
    says(&world.cli(&["deny", &run, "--reason", "a disk is being replaced"]), 0, "denied");
    let story = world.ended("denied").await.to_string();
    assert!(story.contains("a disk is being replaced"), "{story}");
    assert_eq!(world.pager.effects(), [], "whoever said no knows");

    let file = world.set().join("playbook.yaml");
    let text = fs::read_to_string(&file).expect("the playbook");
    fs::write(&file, text.replace("quorum: 1}", "quorum: 1, approval: {within: 3s}}")).expect("written");
    wait_for("the edit", SOON, async || {
        let log = world.log();
        if log.contains("have changed and are good") { Ok(()) } else { Err(log) }
    })
    .await;
    // By hand: two broken of two would be a storm.
    world.services[0].break_health(200, false);
    world.verdict("web/one", "up").await;
    broken(&world, 1, true).await;
    let (run, plan) = asked(&world).await;
    // The yes is on its way while nobody reads, until it is too late by the clock that the engine decides by: the wall's
    // may be set meanwhile.
    let until = clock::boot() + Span::seconds(3);
    let up = world.up.as_ref().expect("it runs");
    up.signal("STOP");
    let mut late = Command::new(regreen());
    late.args(["approve", &run, "--plan", &plan, "--data-dir"]).arg(world.path().join("data"));
    let late = late.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    wait_for("its end", SOON, async || if clock::boot() > until { Ok(()) } else { Err(until) }).await;
    up.signal("CONT");
    let late = late.wait_with_output().expect("it ends");
    says(&late, 1, "refused");
    world.ended("expired").await;
    wait_for("the page", SOON, async || {
        let pages = world.pager.effects();
        if pages.len() == 1 && pages[0].body.contains("expired") { Ok(()) } else { Err(pages) }
    })
    .await;
    says(&world.cli(&["approve", &run, "--plan", &plan]), 1, "asks for no approval");
    assert_eq!([world.services[0].calls(), world.services[1].calls()], [0, 0], "nothing was ever done");
}

/// What somebody says with a key of their own.
fn by(fleet: &Fleet, who: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(regreen());
    command.args(arguments).args(["--nats", &fleet.nats.url(), "--operator", who]).arg("--creds");
    command.arg(fleet.world.path().join("keys").join(format!("operator-{who}.seed")));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn only_approvers_count_and_the_first_of_a_yes_and_a_no() {
    let mut fleet =
        Fleet::new(|text| asks(text).replace("quorum: 1}", "quorum: 1, approval: {by: sre}}")).await;
    policy(&fleet.world, "", "{sre: [ana, local], operators: [local]}");
    let keys = fleet.world.path().join("keys");
    let mut users = Command::new(regreen());
    users
        .args(["users", "--operator", "local", "--operator", "ana", "--operator", "bob", "--out"])
        .arg(&keys);
    assert!(users.output().expect("it starts").status.success());
    fleet.nats.restart().await;
    for part in ["engine-a", "ingest", "probe", "runner", "notifier"] {
        fleet.start(part);
    }
    fleet.works().await;
    broken(&fleet.world, 0, true).await;
    let (run, plan) = asked(&fleet.world).await;
    for answer in [vec!["approve", &run, "--plan", &plan], vec!["deny", &run]] {
        let bob = by(&fleet, "bob", &answer).output().expect("it starts");
        says(&bob, 1, "bob is not one of the approvers `sre`");
    }
    let bob = by(&fleet, "bob", &["runs", "cancel", &run]).output().expect("it starts");
    says(&bob, 1, "bob is not one of the approvers `operators`");
    // Somebody with the key of one and the name of another is nobody.
    let key = keys.join("operator-bob.seed");
    let mut forged = by(&fleet, "ana", &["approve", &run, "--plan", &plan]);
    let forged = forged.arg("--creds").arg(&key).output().expect("it starts");
    assert_eq!(forged.status.code(), Some(2), "{forged:?}");
    assert_eq!(fleet.world.services[0].calls(), 0);

    // Fault 25: both are stored before anybody reads either.
    let bus = fleet.admin().await;
    let answers = async || {
        let stream = bus.nats().js.get_stream(bus.names.facts()).await.expect("FACTS");
        let subjects =
            stream.info_with_subjects("regreen.fact.default.operator.>").await.expect("its subjects");
        let counts: Vec<(String, usize)> = subjects.try_collect().await.expect("counts");
        counts.iter().map(|(_, count)| count).sum::<usize>()
    };
    let before = answers().await;
    fleet.signal("engine-a", "STOP");
    let yes = by(&fleet, "ana", &["approve", &run, "--plan", &plan]).spawn().expect("it starts");
    let no = by(&fleet, "local", &["deny", &run, "--reason", "no"]).spawn().expect("it starts");
    wait_for("both answers", SOON, async || {
        let now = answers().await;
        if now == before + 2 { Ok(()) } else { Err((before, now)) }
    })
    .await;
    fleet.signal("engine-a", "CONT");
    let both = [yes, no].map(|child| said(&child.wait_with_output().expect("it ends")));
    let effects = match both.each_ref().map(|(code, _)| *code) {
        [Some(0), Some(1)] => {
            fleet.world.ended("repaired").await;
            1
        }
        [Some(1), Some(0)] => {
            fleet.world.ended("denied").await;
            0
        }
        _ => panic!("one wins, one is refused: {both:?}"),
    };
    assert!(
        both.iter().any(|(_, text)| text.contains("nothing is asked there, or not any more")),
        "{both:?}"
    );
    assert_eq!(fleet.world.services[0].effects().len(), effects, "{both:?}");
}

// Receivers.

/// HMAC-SHA256 in hex, from its definition.
fn hmac(key: &[u8], message: &[u8]) -> String {
    let padded = |with: u8| -> Vec<u8> { (0..64).map(|n| key.get(n).unwrap_or(&0) ^ with).collect() };
    let inner = sha256_hex(&[&padded(0x36), message].concat());
    let byte = |n: usize| u8::from_str_radix(&inner[2 * n..2 * n + 2], 16).expect("hex");
    sha256_hex(&[padded(0x5c), (0..32).map(byte).collect()].concat())
}

/// A click on a button, as Slack sends it; returns the status.
async fn click(world: &World, secret: &str, user: &str, button: &Value) -> u16 {
    let payload = json!({
        "type": "block_actions", "user": {"id": user, "username": user, "team_id": "T0"}, "api_app_id": "A0",
        "container": {"type": "message", "message_ts": "1405894322.000001", "channel_id": "C024BE91L"},
        "actions": [{"type": "button", "action_id": button["action_id"], "value": button["value"], "block_id": "b",
            "text": button["text"], "action_ts": "1405894323.000001"}],
    });
    let encoded: String = payload.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    let (body, sent) = (format!("payload={encoded}"), clock::wall().0 / 1000);
    let signature = format!("v0={}", hmac(secret.as_bytes(), format!("v0:{sent}:{body}").as_bytes()));
    let request = reqwest::Client::new()
        .post(format!("{}/v1/slack/actions", world.url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-slack-request-timestamp", sent.to_string())
        .header("x-slack-signature", signature)
        .body(body);
    request.send().await.expect("an answer").status().as_u16()
}

/// The button of a message that asks.
fn button(message: &Value, id: &str) -> Option<Value> {
    let blocks = message["blocks"].as_array()?;
    let buttons = blocks.iter().find(|block| block["type"] == "actions")?["elements"].as_array()?;
    buttons.iter().find(|button| button["action_id"] == id).cloned()
}

/// Secrets of the story, in files of their own.
fn secret(world: &World, name: &str, text: &str) -> String {
    let file = world.path().join(name);
    fs::write(&file, text).expect("writable");
    format!("{{file: {file:?}}}")
}

#[tokio::test]
async fn a_run_is_one_message_in_slack_and_goes_on_by_a_click_of_who_may() {
    let nats = Nats::start().await;
    let slack = Double::start().await;
    let mut world = World::new(|text| asks(text).replace("escalate:", "notify: [ops]\nescalate:")).await;
    world.on(&nats.url());
    policy(&world, ", ops: {slack: \"#ops\"}", "{sre: [\"slack:U1\"], default: sre}");
    let (token, signing) =
        (secret(&world, "slack.token", "xoxb-1"), secret(&world, "slack.signing", "signed"));
    world.configure(&format!("  slack: {token}"));
    world.configure(&format!("slack: {{url: \"{}/api\", signing_secret: {signing}}}", slack.url()));
    world.start().await;
    broken(&world, 0, true).await;
    let asks = slack.heard("the question", |asked| button(&asked.body, "regreen_approve").is_some()).await;
    let yes = button(&asks.body, "regreen_approve").expect("there");
    assert!(asks.body["blocks"].to_string().contains("restart: http.request on one"), "the plan: {asks:?}");

    let bus = vandal(&nats).await;
    assert_eq!(click(&world, "forged", "U1", &yes).await, 401, "not signed by Slack");
    assert_eq!(click(&world, "signed", "U2", &yes).await, 200, "taken, and judged by policy");
    let mut forged = yes.clone();
    let value = yes["value"].as_str().expect("text").replace("plan_hash\":\"", "plan_hash\":\"x");
    forged["value"] = value.into();
    assert_eq!(click(&world, "signed", "U1", &forged).await, 200, "taken, and bound to the plan");
    recorded(&bus, "the answer is to another plan", 1).await;
    recorded(&bus, "slack:U2 is not one of the approvers `sre`", 1).await;
    says(&world.cli(&["deny", &asked(&world).await.0]), 1, "local is not one of the approvers");
    assert_eq!(world.services[0].calls(), 0);
    assert_eq!(click(&world, "signed", "U1", &yes).await, 200);
    let story = world.ended("repaired").await.to_string();
    assert!(story.contains("\"by\":\"slack:U1\""), "{story}");
    let said = |asked: &Asked| asked.body["text"].as_str().unwrap_or_default().to_owned();
    let closed = slack
        .heard("the end", |asked| asked.path.ends_with("update") && said(asked).contains("repaired"))
        .await;
    assert_eq!(button(&closed.body, "regreen_approve"), None, "nothing is left to click");
    assert_eq!(click(&world, "signed", "U1", &yes).await, 200);
    recorded(&bus, "nothing is asked there, or not any more", 1).await;
    assert_eq!(world.services[0].effects().len(), 1);

    let all = slack
        .heard("the last reply", |asked| {
            asked.path.ends_with("postMessage") && said(asked).contains("repaired")
        })
        .await;
    assert_eq!(all.body["channel"], "C024BE91L", "in the channel of the first");
    let asked = slack.asked();
    let opens = |asked: &&Asked| asked.path == "/api/chat.postMessage" && asked.body["thread_ts"].is_null();
    assert_eq!(asked.iter().filter(opens).count(), 1, "one message: {asked:?}");
    assert!(opens(&&asked[0]) && asked[0].body["channel"] == "#ops", "{asked:?}");
    let ts = json!("1405894322.000001");
    for asked in &asked[1..] {
        let of = if asked.path == "/api/chat.update" { &asked.body["ts"] } else { &asked.body["thread_ts"] };
        assert_eq!(*of, ts, "edits and replies alone: {asked:?}");
    }
    assert!(asked.iter().all(|asked| asked.bearer == "Bearer xoxb-1"));
    let replies: Vec<String> =
        asked[1..].iter().filter(|asked| asked.path.ends_with("postMessage")).map(said).collect();
    for news in ["guard: asks sre", "guard: slack:U1 said yes", "closing: it held"] {
        assert_eq!(replies.iter().filter(|reply| reply.contains(news)).count(), 1, "{news} in {replies:?}");
    }
}

#[tokio::test]
async fn a_page_is_triggered_acknowledged_and_resolved_under_one_key_however_long_it_takes() {
    let nats = Nats::start().await;
    let pager = Double::start().await;
    let mut world = World::new(|text| text).await;
    world.on(&nats.url());
    let text = "apiVersion: regreen/v1\npolicy: lab\nreceivers: {oncall: {pagerduty: {secret: routing}}}\n";
    fs::write(world.set().join("policy.yaml"), text).expect("writable");
    world.configure(&format!("  routing: {}", secret(&world, "routing.key", "R0UT1NG")));
    world.configure(&format!("pagerduty: {{url: \"{}\"}}", pager.url()));
    pager.fails.store(true, Ordering::SeqCst);
    world.start().await;
    world.services[0].answer([Answer::Refuse(403)]);
    broken(&world, 0, false).await;
    let run = world.ended("failed").await["run"].as_str().expect("an id").to_owned();
    let bus = vandal(&nats).await;
    // While nobody can be told, another node is repaired.
    world.services[0].break_health(200, false);
    world.verdict("web/one", "up").await;
    broken(&world, 1, true).await;
    world.ended("repaired").await;
    recorded(&bus, "PagerDuty answered 500", 2).await;
    assert_eq!(world.services[1].effects().len(), 1);

    // And whoever must be told is not forgotten.
    world.up = None;
    pager.fails.store(false, Ordering::SeqCst);
    let tries = pager.asked().len();
    world.start().await;
    wait_for("the page", LATER, async || {
        let now = pager.asked().len();
        if now > tries { Ok(()) } else { Err(world.log()) }
    })
    .await;
    let page = &pager.asked()[tries].body;
    assert_eq!(page["event_action"], "trigger");
    let summary = page["payload"]["summary"].as_str().expect("text");
    assert!(summary.starts_with("restart on one: failed"), "said once: {summary}");
    recorded(&bus, "\"posted\"", 1).await;
    says(&world.cli(&["ack", &run]), 0, "acknowledged");
    pager.heard("the acknowledgement", |asked| asked.body["event_action"] == "acknowledge").await;
    says(&world.cli(&["ack", "feone00000000000"]), 0, "acknowledged");
    assert_eq!(world.post(resolved("one"), TOKEN).await, 200);
    pager.heard("the end", |asked| asked.body["event_action"] == "resolve").await;
    let asked = pager.asked();
    let actions: Vec<_> = asked[tries..].iter().map(|asked| asked.body["event_action"].clone()).collect();
    let (ends, between) = ([&actions[0], &actions[actions.len() - 1]], &actions[1..actions.len() - 1]);
    assert_eq!(ends, ["trigger", "resolve"], "{actions:?}");
    assert!(between.iter().all(|action| action == "acknowledge"), "{actions:?}");
    let key = &asked[0].body["dedup_key"];
    assert!(key.as_str().is_some_and(|key| key.starts_with("default/restart/")), "{key}");
    for asked in &asked {
        let is = (asked.path.as_str(), &asked.body["dedup_key"], &asked.body["routing_key"]);
        assert_eq!(is, ("/v2/enqueue", key, &json!("R0UT1NG")), "{asked:?}");
    }
    recorded(&bus, "\"posted\"", 3).await;
    says(&world.cli(&["ack", &run]), 1, "it is over");
    assert_eq!(holding(&bus, "R0UT1NG").await, [""; 0]);
}

#[tokio::test]
async fn an_approval_is_asked_by_e_mail_and_what_follows_is_of_its_thread() {
    let (port, letters) = relay().await;
    let mut world = World::new(|text| asks(text).replace("escalate:", "notify: [mail]\nescalate:")).await;
    policy(&world, ", mail: {email: {to: [ops@example.com]}}", "{default: [local]}");
    world.configure(&format!(
        "smtp: {{host: 127.0.0.1, port: {port}, tls: none, from: \"Regreen <regreen@example.com>\"}}"
    ));
    world.start().await;
    broken(&world, 0, true).await;
    let letter = async |words: &str| {
        wait_for(words, LATER, async || {
            let letters = letters.lock().expect("nobody panics with it").clone();
            letters.iter().find(|letter| letter.contains(words)).cloned().ok_or(letters)
        })
        .await
    };
    let header = |letter: &str, name: &str| {
        letter.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let asks = letter("  regreen approve ").await;
    assert!(asks.contains("What would be done:") && asks.contains("restart: http.request on one"), "{asks}");
    assert_eq!(header(&asks, "Subject:").as_deref(), Some("restart on one"));
    // What is to be typed stands in it.
    let run = header(&asks, "  regreen deny").expect("the command");
    says(&world.cli(&["deny", &run, "--reason", "not today"]), 0, "denied");
    world.ended("denied").await;
    let end = letter("denied: ").await;
    assert!(end.contains("local said no: not today"), "{end}");
    let all = letters.lock().expect("nobody panics with it").clone();
    let first = header(&all[0], "Message-ID:").expect("an id");
    assert!(all.len() >= 3 && header(&all[0], "In-Reply-To:").is_none(), "{all:#?}");
    for letter in &all[1..] {
        assert_eq!(header(letter, "In-Reply-To:"), Some(first.clone()), "{all:#?}");
    }
    assert_eq!(world.services[0].calls(), 0);
}

#[tokio::test]
async fn a_secret_that_is_missing_keeps_people_from_hearing_and_nothing_else() {
    let nats = Nats::start().await;
    let slack = Double::start().await;
    let mut world = World::new(|text| text.replace("escalate:", "notify: [ops]\nescalate:")).await;
    world.on(&nats.url());
    policy(&world, ", ops: {slack: \"#ops\"}", "{default: [local]}");
    let token = secret(&world, "slack.token", TOKEN);
    world.configure(&format!("  slack: {token}"));
    world.configure(&format!("slack: {{url: \"{}/api\"}}", slack.url()));
    world.start().await;
    // Fault 26.
    fs::remove_file(world.path().join("slack.token")).expect("there");
    broken(&world, 0, true).await;
    world.ended("repaired").await;
    let bus = vandal(&nats).await;
    recorded(&bus, "secret `slack`", 1).await;
    let tickets = messages(&bus, &bus.names.tickets()).await;
    let holders: Vec<_> =
        tickets.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert_eq!(tickets.len(), 1, "the repair's alone: it fails before the ticket: {holders:?}");
    assert_eq!(slack.asked().len(), 0, "nothing was said in its place");

    fs::write(world.path().join("slack.token"), TOKEN).expect("writable");
    let first = slack.heard("the first message", |_| true).await;
    assert_eq!(first.bearer, format!("Bearer {TOKEN}"), "it was read anew");
    slack.heard("the end", |asked| asked.body.to_string().contains("repaired")).await;
    assert_eq!(world.services[0].effects().len(), 1);
    // The secret went to the service, to Slack and to ingest, and lies nowhere.
    assert_eq!(holding(&bus, TOKEN).await, [""; 0]);
    let seen = holding(&bus, "notify.slack.open").await;
    assert!(seen.contains(&bus.names.decisions()), "whoever looks for it would see it: {seen:?}");
    assert!(!world.log().contains(TOKEN));
}

// Files.

/// Nothing of a folder in the engine's file: the set is brought by `apply`.
fn without_folder(fleet: &Fleet) {
    let file = fleet.world.path().join("engine-a.yaml");
    let text = fs::read_to_string(&file).expect("the file");
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("playbooks:")).collect();
    assert_eq!(kept.len() + 1, text.lines().count(), "{text}");
    fs::write(&file, kept.join("\n")).expect("writable");
}

#[tokio::test]
async fn files_are_applied_by_hand_and_a_cooldown_is_cleared_by_hand() {
    let mut fleet = Fleet::new(|text| text).await;
    without_folder(&fleet);
    fleet.start("engine-a");
    fleet.phase("engine-a", "ok").await;
    for part in ["ingest", "probe", "runner", "notifier"] {
        fleet.start(part);
    }
    fleet.takes_in().await;
    let world = &fleet.world;
    assert_eq!(world.fire("one").await, 200);
    decided(world, "feone00000000000", "[]").await;
    says(&world.cli(&["alerts", "list"]), 0, "no playbook matches");
    says(&world.cli(&["start", "restart", "--target", "one"]), 1, "no set of playbooks is in force");

    let set = world.set().display().to_string();
    says(&world.cli(&["apply", &set]), 2, "give --yes");
    says(&world.cli(&["start", "restart", "--target", "one"]), 1, "no set of playbooks is in force");
    let applied = world.cli(&["apply", "--yes", &set]);
    says(&applied, 0, "in force: 3 files");
    says(&applied, 0, &format!("+ {set}/policy.yaml"));
    fleet.works().await;
    world.services[0].break_health(500, true);
    world.ended("repaired").await;

    let file = world.set().join("playbook.yaml");
    let good = fs::read_to_string(&file).expect("the playbook");
    fs::write(&file, good.replace("mode: auto", "mode: reckless")).expect("written");
    let bad = world.cli(&["apply", "--yes", &set]);
    says(&bad, 1, "reckless");
    says(&bad, 1, "nothing was changed");
    fs::write(&file, good).expect("written");
    says(&world.cli(&["apply", "--yes", &set]), 0, "it is in force already");

    world.services[0].break_health(500, true);
    world.verdict("web/one", "down").await;
    assert_eq!(world.post(another("one"), TOKEN).await, 200);
    decided(world, "faone00000000000", "cooldown").await;
    says(&world.cli(&["clear-cooldown", "restart", "--target", "two"]), 1, "no run of it has ended there");
    assert_eq!(world.services[0].effects().len(), 1, "within the cooldown");
    says(&world.cli(&["clear-cooldown", "restart", "--target", "one"]), 0, "cleared");
    effects(world, 0, 2).await;
    world.verdict("web/one", "up").await;
}

/// `POST /-/reload`: status and words.
async fn reload(fleet: &Fleet) -> (u16, String) {
    let request = reqwest::Client::new().post(format!("{}/-/reload", fleet.url("engine-a")));
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

#[tokio::test]
async fn bad_files_are_refused_at_reload_and_at_the_start_and_runs_keep_theirs() {
    let mut fleet = Fleet::new(|text| text.replace("for: 1s, within: 20s", "for: 4s, within: 30s")).await;
    let file = fleet.world.set().join("playbook.yaml");
    let text = fs::read_to_string(&file).expect("the playbook");
    let (good, checks) = text.split_once("---\n").expect("two documents");
    fs::write(&file, good).expect("written");
    fs::write(fleet.world.set().join("checks.yaml"), checks).expect("written");
    for part in ["engine-a", "ingest", "probe", "runner", "notifier"] {
        fleet.start(part);
    }
    fleet.works().await;
    assert_eq!(reload(&fleet).await.0, 200);
    let bad = good.replace("mode: auto", "mode: reckless");
    fs::write(&file, &bad).expect("written");
    let (status, why) = reload(&fleet).await;
    assert!(status == 500 && why.contains("reckless") && why.contains("playbook.yaml"), "{status} {why}");
    let nothing = reqwest::Client::new().post(format!("{}/-/reload", fleet.url("ingest"))).send().await;
    assert_eq!(nothing.expect("an answer").status(), 404);

    // An engine that finds nothing good at its start goes on by what is in force.
    fleet.kill("engine-a");
    fleet.start("engine-a");
    fleet.logged("engine-a", "are refused, what the log has in force stays").await;
    fleet.works().await;
    broken(&fleet.world, 0, true).await;
    fleet.world.ended("repaired").await;
    assert_eq!(fleet.world.services[0].effects().len(), 1);
    fs::write(&file, good).expect("written");
    let (status, why) = reload(&fleet).await;
    assert_eq!(status, 200, "{why}");

    // Fault 24: the playbook goes in mid-run.
    broken(&fleet.world, 1, true).await;
    effects(&fleet.world, 1, 1).await;
    fs::remove_file(&file).expect("there");
    let (status, why) = reload(&fleet).await;
    assert_eq!(status, 200, "{why}");
    assert!(fleet.world.json(&["runs", "list"])[1]["result"].is_null(), "it is under way");
    let runs = wait_for("the end of what was under way", Duration::from_secs(40), async || {
        let runs = fleet.world.json(&["runs", "list"]);
        if runs[1]["result"].is_string() { Ok(runs) } else { Err(runs) }
    })
    .await;
    assert_eq!((&runs[1]["target"], &runs[1]["result"]), (&json!("two"), &json!("repaired")), "{runs}");
    says(&fleet.world.cli(&["start", "restart", "--target", "two"]), 1, "there is no such playbook");
    fleet.world.services[1].break_health(500, true);
    fleet.world.verdict("web/two", "down").await;
    assert_eq!(fleet.world.post(another("two"), TOKEN).await, 200);
    decided(&fleet.world, "fatwo00000000000", "[]").await;
    assert_eq!(fleet.world.services[1].effects().len(), 1, "it is not in force any more");
}
