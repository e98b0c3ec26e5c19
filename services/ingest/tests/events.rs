//! The door for events against a real nats-server: who may post, what is stored, what is refused, and 503 while NATS is away.

use std::time::Duration;

use hmac::Mac as _;
use regreen_bus::{
    Bus, connect,
    rights::Role,
    streams::{self, Sizing},
    writer::Writer,
};
use regreen_kit::{config::Config, health::Health, shutdown};
use regreen_schemas::{
    Domain, Timestamp,
    fact::{self, Event, Item},
    subject::FactKind,
};
use regreen_testkit::{Nats, init_tls, wait_for};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// Ingest with three doors, and what its test needs.
struct Ingest {
    nats: Nats,
    bus: Bus,
    url: String,
    client: Client,
    _trigger: shutdown::Trigger,
    _dir: tempfile::TempDir,
}

impl Ingest {
    async fn start(bytes: i64) -> Self {
        init_tls();
        let nats = Nats::start().await;
        let options = connect::Options::of(&Role::Ingest, nats.url(), Domain::from("default"), None);
        let bus = Bus::connect(&options).await.expect("a connection");
        streams::init(&bus, Sizing { replicas: 1, bytes }, Timestamp(1), false).await.expect("streams");
        let dir = tempfile::tempdir().expect("a directory");
        let (secret, file) = (dir.path().join("secret"), dir.path().join("config.yaml"));
        std::fs::write(&secret, "s3cret\n").expect("a file");
        let value = format!("value: {{file: {}}}", secret.display());
        let text = format!(
            "events:\n  deploys: {{secret: ci, {value}}}\n  signed: {{secret: dc2, {value}, scheme: hmac-sha256}}\n  pushes: {{secret: hub, {value}, scheme: github}}\n"
        );
        std::fs::write(&file, text).expect("a file");
        let config = Config::read(&file).expect("a configuration");
        let app = regreen_ingest::router(&bus, &config, &Health::default()).expect("secrets");
        let (trigger, shutdown) = shutdown::channel();
        let (bound, address) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let tell = move |address| bound.send(address).expect("the test waits");
            let listen = "127.0.0.1:0".parse().expect("an address");
            regreen_ingest::serve(app, listen, None, tell, shutdown).await
        });
        let url = format!("http://{}/v1/events", address.await.expect("it is bound"));
        Self { nats, bus, url, client: Client::new(), _trigger: trigger, _dir: dir }
    }

    fn post(&self, path: &str) -> RequestBuilder {
        let json = "application/json";
        self.client.post(format!("{}/{path}", self.url)).header("content-type", json)
    }

    /// With the secret that `deploys` wants.
    fn deploy(&self) -> RequestBuilder {
        self.post("deploys").bearer_auth("s3cret")
    }

    async fn stored(&self) -> u64 {
        streams::extent(&self.bus, self.bus.names.facts()).await.expect("FACTS").last
    }

    async fn newest(&self, path: &str) -> Event {
        let stream = self.bus.nats().js.get_stream_no_info(self.bus.names.facts()).await.expect("FACTS");
        let subject = self.bus.names.fact(FactKind::Event, path);
        let newest = stream.get_last_raw_message_by_subject(&subject).await.expect("a fact");
        match fact::decode(FactKind::Event, &newest.payload).expect("a fact").as_slice() {
            [Item::Event(event)] => event.clone(),
            other => panic!("{other:?}"),
        }
    }
}

