//! Each kind of receiver against a double on loopback: what it sends is held against the contracts of its API, and what it
//! makes of each answer is told in tables.

mod double;
mod email;
mod pagerduty;
mod sink;
mod slack;
mod webhook;

use std::{path::Path, sync::Arc};

use regreen_action::{Call, Refusal};
use regreen_kit::{channels::Channels, secrets::Secrets};
use regreen_schemas::{
    Instance, RunId, Span, Timestamp,
    action::{Effect, TellVerb, telling},
    command::{Command, Kind, Task},
    fact::{Failure, NotCalled, Verb},
    message::{Ask, Message, Tone},
};
use serde_json::{Value, json};

/// A routing key has 32 characters; every secret of these tests is this one.
const SECRET: &str = "s3cret00s3cret00s3cret00s3cret00";

/// What labels may hold at worst.
const NASTY: &str = "web <!channel> & <https://evil.example|ok>\r\nBcc: all@example.com";

fn message(tone: Tone) -> Message {
    Message {
        thread: "episode-1".into(),
        tone,
        title: "es-node-lost on a2".into(),
        text: "a2 does not answer; restarting it".into(),
        news: vec!["restart began".into(), "it answers again".into()],
        run: Some(RunId::from("run1")),
        ask: None,
    }
}

fn asking() -> Message {
    let ask = Ask {
        run: RunId::from("run1"),
        instance: Instance::from("guard"),
        plan_hash: "hash".into(),
        plan: vec!["restart a2".into(), "verify a2".into()],
        by: "oncall".into(),
        until: Timestamp(1_700_000_000_000),
    };
    Message { ask: Some(ask), news: Vec::new(), ..message(Tone::Asking) }
}

fn command(kind: &str, verb: TellVerb, to: &Value, message: &Message, opened: Option<Value>) -> Command {
    let declaration = telling(kind, verb).expect("declared");
    let mut params = json!({"receiver": "people", "to": to, "message": message});
    if let Some(opened) = opened {
        params["opened"] = opened;
    }
    Command {
        v: 1,
        run: RunId::from("run1"),
        instance: Instance::from("tell/people/0"),
        attempt: 1,
        task: Task {
            kind: Kind::Perform,
            action: declaration.name.into(),
            effect: Effect::Tell,
            zone: "main".into(),
            params: Arc::new(params),
            node: None,
            claim_by: Timestamp(0),
            timeout: Span::seconds(10),
        },
        action_key: "key1".into(),
        decision_seq: 1,
        stop_no: 1,
        trace: None,
    }
}

/// Makes it ready as the host would.
fn prepare(channels: &Channels, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    regreen_kit::init_tls();
    let folder = tempfile::tempdir().expect("a folder");
    let actions = regreen_notifier::actions(channels, secrets(folder.path()), "regreen/test").expect("good");
    let found = actions.iter().find(|action| action.declaration().name == command.task.action.as_ref());
    found.expect("served").prepare(command)
}

async fn tell(channels: &Channels, command: &Command) -> Verb {
    prepare(channels, command).expect("prepared").perform().await
}

fn secrets(folder: &Path) -> Secrets {
    let file = folder.join("secret");
    std::fs::write(&file, SECRET).expect("written");
    serde_json::from_value(json!({"known": {"file": file}})).expect("secrets")
}

/// The outcome in a word or two, with the reason.
fn class(verb: &Verb) -> (&'static str, String) {
    match verb {
        Verb::Ok { .. } => ("ok", String::new()),
        Verb::Failed { kind: Failure::Transient, reason, .. } => ("transient", reason.to_string()),
        Verb::Failed { kind: Failure::Permanent, reason, .. } => ("permanent", reason.to_string()),
        Verb::Unknown { reason } => ("unknown", reason.to_string()),
        Verb::NotCalled { .. } | Verb::Observed { .. } => ("other", String::new()),
    }
}

#[test]
fn every_declared_way_is_served_and_wrong_receivers_are_refused_without_their_secrets() {
    let channels = Channels::default();
    let known = json!({"secret": "known"});
    for (kind, to, wanted) in [
        ("log", json!({}), None),
        ("log", json!({"x": 1}), Some(NotCalled::Refused)),
        ("webhook", json!({"url": "https://example.com/hook"}), None),
        ("webhook", json!({"url": "ftp://example.com/hook"}), Some(NotCalled::Refused)),
        ("webhook", json!({"url": {"secret": "nobody"}}), Some(NotCalled::SecretMissing)),
        ("webhook", json!({"url": known}), Some(NotCalled::Refused)),
        ("slack", json!({"channel": "C1", "token": known}), None),
        ("slack", json!({"channel": "C1", "token": SECRET}), Some(NotCalled::Refused)),
        ("slack", json!({"webhook": known}), Some(NotCalled::Refused)),
        ("pagerduty", json!({"key": known}), None),
        ("pagerduty", json!({"key": SECRET}), Some(NotCalled::Refused)),
        ("email", json!({"to": ["ops@example.com"]}), Some(NotCalled::Refused)),
    ] {
        for verb in [TellVerb::Open, TellVerb::Update, TellVerb::Close] {
            let prepared = prepare(&channels, &command(kind, verb, &to, &message(Tone::Working), None));
            let refusal = prepared.err();
            assert_eq!(refusal.as_ref().map(|refusal| refusal.reason), wanted, "{kind} {to}");
            assert!(refusal.is_none_or(|refusal| !refusal.detail.contains(SECRET)), "{kind} {to}");
        }
    }
}

#[tokio::test]
async fn the_log_takes_everything() {
    let message = Message { title: NASTY.into(), ..asking() };
    let command = command("log", TellVerb::Open, &json!({}), &message, None);
    let done = tell(&Channels::default(), &command).await;
    assert_eq!(class(&done).0, "ok");
}

#[test]
fn what_it_speaks_through_is_checked_before_anything_starts() {
    regreen_kit::init_tls();
    let smtp = |text: &str| -> Channels {
        Channels { smtp: Some(serde_json::from_str(text).expect("shaped")), ..Channels::default() }
    };
    let slack = |url: &str| {
        let mut channels = Channels::default();
        channels.slack.url = url.into();
        channels
    };
    for (channels, wanted) in [
        (Channels::default(), None),
        (slack("slack.com"), Some("slack.url")),
        (slack("https://me:pass@slack.com/api"), Some("slack.url")),
        (smtp(r#"{"host": "mail.example.com", "from": "regreen@example.com"}"#), None),
        (smtp(r#"{"host": "mail.example.com", "from": "regreen"}"#), Some("smtp.from")),
        (smtp(r#"{"host": "", "from": "regreen@example.com"}"#), Some("smtp.host")),
        (smtp(r#"{"host": "h", "from": "a@b.c", "user": "me"}"#), Some("password")),
        (
            smtp(
                r#"{"host": "h", "from": "a@b.c", "tls": "none", "user": "me", "password": {"env": "PATH"}}"#,
            ),
            Some("loopback"),
        ),
        (
            smtp(r#"{"host": "h", "from": "a@b.c", "user": "me", "password": {"env": "REGREEN_NOT_SET"}}"#),
            Some("smtp"),
        ),
    ] {
        match (regreen_notifier::check(&channels), wanted) {
            (Ok(()), None) => {}
            (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
            (checked, wanted) => panic!("{checked:?}, wanted {wanted:?}"),
        }
    }
}
