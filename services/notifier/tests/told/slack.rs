//! Slack.

use regreen_kit::channels::{Channels, SlackApi};
use regreen_schemas::{
    RunId, Span,
    action::TellVerb,
    fact::Verb,
    message::{Ask, Message, Tone},
};
use regreen_testkit::Contract;
use serde_json::{Value, json};

use crate::{
    NASTY, SECRET, asking, class, command,
    double::{Answer, Asked, Double, cut_after, nobody},
    message, tell,
};

fn channels(url: &str) -> Channels {
    Channels { slack: SlackApi { url: format!("{url}/api") }, ..Channels::default() }
}

fn to() -> Value {
    json!({"channel": "#ops", "token": {"secret": "known"}})
}

fn done() -> Answer {
    (200, None, json!({"ok": true, "channel": "C123ABC456", "ts": "1503435956.000247"}))
}

fn says(error: &str) -> Answer {
    (200, None, json!({"ok": false, "error": error}))
}

fn opened() -> Option<Value> {
    Some(json!({"channel": "C123ABC456", "ts": "1503435956.000247"}))
}

/// Tells it, and holds every request against the contract.
async fn told(
    verb: TellVerb,
    message: &Message,
    opened: Option<Value>,
    answers: impl IntoIterator<Item = Answer>,
) -> (Verb, Vec<Asked>) {
    let double = Double::start(answers).await;
    let done = tell(&channels(&double.url()), &command("slack", verb, &to(), message, opened)).await;
    let contract = Contract::load("slack.openapi.json");
    for asked in double.asked() {
        assert_eq!(contract.request("POST", &asked.path, Some(&asked.body)), Ok(()));
        assert_eq!(asked.header("authorization"), format!("Bearer {SECRET}"));
    }
    (done, double.asked())
}

fn paths(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.path.as_str()).collect()
}

fn kinds(asked: &Asked) -> Vec<&str> {
    asked.body["blocks"]
        .as_array()
        .expect("blocks")
        .iter()
        .filter_map(|block| block["type"].as_str())
        .collect()
}