async fn told(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

fn signature(body: &str) -> String {
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"s3cret").expect("a key");
    mac.update(body.as_bytes());
    format!("sha256={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()))
}

fn event(path: &str, secret: &str, id: &str, kind: &str, source: &str, data: Value) -> Event {
    let [path, secret, id, kind, source] = [path, secret, id, kind, source].map(Into::into);
    Event { path, secret, id, kind, source, data }
}

#[tokio::test]
async fn an_event_is_stored_before_200_in_every_form_and_with_every_scheme() {
    let ingest = Ingest::start(100_000_000).await;
    let cloudevent =
        json!({"specversion": "1.0", "id": "1", "type": "deploy", "source": "/ci", "data": {"node": "a1"}});
    let structured = ingest
        .client
        .post(format!("{}/deploys", ingest.url))
        .bearer_auth("s3cret")
        .header("content-type", "application/cloudevents+json")
        .body(cloudevent.to_string());
    let again = structured.try_clone().expect("a body in memory");
    let binary = ingest
        .deploy()
        .header("ce-specversion", "1.0")
        .header("ce-id", "2")
        .header("ce-type", "deploy")
        .header("ce-source", "/ci")
        .body(r#"{"node":"a2"}"#);
    let signed = ingest
        .post("signed")
        .header("x-signature-256", signature(r#"{"n":3}"#))
        .header("idempotency-key", "3")
        .body(r#"{"n":3}"#);
    let github = ingest
        .post("pushes")
        .header("x-hub-signature-256", signature("{}"))
        .header("x-github-delivery", "72d3162e")
        .header("x-github-event", "push")
        .body("{}");
    for (seq, (request, wanted)) in (1..).zip([
        (structured, event("deploys", "ci", "1", "deploy", "/ci", json!({"node": "a1"}))),
        (binary, event("deploys", "ci", "2", "deploy", "/ci", json!({"node": "a2"}))),
        (signed, event("signed", "dc2", "3", "json", "", json!({"n": 3}))),
        (github, event("pushes", "hub", "72d3162e", "push", "", json!({}))),
        // Whoever posts it again has the same id stored again: readers know an event by it.
        (again, event("deploys", "ci", "1", "deploy", "/ci", json!({"node": "a1"}))),
    ]) {
        assert_eq!(told(request).await, (200, String::new()));
        assert_eq!((ingest.newest(&wanted.path).await, ingest.stored().await), (wanted, seq));
    }
}

#[tokio::test]
async fn nothing_is_stored_of_strangers_and_of_what_is_no_event() {
    let mut ingest = Ingest::start(100_000_000).await;
    let large = format!("\"{}\"", "x".repeat(16 * 1024));
    let other = ingest.post("signed").header("x-signature-256", signature("{}"));
    for (request, status, said) in [
        (ingest.post("nobody").bearer_auth("s3cret").body("{}"), 404, "not found"),
        (ingest.post("%ff").bearer_auth("s3cret").body("{}"), 404, "not found"),
        (ingest.post("Deploys").bearer_auth("s3cret").body("{}"), 404, "not found"),
        (ingest.post("deploys").body("{}"), 401, "wrong or no secret"),
        (ingest.post("deploys").bearer_auth("s3crets").body("no json"), 401, "wrong or no secret"),
        (ingest.post("deploys").bearer_auth("no").body("x".repeat(65 * 1024)), 401, "wrong or no secret"),
        (ingest.post("signed").bearer_auth("s3cret").body("{}"), 401, "wrong or no secret"),
        (other.body("[]"), 401, "wrong or no secret"),
        (ingest.deploy().body("no json"), 400, "the body is no JSON: expected ident at line 1 column 2"),
        (ingest.deploy().header("ce-id", "1").body("{}"), 400, "`ce-specversion` is missing"),
        (ingest.deploy().body(large), 413, "data of 16386 bytes; 16384 are taken"),
        (ingest.deploy().body("x".repeat(65 * 1024)), 413, "a body of more than 65536 bytes"),
        (ingest.post("signed").body("x".repeat(65 * 1024)), 413, "a body of more than 65536 bytes"),
    ] {
        assert_eq!(told(request).await, (status, format!("{said}\n")));
    }
    let batch = ingest.client.post(format!("{}/deploys", ingest.url)).bearer_auth("s3cret");
    let batch = batch.header("content-type", "application/cloudevents-batch+json").body("[]");
    let said = "CloudEvents' batch mode is not taken: send each event by itself\n";
    assert_eq!(told(batch).await, (415, said.into()));
    assert_eq!(ingest.stored().await, 0);

    ingest.nats.kill();
    let answer = ingest.deploy().body("{}").send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 503, "not stored is not accepted");
    assert!(answer.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn facts_that_are_nearly_full_take_no_events() {
    let ingest = Ingest::start(10_000_000).await;
    assert_eq!(told(ingest.deploy().body("{}")).await.0, 200);
    // Four of ten megabytes are FACTS': operators fill most of it.
    let operator = Writer::start(&ingest.bus, FactKind::Operator, "ana", Duration::from_secs(5));
    let long = "x".repeat(200_000);
    for _ in 0..17 {
        operator.store(&long).await.expect("stored");
    }
    wait_for("503", Duration::from_secs(20), async || {
        let (status, said) = told(ingest.deploy().body("{}")).await;
        if status == 503 && said.contains("nearly full") { Ok(()) } else { Err(status) }
    })
    .await;
}
