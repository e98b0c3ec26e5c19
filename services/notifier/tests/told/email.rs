//! E-mail.

use regreen_kit::channels::{Channels, Smtp};
use regreen_schemas::{
    action::TellVerb,
    fact::Verb,
    message::{Message, Tone},
};
use serde_json::{Value, json};

use crate::{
    NASTY, asking, class, command, message,
    sink::{Script, Sink, TAKES},
    tell,
};

const FROM: &str = "Regreen <regreen@example.com>";

fn channels(port: u16, rest: Value) -> Channels {
    let mut smtp = json!({"host": "127.0.0.1", "port": port, "tls": "none", "from": FROM});
    if let (Some(smtp), Value::Object(rest)) = (smtp.as_object_mut(), rest) {
        smtp.extend(rest);
    }
    let smtp: Smtp = serde_json::from_value(smtp).expect("shaped");
    Channels { smtp: Some(smtp), ..Channels::default() }
}

async fn told(
    script: Script,
    verb: TellVerb,
    to: &Value,
    message: &Message,
    opened: Option<Value>,
) -> (Verb, Vec<String>) {
    let sink = Sink::start(script).await;
    let verb = tell(&channels(sink.port, json!({})), &command("email", verb, to, message, opened)).await;
    (verb, sink.heard())
}

fn ops() -> Value {
    json!({"to": ["ops@example.com"]})
}

#[tokio::test]
async fn an_approval_is_asked_with_the_words_to_answer() {
    let to = json!({"to": ["Ops <ops@example.com>", "boss@example.com"], "from": "pager@example.org"});
    let (verb, heard) = told(TAKES, TellVerb::Open, &to, &asking(), None).await;
    assert_eq!(verb, Verb::Ok { result: json!({"message_id": "<regreen.key1@example.org>"}) });
    for line in [
        "MAIL FROM:<pager@example.org>",
        "RCPT TO:<ops@example.com>",
        "RCPT TO:<boss@example.com>",
        "Subject: es-node-lost on a2",
        "Message-ID: <regreen.key1@example.org>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "a2 does not answer; restarting it",
        "- restart a2",
        "  regreen approve run1",
        "  regreen deny run1",
        "Run run1: `regreen explain run1`",
    ] {
        assert!(heard.iter().any(|heard| heard == line), "{line}: {heard:#?}");
    }
    assert!(!heard.iter().any(|line| line.starts_with("In-Reply-To")));
}

#[tokio::test]
async fn what_follows_is_of_the_same_thread() {
    let opened = Some(json!({"message_id": "<regreen.first@example.com>"}));
    let (verb, heard) = told(TAKES, TellVerb::Update, &ops(), &message(Tone::Good), opened).await;
    assert_eq!(verb, Verb::Ok { result: json!({"message_id": "<regreen.first@example.com>"}) });
    for line in [
        "In-Reply-To: <regreen.first@example.com>",
        "References: <regreen.first@example.com>",
        "- it answers again",
    ] {
        assert!(heard.iter().any(|heard| heard == line), "{line}: {heard:#?}");
    }
    let forged = Some(json!({"message_id": "<a@b>\r\nBcc: <all@example.com>"}));
    let (_, heard) = told(TAKES, TellVerb::Update, &ops(), &message(Tone::Good), forged).await;
    assert!(
        !heard.iter().any(|line| line.starts_with("Bcc") || line.starts_with("In-Reply-To")),
        "{heard:#?}"
    );
}