#[tokio::test]
async fn an_approval_is_asked_with_buttons_and_the_command_line_beside_them() {
    let (verb, asked) = told(TellVerb::Open, &asking(), None, [done()]).await;
    assert_eq!(verb, Verb::Ok { result: json!({"channel": "C123ABC456", "ts": "1503435956.000247"}) });
    assert_eq!(paths(&asked), ["/api/chat.postMessage"]);
    assert_eq!(kinds(&asked[0]), ["header", "section", "section", "section", "actions", "context"]);
    let body = &asked[0].body;
    assert_eq!((&body["channel"], &body["unfurl_links"]), (&json!("#ops"), &json!(false)));
    let text = body["blocks"].to_string();
    for part in
        ["• restart a2", "• verify a2", "regreen approve run1", "regreen deny run1", "oncall", "2023-11-14"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let buttons = body["blocks"][4]["elements"].as_array().expect("buttons");
    let ids: Vec<_> = buttons.iter().map(|button| button["action_id"].as_str().unwrap_or_default()).collect();
    assert_eq!(ids, ["regreen_approve", "regreen_deny"]);
    for button in buttons {
        let value: Value = serde_json::from_str(button["value"].as_str().expect("text")).expect("JSON");
        assert_eq!(value, json!({"run": "run1", "instance": "guard", "plan_hash": "hash"}));
    }
}

#[tokio::test]
async fn an_update_edits_the_first_message_and_what_is_new_is_a_reply() {
    for verb in [TellVerb::Update, TellVerb::Close] {
        let (done, asked) = told(verb, &message(Tone::Good), opened(), [done(), done()]).await;
        assert_eq!(done, Verb::Ok { result: opened().expect("there") });
        assert_eq!(paths(&asked), ["/api/chat.update", "/api/chat.postMessage"]);
        let (edit, reply) = (&asked[0].body, &asked[1].body);
        assert_eq!((&edit["channel"], &edit["ts"]), (&json!("C123ABC456"), &json!("1503435956.000247")));
        assert_eq!(edit["blocks"][0]["text"]["text"], json!("✅ es-node-lost on a2"));
        assert!(!edit.to_string().contains("restart began"), "{edit}");
        assert_eq!(
            (&reply["channel"], &reply["thread_ts"]),
            (&json!("C123ABC456"), &json!("1503435956.000247"))
        );
        assert_eq!(reply["text"], json!("restart began\nit answers again"));
    }
    let quiet = Message { news: Vec::new(), ..message(Tone::Working) };
    let (_, asked) = told(TellVerb::Update, &quiet, opened(), [done()]).await;
    assert_eq!(paths(&asked), ["/api/chat.update"]);
}

#[tokio::test]
async fn what_can_not_be_edited_is_posted_with_its_news() {
    let (verb, asked) = told(TellVerb::Update, &message(Tone::Bad), None, [done()]).await;
    assert_eq!((class(&verb).0, paths(&asked)), ("ok", vec!["/api/chat.postMessage"]));
    assert!(asked[0].body["blocks"].to_string().contains("restart began"));
    // What another build's `open` came back with.
    let (_, asked) = told(TellVerb::Close, &message(Tone::Bad), Some(json!({})), [done()]).await;
    assert_eq!(paths(&asked), ["/api/chat.postMessage"]);
    let gone = [says("message_not_found"), done()];
    let (verb, asked) = told(TellVerb::Close, &message(Tone::Bad), opened(), gone).await;
    assert_eq!((class(&verb).0, paths(&asked)), ("ok", vec!["/api/chat.update", "/api/chat.postMessage"]));
}

#[tokio::test]
async fn labels_are_never_code_and_nothing_is_longer_than_slack_takes() {
    let long = |text: &str| text.repeat(20_000 / text.len());
    let ask = Ask {
        plan: (0..200).map(|n| format!("{n} {}", long(NASTY)).into()).collect(),
        by: NASTY.into(),
        ..asking().ask.expect("it asks")
    };
    let nasty = Message {
        title: long(NASTY).into(),
        text: long("<&>").into(),
        news: (0..200).map(|n| format!("{n} {}", long("<@U1> 🔧")).into()).collect(),
        run: Some(RunId::from(NASTY)),
        ask: Some(ask),
        ..message(Tone::Asking)
    };
    let (verb, asked) = told(TellVerb::Open, &nasty, None, [done()]).await;
    assert_eq!(class(&verb).0, "ok");
    let (_, edited) = told(TellVerb::Update, &nasty, opened(), [done(), done()]).await;
    for asked in asked.iter().chain(&edited) {
        let text = asked.body.to_string();
        assert!(!text.contains('<') && !text.contains('>'), "{text}");
    }
    let huge = Ask { plan_hash: "x".repeat(2001).into(), ..asking().ask.expect("it asks") };
    let (_, asked) = told(TellVerb::Open, &Message { ask: Some(huge), ..asking() }, None, [done()]).await;
    assert!(!kinds(&asked[0]).contains(&"actions"), "no button for what it can't carry");
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    for (answer, wanted, word) in [
        (says("ratelimited"), "transient", "ratelimited"),
        (says("rate_limited"), "transient", "rate_limited"),
        (says("internal_error"), "transient", "internal_error"),
        (says("fatal_error"), "transient", "fatal_error"),
        (says("service_unavailable"), "transient", "service_unavailable"),
        (says("channel_not_found"), "permanent", "channel_not_found"),
        (says("invalid_auth"), "permanent", "invalid_auth"),
        (says("invalid_blocks\r\nx"), "permanent", "invalid_blocks x"),
        ((200, None, json!({"ok": false})), "permanent", "Slack"),
        ((200, None, json!("ok")), "unknown", "read"),
        ((200, None, json!({"ok": true, "pad": "x".repeat(70_000)})), "unknown", "read"),
        ((500, None, json!({})), "transient", "500"),
        ((404, None, json!({})), "permanent", "404"),
        ((302, None, json!({})), "permanent", "302"),
    ] {
        let (verb, _) = told(TellVerb::Open, &message(Tone::Bad), None, [answer.clone()]).await;
        let (class, reason) = class(&verb);
        assert_eq!(class, wanted, "{answer:?}: {reason}");
        assert!(reason.contains(word) && !reason.contains('\n') && !reason.contains(SECRET), "{reason}");
    }
    let limited = (429, Some(30), json!({"ok": false, "error": "ratelimited"}));
    let (verb, _) = told(TellVerb::Open, &message(Tone::Bad), None, [limited]).await;
    let Verb::Failed { retry_after, .. } = &verb else { panic!("{verb:?}") };
    assert_eq!((class(&verb).0, *retry_after), ("transient", Some(Span::seconds(30))));
    // The edit took place, the reply did not: all of it is sent again.
    let half = [done(), says("internal_error")];
    let (verb, _) = told(TellVerb::Update, &message(Tone::Bad), opened(), half).await;
    assert_eq!(class(&verb).0, "transient");
}

#[tokio::test]
async fn what_never_left_is_known_and_what_was_lost_is_not() {
    let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{\"ok\":";
    for (url, wanted) in
        [(nobody().await, "transient"), (cut_after("").await, "unknown"), (cut_after(half).await, "unknown")]
    {
        let command = command("slack", TellVerb::Open, &to(), &message(Tone::Bad), None);
        let verb = tell(&channels(&url), &command).await;
        assert_eq!(class(&verb).0, wanted, "{verb:?}");
    }
}
