//! A click on a button of Slack's, from its bytes: whether Slack sent it, and what it answers. Nothing here asks a clock or
//! a network. A click that is good is no authority yet: who may answer is decided where the fact is read.

use std::{borrow::Cow, sync::Arc};

use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac as _};
use regreen_kit::channels::{APPROVE, DENY};
use regreen_schemas::{Instance, RunId, Timestamp};
use serde::Deserialize;
use sha2::Sha256;

/// A click that is older, or younger, is not taken: somebody may have kept it.
const AGE_SECONDS_MAX: u64 = 300;
/// Version of the signature; also what it begins with.
const VERSION: &str = "v0";
/// The longest id of a user that is taken for one.
const USER_MAX: usize = 64;

/// Why a click is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A header is missing or no number.
    #[error("X-Slack-Request-Timestamp is no time")]
    Timestamp,
    /// It is not of now.
    #[error("the request is not of these five minutes: compare this machine's clock")]
    Stale,
    /// Somebody else made it, or the secret is another.
    #[error("X-Slack-Signature is not made with our signing secret")]
    Signature,
    /// Not what Slack sends for a click.
    #[error("not the form that Slack sends for a click")]
    Form,
    /// A click on something else.
    #[error("not one of our buttons")]
    Foreign,
}

impl Why {
    /// Its name among metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::Stale => "stale",
            Self::Signature => "signature",
            Self::Form => "malformed",
            Self::Foreign => "foreign",
        }
    }
}

/// An answer to an approval, bound to the plan that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Click {
    /// Slack's id of who clicked.
    pub user: String,
    /// Approve or deny.
    pub approve: bool,
    /// The run.
    pub run: RunId,
    /// The step instance.
    pub instance: Instance,
    /// Hash of the plan.
    pub plan_hash: Arc<str>,
}

/// Whether Slack made this request, just now: HMAC-SHA256 over version, time and the raw body, compared in constant time.
///
/// # Errors
/// [`Why`].
pub fn verify(
    secret: &[u8],
    timestamp: &str,
    raw_body: &[u8],
    signature: &str,
    now: Timestamp,
) -> Result<(), Why> {
    let sent = timestamp.parse::<u32>().map_err(|_| Why::Timestamp)?;
    if now.0.div_euclid(1000).abs_diff(i64::from(sent)) > AGE_SECONDS_MAX {
        return Err(Why::Stale);
    }
    let hex = signature.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('='));
    let given = hex.and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok()).ok_or(Why::Signature)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| Why::Signature)?;
    for part in [VERSION.as_bytes(), b":", timestamp.as_bytes(), b":", raw_body] {
        mac.update(part);
    }
    mac.verify_slice(&given).map_err(|_| Why::Signature)
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    user: User,
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct User {
    id: String,
}

#[derive(Deserialize)]
struct Action {
    action_id: String,
    #[serde(default)]
    value: String,
}

/// What the notifier put into the button.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Value {
    run: RunId,
    instance: Instance,
    plan_hash: Arc<str>,
}

