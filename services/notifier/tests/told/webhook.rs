//! A webhook.

use regreen_kit::channels::Channels;
use regreen_schemas::{Span, action::TellVerb, fact::Verb, message::Tone};
use serde_json::json;

use crate::{
    asking, class, command,
    double::{Double, cut_after, nobody},
    message, tell,
};

#[tokio::test]
async fn the_whole_message_goes_out_with_its_key() {
    for (verb, word) in [(TellVerb::Open, "open"), (TellVerb::Update, "update"), (TellVerb::Close, "close")] {
        let double = Double::start([(200, None, json!({}))]).await;
        let to = json!({"url": format!("{}/hook", double.url())});
        let done = tell(&Channels::default(), &command("webhook", verb, &to, &asking(), None)).await;
        assert_eq!(class(&done).0, "ok");
        let asked = double.asked();
        assert_eq!((asked[0].path.as_str(), asked[0].header("idempotency-key")), ("/hook", "key1"));
        let wanted = json!({
            "v": 1, "verb": word, "receiver": "people", "text": asking().text, "run": "run1", "key": "key1",
            "message": asking(),
        });
        assert_eq!(asked[0].body, wanted);
    }
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    let say = async |url: String| {
        let to = json!({"url": format!("{url}/path-that-is-a-secret")});
        tell(&Channels::default(), &command("webhook", TellVerb::Open, &to, &message(Tone::Bad), None)).await
    };
    for (status, retry_after) in [(404, None), (429, Some(7)), (302, None), (500, None)] {
        let double = Double::start([(status, retry_after, json!({}))]).await;
        let Verb::Failed { retry_after: waits, .. } = say(double.url()).await else { panic!("{status}") };
        assert_eq!(waits, retry_after.map(|seconds| Span::seconds(i64::from(seconds))));
    }
    for (url, wanted) in [(nobody().await, "transient"), (cut_after("").await, "unknown")] {
        let (class, reason) = class(&say(url).await);
        assert_eq!(class, wanted, "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
    }
}
