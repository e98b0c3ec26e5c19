//! PagerDuty.

use regreen_kit::channels::{Channels, PagerDuty};
use regreen_schemas::{
    Span,
    action::TellVerb,
    fact::Verb,
    message::{Message, Tone},
};
use regreen_testkit::contract::{hold, schema};
use serde_json::{Value, json};

use crate::{
    NASTY, SECRET, asking, class, command,
    double::{Answer, Double, cut_after, nobody},
    message, tell,
};

fn channels(url: &str) -> Channels {
    Channels { pagerduty: PagerDuty { url: url.into() }, ..Channels::default() }
}

fn to() -> Value {
    json!({"key": {"secret": "known"}})
}

/// Tells it, and holds the event against the contract.
async fn told(verb: TellVerb, message: &Message, answer: Answer) -> (Verb, Value) {
    let double = Double::start([answer]).await;
    let done = tell(&channels(&double.url()), &command("pagerduty", verb, &to(), message, None)).await;
    let asked = double.asked();
    assert_eq!((asked.len(), asked[0].path.as_str()), (1, "/v2/enqueue"));
    assert_eq!(hold(&schema("pagerduty-events-v2.schema.json"), &asked[0].body), Ok(()));
    (done, asked[0].body.clone())
}

fn accepted() -> Answer {
    (202, None, json!({"status": "success", "message": "Event processed", "dedup_key": "episode-1"}))
}

#[tokio::test]
async fn an_alert_is_triggered_acknowledged_and_resolved_under_one_key() {
    for (verb, tone, action, severity) in [
        (TellVerb::Open, Tone::Working, "trigger", "warning"),
        (TellVerb::Open, Tone::Bad, "trigger", "critical"),
        (TellVerb::Update, Tone::Working, "acknowledge", ""),
        (TellVerb::Update, Tone::Bad, "trigger", "critical"),
        (TellVerb::Close, Tone::Good, "resolve", ""),
        (TellVerb::Close, Tone::Bad, "trigger", "critical"),
    ] {
        let (done, event) = told(verb, &message(tone), accepted()).await;
        assert_eq!(done, Verb::Ok { result: json!({"dedup_key": "episode-1"}) });
        assert_eq!(
            (&event["event_action"], &event["dedup_key"], &event["routing_key"]),
            (&json!(action), &json!("episode-1"), &json!(SECRET))
        );
        assert_eq!(event["payload"]["severity"].as_str().unwrap_or_default(), severity);
    }
}

#[tokio::test]
async fn a_page_says_what_it_is_about_and_how_to_answer() {
    let (_, event) = told(TellVerb::Open, &asking(), accepted()).await;
    let payload = &event["payload"];
    assert_eq!(payload["summary"], json!("es-node-lost on a2: a2 does not answer; restarting it"));
    assert_eq!(payload["source"], json!("regreen/test"));
    let details = &payload["custom_details"];
    assert_eq!((&details["run"], &details["ask"]["plan"][0]), (&json!("run1"), &json!("restart a2")));
    assert!(details["ask"]["answer"].as_str().is_some_and(|answer| answer.contains("regreen approve run1")));
}

#[tokio::test]
async fn nothing_is_longer_than_it_takes() {
    let long = NASTY.repeat(500);
    let message = Message {
        title: long.as_str().into(),
        text: long.as_str().into(),
        thread: long.as_str().into(),
        news: (0..500).map(|_| long.as_str().into()).collect(),
        ..asking()
    };
    let (done, event) = told(TellVerb::Open, &message, accepted()).await;
    assert_eq!(class(&done).0, "ok");
    assert!(event.to_string().len() < 512_000, "a whole event has a bound too");
    assert!(!event["payload"]["summary"].to_string().contains("\\n"));
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    let wrong = json!({"status": "invalid event", "message": "Event object is invalid",
        "errors": [format!("'{SECRET}' is no key"), "x"]});
    for (answer, wanted, word) in [
        ((400, None, wrong), "permanent", "'[key]' is no key; x"),
        ((429, Some(120), json!({})), "transient", "429"),
        ((500, None, json!({})), "transient", "500"),
        ((503, None, json!({})), "transient", "503"),
        ((404, None, json!({})), "permanent", "404"),
    ] {
        let (verb, _) = told(TellVerb::Open, &message(Tone::Bad), answer).await;
        let (class, reason) = class(&verb);
        assert!(class == wanted && reason.contains(word) && !reason.contains(SECRET), "{verb:?}");
        let Verb::Failed { retry_after, .. } = verb else { panic!("{verb:?}") };
        assert_eq!(retry_after, (word == "429").then_some(Span::seconds(120)));
    }
    for (url, wanted) in [(nobody().await, "transient"), (cut_after("").await, "unknown")] {
        let command = command("pagerduty", TellVerb::Open, &to(), &message(Tone::Bad), None);
        let verb = tell(&channels(&url), &command).await;
        assert_eq!(class(&verb).0, wanted, "{verb:?}");
    }
}
