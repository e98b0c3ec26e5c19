//! What an answer is worth. A read that failed changed nothing; of a write it is told what surely did nothing from what
//! nobody can say.

use hyper::{StatusCode, header::RETRY_AFTER};
use regreen_schemas::{
    Span,
    fact::{Failure, Verb},
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::connection::Reply;

/// Longest pause that a server may ask for.
const RETRY_AFTER_MAX: Span = Span::minutes(60);
/// Most characters that a server may say about an error.
const REASON_CHARS_MAX: usize = 200;

/// Why something surely was not done.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// Whether it may be otherwise the next time.
    pub kind: Failure,
    /// For people.
    pub reason: String,
    /// How long the server wants to be left alone.
    pub retry_after: Option<Span>,
}

impl Trouble {
    /// What may pass.
    pub fn passing(reason: impl Into<String>) -> Self {
        Self { kind: Failure::Transient, reason: reason.into(), retry_after: None }
    }

    /// What will not pass by itself.
    pub fn lasting(reason: impl Into<String>) -> Self {
        Self { kind: Failure::Permanent, reason: reason.into(), retry_after: None }
    }

    /// As an outcome.
    pub fn failed(self) -> Verb {
        Verb::Failed { kind: self.kind, reason: self.reason.into(), retry_after: self.retry_after }
    }

    /// Which of two nodes' troubles tells more: one that refuses is there, and the others would refuse as well.
    pub fn or(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.kind == Failure::Permanent => other,
            _ => self,
        }
    }
}

/// What became of a write.
#[derive(Debug)]
pub enum Sent {
    /// It said yes. What that is worth is read back.
    Accepted,
    /// It surely did nothing.
    Nothing(Trouble),
    /// It may have done it, or do it yet.
    Unsure(String),
}

/// The answer to a read.
pub fn read<T: DeserializeOwned>(reply: &Reply) -> Result<T, Trouble> {
    if !reply.status.is_success() {
        return Err(trouble(reply));
    }
    let body = reply.body.as_ref().ok_or_else(|| Trouble::passing("the answer is too long, or broke off"))?;
    serde_json::from_slice(body).map_err(|_| {
        Trouble::passing(format!("{} without an answer of Elasticsearch in it", reply.status.as_u16()))
    })
}

/// The answer to a write. What was refused did nothing; a server that broke may have done it before, and one without a
/// master may have lost it meanwhile.
pub fn written(reply: &Reply) -> Sent {
    match reply.status {
        status if status.is_success() => Sent::Accepted,
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            Sent::Unsure(trouble(reply).reason)
        }
        _ => Sent::Nothing(trouble(reply)),
    }
}

fn trouble(reply: &Reply) -> Trouble {
    let asked = reply.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let kind = match reply.status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT => {
            Failure::Transient
        }
        status if status.is_server_error() => Failure::Transient,
        _ => Failure::Permanent,
    };
    let retry_after = asked.map(|seconds: i64| Span::seconds(seconds.clamp(0, RETRY_AFTER_MAX.0 / 1000)));
    Trouble { kind, reason: told(reply), retry_after }
}

/// Status, type and reason, as far as they are there.
fn told(reply: &Reply) -> String {
    #[derive(Deserialize)]
    struct Body {
        error: Told,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Told {
        Kind {
            #[serde(rename = "type")]
            kind: String,
            reason: Option<String>,
        },
        Text(String),
    }
    let status = reply.status.as_u16();
    let body = reply.body.as_ref().and_then(|body| serde_json::from_slice(body).ok());
    let told = match body {
        Some(Body { error: Told::Kind { kind, reason: Some(reason) } }) => format!("{kind}: {reason}"),
        Some(Body { error: Told::Kind { kind, reason: None } }) => kind,
        Some(Body { error: Told::Text(text) }) => text,
        None => return format!("the answer was {status}"),
    };
    let told: String = told.chars().take(REASON_CHARS_MAX).collect();
    format!("the answer was {status} {told}")
}