#[tokio::test]
async fn a_label_ends_no_header_and_no_letter() {
    let nasty = Message {
        title: NASTY.into(),
        text: "first\r\n.\r\nMAIL FROM:<evil@example.com>\r\n\0\u{1b}[31m".into(),
        ..message(Tone::Bad)
    };
    let (verb, heard) = told(TAKES, TellVerb::Open, &ops(), &nasty, None).await;
    assert_eq!(class(&verb).0, "ok");
    assert!(!heard.iter().any(|line| line.starts_with("Bcc")), "{heard:#?}");
    assert_eq!(heard.iter().filter(|line| *line == ".").count(), 1, "{heard:#?}");
    let subject = heard.iter().find(|line| line.starts_with("Subject")).expect("a subject");
    assert!(subject.contains("web <!channel> &"), "{subject}");
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    let mixed: fn(&str) -> &'static str =
        |line| if line.contains("boss") { "550 5.1.1 no such user\r\n" } else { "250 ok\r\n" };
    for (script, wanted, word) in [
        (TAKES, "ok", ""),
        (Script { rcpt: |_| "451 4.7.1 greylisted\r\n", ..TAKES }, "transient", "greylisted"),
        (Script { rcpt: |_| "550 5.1.1 no such user\r\n", ..TAKES }, "permanent", "no such user"),
        (Script { rcpt: mixed, ..TAKES }, "ok", ""),
        (Script { rcpt: |_| "", ..TAKES }, "transient", ""),
        (Script { data: "421 4.3.2 later\r\n", ..TAKES }, "transient", "later"),
        (Script { data: "", ..TAKES }, "transient", ""),
        (Script { end: "451 4.3.0 later\r\n", ..TAKES }, "transient", "later"),
        (Script { end: "554 5.6.0 no\r\n", ..TAKES }, "permanent", "no"),
        (Script { end: "", ..TAKES }, "unknown", "no answer after the e-mail"),
        (Script { ehlo: "421 4.3.2 closing\r\n", ..TAKES }, "transient", "closing"),
    ] {
        let to = json!({"to": ["ops@example.com", "boss@example.com"]});
        let (verb, _) = told(script, TellVerb::Open, &to, &message(Tone::Bad), None).await;
        let (class, reason) = class(&verb);
        assert!(class == wanted && reason.contains(word), "wanted {wanted} {word}: {verb:?}");
    }
    let to = json!({"to": ["ops@example.com", "boss@example.com"]});
    let (verb, _) =
        told(Script { rcpt: mixed, ..TAKES }, TellVerb::Open, &to, &message(Tone::Bad), None).await;
    let Verb::Ok { result } = verb else { panic!("{verb:?}") };
    assert_eq!(result["refused"], json!(["boss@example.com"]));
    let nobody =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let command = command("email", TellVerb::Open, &ops(), &message(Tone::Bad), None);
    let verb = tell(&channels(nobody, json!({})), &command).await;
    assert_eq!(class(&verb).0, "transient", "{verb:?}");
}

#[tokio::test]
async fn a_password_is_said_where_it_is_asked_for_and_nothing_in_clear_that_should_not_be() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("password");
    std::fs::write(&file, "pass\n").expect("written");
    let user = json!({"user": "user", "password": {"file": file}});
    let speaks = Script { ehlo: "250-sink\r\n250 AUTH PLAIN\r\n", auth: "235 2.7.0 good\r\n", ..TAKES };
    for (script, rest, wanted) in [
        (speaks, user.clone(), "ok"),
        (Script { auth: "535 5.7.8 wrong\r\n", ..speaks }, user.clone(), "permanent"),
        (Script { auth: "454 4.7.0 later\r\n", ..speaks }, user.clone(), "transient"),
        (TAKES, user, "permanent"),
        (TAKES, json!({"tls": "starttls"}), "permanent"),
    ] {
        let sink = Sink::start(script).await;
        let command = command("email", TellVerb::Open, &ops(), &message(Tone::Bad), None);
        let verb = tell(&channels(sink.port, rest.clone()), &command).await;
        assert_eq!(class(&verb).0, wanted, "{verb:?}");
        // "\0user\0pass".
        let said = sink.heard().iter().any(|line| line == "AUTH PLAIN AHVzZXIAcGFzcw==");
        assert_eq!(said, script.ehlo.contains("AUTH"), "{:?}", sink.heard());
        assert_eq!(sink.heard().iter().any(|line| line == "DATA"), wanted == "ok");
    }
}
