//! Providers' JSON APIs: one client, and what an answer is worth. Of an effect only what surely did nothing has failed;
//! after everything else one must look (rule 17).

mod deed;
mod meter;
mod patience;

use std::sync::Arc;

use bytes::Bytes;
use hyper::{
    Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use regreen_action::Refusal;
use regreen_kit::{clock, secrets::Secrets};
use regreen_schemas::{
    Span,
    fact::{Failure, Verb},
    rate::Told,
};
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

pub use self::{
    deed::{Deed, Question, asking, doing},
    meter::Meter,
    patience::Patience,
};
use crate::connection::{Client, Error, Opened, Ready, Reply};

/// Most bytes of an answer that are read: a page of a hundred machines has a few hundred thousand.
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Longest pause that an API may ask for.
const RETRY_AFTER_MAX: Span = Span::minutes(60);
/// Most characters of an API's own words that are passed on.
const WORDS_MAX: usize = 200;
/// The `id` of an error of DigitalOcean about what is not there.
const NOT_FOUND: &str = "not_found";
/// When the next request is free again, in seconds of the epoch.
const RATELIMIT_RESET: &str = "ratelimit-reset";

/// A client that has said who it is. Made for one call, so that a rotated secret is taken up.
#[derive(Clone)]
pub struct Rest {
    client: Client,
    headers: HeaderMap,
    meter: Option<Meter>,
}

/// What an API said.
#[derive(Debug)]
pub struct Said {
    /// Its status.
    pub status: StatusCode,
    /// Null when it is no JSON, or longer than is read.
    pub json: Value,
    /// How long it wants to be left alone.
    pub retry_after: Option<Span>,
}

/// What a failure means for an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Surely nothing was done, and it may pass.
    Transient,
    /// Surely nothing was done, and it will not pass by itself.
    Permanent,
    /// It may have been done.
    Unknown,
}

/// Why there is no answer that one could use.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// What it means.
    pub class: Class,
    /// The status, if there was one.
    pub status: Option<StatusCode>,
    /// Whether the API says itself that there is no such thing. A 404 alone may come of anything in between.
    pub not_found: bool,
    /// For people.
    pub reason: String,
    /// How long the API wants to be left alone.
    pub retry_after: Option<Span>,
}

impl Rest {
    /// A client that shows a bearer token.
    ///
    /// # Errors
    /// When the secret is not at hand, or can't stand in a header.
    pub fn bearer(client: &Client, secrets: &Secrets, name: &str) -> Result<Self, Refusal> {
        let token = secrets.get(name).map_err(|missing| Refusal::secret(missing.to_string()))?;
        let unfit = |_| Refusal::secret(format!("secret `{name}` can't stand in a header: it is no token"));
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).map_err(unfit)?;
        Ok(Self::new(client, Some(value)))
    }

    /// A client that shows this as its authorization, or none.
    pub fn new(client: &Client, authorization: Option<HeaderValue>) -> Self {
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        if let Some(mut value) = authorization {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Self { client: client.clone(), headers, meter: None }
    }

    /// The same, of a credential whose provider counts requests.
    #[must_use]
    pub fn metered(self, credential: Arc<str>) -> Self {
        Self { meter: Some(Meter::of(credential)), ..self }
    }

    /// What it made of its credential's rate.
    pub fn told(&self) -> Option<Told> {
        self.meter.as_ref().and_then(Meter::told)
    }

    /// A request.
    pub fn ready(&self, method: Method, url: Url, body: Option<&Value>) -> Ready {
        let mut headers = self.headers.clone();
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        Ready { url, method, headers, body }
    }

    /// A connection for a request that leaves later.
    pub async fn open(&self, ready: &Ready) -> Opened {
        self.client.open_early(&ready.url).await
    }

    /// Sends a request over its connection.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, opened: Opened, ready: &Ready) -> Result<Said, Wrong> {
        if let Some(meter) = &self.meter {
            meter.sent();
        }
        let reply = self.client.send(opened, ready, ANSWER_BYTES_MAX).await?;
        if let Some(meter) = &self.meter {
            meter.answered(reply.status, &reply.headers);
        }
        Ok(reply.into())
    }

    /// Sends a request at once.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(&self, ready: &Ready) -> Result<Said, Wrong> {
        let opened = self.open(ready).await;
        self.send(opened, ready).await
    }

    /// Reads something: nothing is left behind, whatever becomes of it.
    ///
    /// # Errors
    /// When there is no answer, or another than was asked for.
    pub async fn read<T: DeserializeOwned>(&self, url: Url) -> Result<T, Wrong> {
        let said = self.ask(&self.ready(Method::GET, url, None)).await;
        said.and_then(Said::good).and_then(|said| said.shaped()).map_err(Wrong::of_read)
    }
}