/// What the click says. Its body must have been verified.
///
/// # Errors
/// [`Why`].
pub fn answer(raw_body: &[u8]) -> Result<Click, Why> {
    let mut payloads = url::form_urlencoded::parse(raw_body).filter(|(key, _)| key == "payload");
    let (Some((_, text)), None) = (payloads.next(), payloads.next()) else { return Err(Why::Form) };
    let payload: Payload<'_> = serde_json::from_str(&text).map_err(|_| Why::Form)?;
    if payload.kind != "block_actions" {
        return Err(Why::Foreign);
    }
    // A person clicks one button at a time.
    let [action] = payload.actions.as_slice() else { return Err(Why::Form) };
    let approve = match action.action_id.as_str() {
        APPROVE => true,
        DENY => false,
        _ => return Err(Why::Foreign),
    };
    let user = payload.user.id;
    if user.is_empty() || user.len() > USER_MAX || !user.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(Why::Form);
    }
    let Value { run, instance, plan_hash } = serde_json::from_str(&action.value).map_err(|_| Why::Form)?;
    Ok(Click { user, approve, run, instance, plan_hash })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The vector that Slack publishes.
    const SECRET: &[u8] = b"8f742231b10e8888abcd99yyyzzz85a5";
    const SENT: &str = "1531420618";
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    #[test]
    fn only_slack_and_only_just_now() {
        let short = &SIGNATURE[..SIGNATURE.len() - 2];
        let upper = SIGNATURE.to_uppercase();
        let other = SIGNATURE.replace("v0=", "v1=");
        let body = BODY;
        let changed = BODY.replace("roadrunner", "coyote");
        let at = |seconds: i64| Timestamp((1_531_420_618 + seconds) * 1000);
        let good = Ok(());
        for (secret, sent, body, signature, now, wanted) in [
            (SECRET, SENT, body, SIGNATURE, at(0), good),
            (SECRET, SENT, body, SIGNATURE, at(300), good),
            (SECRET, SENT, body, SIGNATURE, at(-300), good),
            (SECRET, SENT, body, SIGNATURE, at(301), Err(Why::Stale)),
            (SECRET, SENT, body, SIGNATURE, at(-301), Err(Why::Stale)),
            (SECRET, SENT, body, SIGNATURE, Timestamp(i64::MIN), Err(Why::Stale)),
            (SECRET, SENT, body, SIGNATURE, Timestamp(i64::MAX), Err(Why::Stale)),
            (SECRET, "1531420619", body, SIGNATURE, at(0), Err(Why::Signature)),
            (SECRET, "+1531420618", body, SIGNATURE, at(0), Err(Why::Signature)),
            (SECRET, "", body, SIGNATURE, at(0), Err(Why::Timestamp)),
            (SECRET, "-1", body, SIGNATURE, at(0), Err(Why::Timestamp)),
            (SECRET, "99999999999999999999", body, SIGNATURE, at(0), Err(Why::Timestamp)),
            (SECRET, SENT, &changed, SIGNATURE, at(0), Err(Why::Signature)),
            (SECRET, SENT, "", SIGNATURE, at(0), Err(Why::Signature)),
            (b"another", SENT, body, SIGNATURE, at(0), Err(Why::Signature)),
            (SECRET, SENT, body, short, at(0), Err(Why::Signature)),
            (SECRET, SENT, body, &upper, at(0), Err(Why::Signature)),
            (SECRET, SENT, body, &other, at(0), Err(Why::Signature)),
            (SECRET, SENT, body, "", at(0), Err(Why::Signature)),
            (SECRET, SENT, body, "v0=", at(0), Err(Why::Signature)),
        ] {
            let verified = verify(secret, sent, body.as_bytes(), signature, now);
            assert_eq!(verified, wanted, "{sent} {signature} {now}");
        }
    }

    fn form(payload: &serde_json::Value) -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", &payload.to_string())
            .finish()
    }

    #[test]
    fn a_click_is_bound_to_run_instance_and_plan() {
        let value = json!({"run": "r1", "instance": "guard", "plan_hash": "h"}).to_string();
        let payload = |user: &str, actions: serde_json::Value| json!({"type": "block_actions", "user": {"id": user, "name": "ana"}, "team": {"id": "T1"}, "actions": actions});
        let button = |id: &str, value: &str| json!({"type": "button", "action_id": id, "value": value, "block_id": "b"});
        let click = |approve| {
            Ok(Click {
                user: "U1".into(),
                approve,
                run: RunId::from("r1"),
                instance: Instance::from("guard"),
                plan_hash: "h".into(),
            })
        };
        let approve = button(APPROVE, &value);
        let good = form(&payload("U1", json!([approve])));
        for (body, wanted) in [
            (good.clone(), click(true)),
            (form(&payload("U1", json!([button(DENY, &value)]))), click(false)),
            (form(&payload("U1", json!([button("open_docs", "")]))), Err(Why::Foreign)),
            (form(&json!({"type": "view_submission", "user": {"id": "U1"}})), Err(Why::Foreign)),
            (form(&payload("U1", json!([]))), Err(Why::Form)),
            (form(&payload("U1", json!([approve, approve]))), Err(Why::Form)),
            (form(&payload("U1", json!([button(APPROVE, r#"{"run":"r1"}"#)]))), Err(Why::Form)),
            (form(&payload("U1", json!([button(APPROVE, "")]))), Err(Why::Form)),
            (form(&payload("", json!([approve]))), Err(Why::Form)),
            (form(&payload("U1\n", json!([approve]))), Err(Why::Form)),
            (format!("{good}&{good}"), Err(Why::Form)),
            ("payload=".into(), Err(Why::Form)),
            ("payload=%7B".into(), Err(Why::Form)),
            (String::new(), Err(Why::Form)),
        ] {
            assert_eq!(answer(body.as_bytes()), wanted, "{body}");
        }
    }
}
