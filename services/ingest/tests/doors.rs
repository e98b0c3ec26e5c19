//! The doors of ingest against a real nats-server: TLS, both kinds of credentials, Slack's signature, and 503 while NATS is
//! away.

use std::{sync::mpsc, time::Duration};

use regreen_bus::{
    Bus, connect,
    rights::Role,
    streams::{self, Sizing},
    writer::Writer,
};
use regreen_kit::{config::Config, health::Health, shutdown};
use regreen_schemas::{Domain, Timestamp, subject::FactKind};
use regreen_testkit::{Nats, init_tls, wait_for};

const BODY: &str = r#"{"version":"4","receiver":"r","alerts":[{"status":"firing","labels":{"alertname":"A"},"annotations":{},
    "startsAt":"2026-11-20T11:45:23Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"c5ffedcb9d39b69c"}]}"#;

#[tokio::test]
async fn tls_with_bearer_and_basic_and_503_while_nats_is_away() {
    init_tls();
    let mut nats = Nats::start().await;
    let options = connect::Options {
        url: nats.url(),
        domain: Domain::from("default"),
        user: "ingest".into(),
        seed: None,
    };
    let bus = Bus::connect(&options).await.expect("a connection");
    streams::init(&bus, Sizing { replicas: 1, bytes: 100_000_000 }, Timestamp(1), false)
        .await
        .expect("streams");

    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    let (cert, key) =
        (write("cert.pem", &pair.cert.pem()), write("key.pem", &pair.signing_key.serialize_pem()));
    let (token, password) = (write("token", "t0ken\n"), write("password", "pässword\n"));
    let text = format!(
        "auth:\n  alertmanager: {{bearer: {{file: {token}}}}}\n  legacy: {{basic: {{user: am, password: {{file: {password}}}}}}}\ntls: {{cert: {cert}, key: {key}}}\n"
    );
    let config = Config::read(&write("config.yaml", &text).into()).expect("a configuration");

    let app = regreen_ingest::router(&bus, &config, &Health::default()).expect("credentials");
    let (trigger, shutdown) = shutdown::channel();
    let (bound, address) = mpsc::channel();
    let tls = config.tls.clone();
    let serving = tokio::spawn(async move {
        let tell = move |address| bound.send(address).expect("the test waits");
        let listen = "127.0.0.1:0".parse().expect("an address");
        regreen_ingest::serve(app, listen, tls.as_ref(), tell, shutdown).await
    });
    let address = tokio::task::spawn_blocking(move || address.recv_timeout(Duration::from_secs(10)))
        .await
        .expect("no panic")
        .expect("it is bound");
    let root = reqwest::Certificate::from_pem(pair.cert.pem().as_bytes()).expect("a certificate");
    let client = reqwest::Client::builder().tls_certs_only([root]).build().expect("a client");
    let url = format!("https://localhost:{}/webhooks/alertmanager", address.port());
    let status = async |request: reqwest::RequestBuilder| {
        request.body(BODY).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(status(client.post(&url).bearer_auth("t0ken")).await, 200);
    assert_eq!(status(client.post(&url).basic_auth("am", Some("pässword"))).await, 200);
    assert_eq!(status(client.post(&url).basic_auth("am", Some("t0ken"))).await, 401);
    assert_eq!(status(client.post(&url).bearer_auth("t0ken2")).await, 401);
    assert_eq!(status(client.post(&url)).await, 401);
    let plain = reqwest::Client::new().post(url.replace("https", "http")).body(BODY).send().await;
    assert!(
        plain.is_err() || plain.is_ok_and(|answer| !answer.status().is_success()),
        "no plain text beside TLS"
    );
    let stored = streams::extent(&bus, bus.names.facts()).await.expect("FACTS").last;
    assert_eq!(stored, 2, "what was answered 200 is stored, and nothing else");
    let sources: Vec<String> = [bus.names.fact(FactKind::Alerts, "legacy")].into();
    let stream = bus.nats().js.get_stream_no_info(bus.names.facts()).await.expect("FACTS");
    let newest = stream.get_last_raw_message_by_subject(&sources[0]).await.expect("a fact");
    assert_eq!(newest.sequence, 2, "the credential's name is the source");

    nats.kill();
    assert_eq!(status(client.post(&url).bearer_auth("t0ken")).await, 503, "not stored is not accepted");
    trigger.end();
    serving.await.expect("no panic").expect("it ends well");
}

#[tokio::test]
async fn facts_that_are_nearly_full_take_no_alerts() {
    init_tls();
    let nats = Nats::start().await;
    let options = connect::Options::of(&Role::Ingest, nats.url(), Domain::from("default"), None);
    let bus = Bus::connect(&options).await.expect("a connection");
    streams::init(&bus, Sizing { replicas: 1, bytes: 10_000_000 }, Timestamp(1), false)
        .await
        .expect("streams");
    let app = regreen_ingest::router(&bus, &Config::default(), &Health::default()).expect("no credentials");
    let (_trigger, shutdown) = shutdown::channel();
    let (bound, address) = mpsc::channel();
    tokio::spawn(async move {
        let tell = move |address| bound.send(address).expect("the test waits");
        let listen = "127.0.0.1:0".parse().expect("an address");
        regreen_ingest::serve(app, listen, None, tell, shutdown).await
    });
    let address = tokio::task::spawn_blocking(move || address.recv_timeout(Duration::from_secs(10)))
        .await
        .expect("no panic")
        .expect("it is bound");
    let url = format!("http://{address}/webhooks/alertmanager");
    let post = async || {
        let answer = reqwest::Client::new().post(&url).body(BODY).send().await.expect("an answer");
        answer.status().as_u16()
    };
    assert_eq!(post().await, 200);
    // Four of ten megabytes are FACTS': operators fill most of it.
    let operator = Writer::start(&bus, FactKind::Operator, "ana", Duration::from_secs(5));
    let long = "x".repeat(200_000);
    for _ in 0..17 {
        operator.store(&long).await.expect("stored");
    }
    wait_for("503", Duration::from_secs(20), async || {
        let status = post().await;
        if status == 503 { Ok(()) } else { Err(status) }
    })
    .await;
    operator.store(&"still here").await.expect("others still get in");
}

/// A click on Approve, signed at this moment.
fn click(client: &reqwest::Client, url: &str, secret: &[u8]) -> reqwest::RequestBuilder {
    use hmac::Mac as _;
    let value = r#"{"run":"r1","instance":"guard","plan_hash":"h"}"#;
    let payload = serde_json::json!({
        "type": "block_actions", "user": {"id": "U1"},
        "actions": [{"action_id": "regreen_approve", "value": value}],
    });
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish();
    let sent = regreen_kit::clock::wall().0 / 1000;
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret).expect("a key");
    mac.update(format!("v0:{sent}:{body}").as_bytes());
    let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    client
        .post(url)
        .header("x-slack-request-timestamp", sent)
        .header("x-slack-signature", format!("v0={signature}"))
        .body(body)
}