impl Said {
    /// The same, if it is a success.
    ///
    /// # Errors
    /// What its status means for an effect.
    pub fn good(self) -> Result<Self, Wrong> {
        let class = match self.status {
            status if status.is_success() => return Ok(self),
            // Refused because of how things stand: a conflict, a lock, too many at once.
            StatusCode::CONFLICT | StatusCode::LOCKED | StatusCode::TOO_MANY_REQUESTS => Class::Transient,
            // Whatever stands before the API may have given up on what the API is still doing.
            StatusCode::REQUEST_TIMEOUT => Class::Unknown,
            status if status.is_server_error() => Class::Unknown,
            _ => Class::Permanent,
        };
        let words = self.words().map(|words| format!(": {words}")).unwrap_or_default();
        let reason = format!("the API answered {}{words}", self.status);
        let not_found = self.status == StatusCode::NOT_FOUND && self.json["id"] == NOT_FOUND;
        Err(Wrong { class, status: Some(self.status), not_found, reason, retry_after: self.retry_after })
    }

    /// What it says in the shape that it should have.
    ///
    /// # Errors
    /// When it has another: unknown, since it was a success.
    pub fn shaped<T: DeserializeOwned>(self) -> Result<T, Wrong> {
        let status = self.status;
        serde_json::from_value(self.json).map_err(|error| Wrong {
            status: Some(status),
            ..Wrong::unknown(format!(
                "the API answered {status}, with something else than it should: {error}"
            ))
        })
    }

    /// The API's own words about an error.
    pub fn words(&self) -> Option<String> {
        let places = ["/message", "/error/reason", "/error/type", "/error", "/errors/0/reason"];
        let words = places.iter().find_map(|place| self.json.pointer(place)?.as_str())?;
        Some(words.chars().take(WORDS_MAX).collect())
    }
}

impl From<Reply> for Said {
    fn from(reply: Reply) -> Self {
        let busy = matches!(reply.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let retry_after = pause(&reply.headers).filter(|_| busy);
        let json = reply.body.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
        Self { status: reply.status, json, retry_after }
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// How long an API wants to be left alone, by its headers.
fn pause(headers: &HeaderMap) -> Option<Span> {
    let reset = || number(headers, RATELIMIT_RESET).map(|at| at - clock::wall().0 / 1000);
    let seconds = number(headers, RETRY_AFTER.as_str()).or_else(reset)?;
    Some(Span::seconds(seconds.clamp(0, RETRY_AFTER_MAX.0 / 1000)))
}

impl Wrong {
    /// What surely did nothing, and will not pass.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self {
            class: Class::Permanent,
            status: None,
            not_found: false,
            reason: reason.into(),
            retry_after: None,
        }
    }

    /// What a look can't say yet, or what can't begin yet: it is tried again, while the run has time.
    pub fn not_yet(reason: impl Into<String>) -> Self {
        Self { class: Class::Transient, ..Self::permanent(reason) }
    }

    /// What may have been done.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self { class: Class::Unknown, ..Self::permanent(reason) }
    }

    /// The same of a read: it never leaves anything behind.
    #[must_use]
    pub fn of_read(mut self) -> Self {
        if self.class == Class::Unknown {
            self.class = Class::Transient;
        }
        self
    }

    /// As an outcome.
    pub fn verb(self) -> Verb {
        let kind = match self.class {
            Class::Transient => Failure::Transient,
            Class::Permanent => Failure::Permanent,
            Class::Unknown => return Verb::Unknown { reason: self.reason.into() },
        };
        Verb::Failed { kind, reason: self.reason.into(), retry_after: self.retry_after }
    }
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        let class = if error.nothing_left() { Class::Transient } else { Class::Unknown };
        Self { class, ..Self::permanent(error.to_string()) }
    }
}
