//! One HTTP exchange: bounded answers, and an honest word on what is known when there is none.

use std::time::Duration;

use regreen_kit::errors::chain;
use regreen_schemas::{
    Span,
    fact::{Failure, Verb},
};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header::RETRY_AFTER};

/// Most bytes of an answer that are read.
const REPLY_BYTES_MAX: usize = 64 * 1024;
/// Longest pause that a receiver may ask for.
const RETRY_AFTER_MAX: Span = Span::minutes(60);
/// Longest time for a connection: shorter than a message's, so that one which never left is known.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// How long it wants us to wait.
    pub retry_after: Option<Span>,
    /// Its body; `None` when it is longer than [`REPLY_BYTES_MAX`], or broke off.
    pub body: Option<Vec<u8>>,
}

/// A client that follows nobody anywhere: a redirect would carry the secret with it.
///
/// # Errors
/// When there is no TLS.
pub fn client() -> Result<Client, reqwest::Error> {
    Client::builder().redirect(reqwest::redirect::Policy::none()).connect_timeout(CONNECT_MAX).build()
}

/// An address of http or https, without credentials in it.
#[must_use]
pub fn address(text: &str) -> Option<Url> {
    let plain = |url: &Url| url.username().is_empty() && url.password().is_none();
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && plain(url))
}

/// Sends it. The URL may be a secret: no reason names it.
///
/// # Errors
/// What is known without an answer: nothing has left, or it may have arrived.
pub async fn send(request: RequestBuilder) -> Result<Reply, Verb> {
    let response = request.send().await.map_err(|error| lost(error.without_url()))?;
    let (status, retry_after) = (response.status(), retry_after(&response));
    Ok(Reply { status, retry_after, body: body(response).await })
}

fn lost(error: reqwest::Error) -> Verb {
    let reason = chain(&error);
    if error.is_builder() {
        failed(Failure::Permanent, format!("the request can't be made: {reason}"))
    } else if error.is_connect() {
        failed(Failure::Transient, format!("no connection: {reason}"))
    } else {
        Verb::Unknown { reason: format!("no answer: {reason}").into() }
    }
}

fn retry_after(response: &Response) -> Option<Span> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u32>().ok()?;
    Some(Span::seconds(i64::from(seconds)).min(RETRY_AFTER_MAX))
}

async fn body(mut response: Response) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if bytes.len() + chunk.len() > REPLY_BYTES_MAX {
            return None;
        }
        bytes.extend_from_slice(&chunk);
    }
    Some(bytes)
}

impl Reply {
    /// It was refused, for this reason.
    #[must_use]
    pub fn refused(&self, kind: Failure, reason: String) -> Verb {
        Verb::Failed { kind, reason: reason.into(), retry_after: self.retry_after }
    }

    /// What a status that is no success means: a server in trouble may recover, a refusal stays.
    #[must_use]
    pub fn kind(&self) -> Failure {
        let again = matches!(
            self.status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        );
        if again || self.status.is_server_error() { Failure::Transient } else { Failure::Permanent }
    }
}

/// It was not done.
#[must_use]
pub fn failed(kind: Failure, reason: impl Into<String>) -> Verb {
    Verb::Failed { kind, reason: reason.into().into(), retry_after: None }
}