#[tokio::test]
async fn a_click_is_stored_before_200_and_nothing_that_slack_did_not_sign() {
    init_tls();
    let mut nats = Nats::start().await;
    let options = connect::Options::of(&Role::Ingest, nats.url(), Domain::from("default"), None);
    let bus = Bus::connect(&options).await.expect("a connection");
    streams::init(&bus, Sizing { replicas: 1, bytes: 100_000_000 }, Timestamp(1), false)
        .await
        .expect("streams");
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let text = format!("slack: {{signing_secret: {{file: {}}}}}\n", write("signing", "s1gning\n"));
    let config = Config::read(&write("config.yaml", &text).into()).expect("a configuration");
    let (_trigger, shutdown) = shutdown::channel();
    let serve = async |config: &Config| {
        let app = regreen_ingest::router(&bus, config, &Health::default()).expect("a secret");
        let (bound, address) = tokio::sync::oneshot::channel();
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            let tell = move |address| bound.send(address).expect("the test waits");
            let listen = "127.0.0.1:0".parse().expect("an address");
            regreen_ingest::serve(app, listen, None, tell, shutdown).await
        });
        format!("http://{}/v1/slack/actions", address.await.expect("it is bound"))
    };
    let (url, closed) = (serve(&config).await, serve(&Config::default()).await);
    let client = reqwest::Client::new();
    let status =
        async |request: reqwest::RequestBuilder| request.send().await.expect("an answer").status().as_u16();
    assert_eq!(status(click(&client, &url, b"s1gning")).await, 200);
    assert_eq!(status(click(&client, &url, b"another")).await, 401);
    assert_eq!(status(click(&client, &url, b"s1gning").body("payload=%7B%7D")).await, 401);
    assert_eq!(status(client.post(&url).body("payload=%7B%7D")).await, 401);
    assert_eq!(status(click(&client, &url, b"s1gning").body("x".repeat(64 * 1024 + 1))).await, 413);
    assert_eq!(status(click(&client, &closed, b"s1gning")).await, 404, "nothing is taken unasked");

    let stored = streams::extent(&bus, bus.names.facts()).await.expect("FACTS").last;
    assert_eq!(stored, 1, "what was answered 200 is stored, and nothing else");
    let stream = bus.nats().js.get_stream_no_info(bus.names.facts()).await.expect("FACTS");
    let subject = bus.names.fact(FactKind::Operator, "slack");
    let newest = stream.get_last_raw_message_by_subject(&subject).await.expect("a fact");
    let items = regreen_schemas::fact::decode(FactKind::Operator, &newest.payload).expect("a fact");
    let approve = regreen_schemas::fact::Operator::Approve {
        run: "r1".into(),
        instance: "guard".into(),
        plan_hash: "h".into(),
        user: Some("U1".into()),
    };
    assert_eq!(items, [regreen_schemas::fact::Item::Operator(approve)]);

    nats.kill();
    let began = std::time::Instant::now();
    assert_eq!(status(click(&client, &url, b"s1gning")).await, 503, "not stored is not accepted");
    assert!(began.elapsed() < Duration::from_secs(3), "Slack waits no longer");
}
