//! `email`: plain text, one thread an episode. `to` is `{to: [address], from: address?}`. Its Message-ID is made from the
//! action key: what is sent twice has the same one.

mod relay;

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use futures::future::BoxFuture;
use lettre::{
    Message as Mail,
    message::{
        Mailbox, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};
use regreen_action::Refusal;
use regreen_kit::clock;
use regreen_schemas::fact::{Failure, Verb};
use serde::Deserialize;
use serde_json::json;

pub use relay::{Error, Relay, Wrong};

use crate::{
    http,
    tell::{Channel, Deliver, Told},
    text::{one_line, plain},
};

const SUBJECT_MAX: usize = 200;
const BODY_MAX: usize = 200_000;
const RECIPIENTS_MAX: usize = 50;
/// Longest Message-ID of a thread that is answered to.
const ID_MAX: usize = 255;

/// Sends through a relay, where one is configured.
pub struct Email(pub Option<Arc<Relay>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct To {
    to: Vec<String>,
    from: Option<String>,
}

/// What the first e-mail of the thread came back with.
#[derive(Deserialize)]
struct Opened {
    message_id: String,
}

struct Letter {
    relay: Arc<Relay>,
    mail: Mail,
    /// The thread's first e-mail: this one, where there was none.
    first: String,
}

/// An address that every relay takes; non-ASCII ones would need an extension of SMTP.
fn mailbox(text: &str) -> Result<Mailbox, Refusal> {
    let mailbox = text.parse::<Mailbox>().ok().filter(|mailbox| mailbox.email.to_string().is_ascii());
    mailbox.ok_or_else(|| Refusal::refused(format!("`{}` is no address of e-mail", one_line(text, ID_MAX))))
}

/// An id that can stand in a header.
fn is_id(id: &str) -> bool {
    id.len() <= ID_MAX && id.starts_with('<') && id.ends_with('>') && id.bytes().all(|b| b.is_ascii_graphic())
}

/// The same for every try.
fn id(action_key: &str, from: &Mailbox) -> String {
    let key: String = action_key.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("<regreen.{key}@{}>", from.email.domain())
}

impl Channel for Email {
    fn prepare(&self, told: &Told<'_>) -> Result<Box<dyn Deliver>, Refusal> {
        let to: To = told.to("`email: {to: [address, …]}`, with `from: address` if it is another")?;
        let relay = self
            .0
            .clone()
            .ok_or_else(|| Refusal::refused("no e-mail without `smtp:` in the notifier's file"))?;
        if to.to.is_empty() || to.to.len() > RECIPIENTS_MAX {
            return Err(Refusal::refused(format!("`to` has from 1 to {RECIPIENTS_MAX} addresses")));
        }
        let from = to.from.as_deref().map_or_else(|| Ok(relay.from.clone()), mailbox)?;
        let id = id(&told.command.action_key, &from);
        let written = u64::try_from(clock::wall().0).unwrap_or_default();
        let mut mail = Mail::builder()
            .from(from)
            .subject(one_line(&told.message().title, SUBJECT_MAX))
            .date(UNIX_EPOCH + Duration::from_millis(written))
            .message_id(Some(id.clone()));
        for address in &to.to {
            mail = mail.to(mailbox(address)?);
        }
        let opened = told.opened().filter(|opened: &Opened| is_id(&opened.message_id));
        if let Some(Opened { message_id }) = &opened {
            mail = mail.in_reply_to(message_id.clone()).references(message_id.clone());
        }
        let mut mail = mail
            .singlepart(SinglePart::plain(plain(told.message(), BODY_MAX)))
            .map_err(|error| Refusal::refused(format!("no e-mail can be made of it: {error}")))?;
        // Nobody's holiday note shall answer.
        let auto = HeaderName::new_from_ascii_str("Auto-Submitted");
        mail.headers_mut().insert_raw(HeaderValue::new(auto, "auto-generated".into()));
        let first = opened.map_or(id, |opened| opened.message_id);
        Ok(Box::new(Letter { relay, mail, first }))
    }
}

impl Deliver for Letter {
    fn deliver(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            match self.relay.send(&self.mail).await {
                Ok(refused) if refused.is_empty() => Verb::Ok { result: json!({"message_id": self.first}) },
                Ok(refused) => Verb::Ok { result: json!({"message_id": self.first, "refused": refused}) },
                Err(Error::Transient(why)) => http::failed(Failure::Transient, why),
                Err(Error::Permanent(why)) => http::failed(Failure::Permanent, why),
                Err(Error::Lost(why)) => Verb::Unknown { reason: why.into() },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ids_end_no_header() {
        for (text, good) in [
            ("ops@example.com", true),
            ("Ops <ops@example.com>", true),
            ("ops", false),
            ("ops@example.com\r\nBcc: all@example.com", false),
            ("ops@exämple.com", false),
        ] {
            assert_eq!(mailbox(text).is_ok(), good, "{text:?}");
        }
        for (id, good) in [("<a@b>", true), ("a@b", false), ("<a@b>\r\nBcc: <c@d>", false)] {
            assert_eq!(is_id(id), good, "{id:?}");
        }
    }
}
