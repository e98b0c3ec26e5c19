//! What Alertmanager cut off a payload (`truncatedAlerts`) is asked of its API: it would not be sent soon again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use regreen_kit::{
    config,
    secrets::{Missing, Reference},
};
use regreen_schemas::alert::Alert;
use reqwest::{Client, RequestBuilder, Url};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::{BODY_BYTES_MAX, payload};

/// Longest time for one Alertmanager's answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Longest time for all of them: the webhook waits for it.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// Payloads that wait for their rest at the same time: each may hold an answer of 4 MB.
const AT_ONCE: usize = 4;

/// The Alertmanagers that may be asked.
#[derive(Clone)]
pub struct Rest {
    client: Client,
    places: Arc<[Place]>,
    hands: Arc<Semaphore>,
}

struct Place {
    url: Url,
    credential: Credential,
}

enum Credential {
    None,
    Bearer(SecretString),
    Basic(String, SecretString),
}

/// Why they can't be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address.
    #[error(
        "`{0}` under `alertmanagers:` is no http or https URL, or holds credentials: they belong under `auth:`"
    )]
    Url(String),
    /// A credential.
    #[error("a credential under `alertmanagers:`")]
    Secret(#[from] Missing),
    /// The HTTP client.
    #[error("no HTTP client")]
    Client(#[from] reqwest::Error),
}

impl Rest {
    /// Reads the configuration.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(places: &[config::Alertmanager]) -> Result<Self, Error> {
        let read = |reference: &Reference| reference.read("alertmanagers");
        let place = |place: &config::Alertmanager| {
            let wrong = || Error::Url(place.url.clone());
            let plain = |url: &Url| url.username().is_empty() && url.password().is_none();
            let base = Url::parse(&place.url)
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https") && plain(url));
            let url = base.and_then(|mut url| {
                url.path_segments_mut().ok()?.pop_if_empty().extend(["api", "v2", "alerts", "groups"]);
                Some(url)
            });
            let credential = match &place.auth {
                None => Credential::None,
                Some(config::Credential::Bearer(token)) => Credential::Bearer(read(token)?),
                Some(config::Credential::Basic { user, password }) => {
                    Credential::Basic(user.clone(), read(password)?)
                }
            };
            Ok(Place { url: url.ok_or_else(wrong)?, credential })
        };
        let client =
            Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(ANSWER_MAX).build()?;
        let places = places.iter().map(place).collect::<Result<_, Error>>()?;
        Ok(Self { client, places, hands: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Whether there is anybody to ask.
    pub fn configured(&self) -> bool {
        !self.places.is_empty()
    }

    /// The active alerts of a receiver's group, with the bytes that each takes; from the first Alertmanager that
    /// gives them.
    pub async fn fetch(&self, receiver: &str, group: &BTreeMap<String, String>) -> Vec<(usize, Alert)> {
        let asking = async {
            let _hand = self.hands.acquire().await.ok()?;
            for place in self.places.iter() {
                let found = ask(place.request(&self.client, group)).await;
                match found.and_then(|body| payload::active(&body, receiver, group)) {
                    Ok(alerts) => return Some(alerts),
                    Err(why) => {
                        tracing::warn!(url = %place.url, why, "the rest of a payload can't be fetched");
                    }
                }
            }
            None
        };
        tokio::time::timeout(FETCH_MAX, asking).await.ok().flatten().unwrap_or_default()
    }
}

impl Place {
    fn request(&self, client: &Client, group: &BTreeMap<String, String>) -> RequestBuilder {
        let mut url = self.url.clone();
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("active", "true")
                .append_pair("silenced", "false")
                .append_pair("inhibited", "false");
            for (name, value) in group {
                // A quoted value escapes as in Go: a JSON string is one.
                query.append_pair("filter", &format!("{name}={}", serde_json::Value::from(value.as_str())));
            }
        }
        let request = client.get(url);
        match &self.credential {
            Credential::None => request,
            Credential::Bearer(token) => request.bearer_auth(token.expose_secret()),
            Credential::Basic(user, password) => request.basic_auth(user, Some(password.expose_secret())),
        }
    }
}

async fn ask(request: RequestBuilder) -> Result<Vec<u8>, String> {
    let told = |error: reqwest::Error| error.without_url().to_string();
    let mut response = request.send().await.and_then(reqwest::Response::error_for_status).map_err(told)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(told)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > BODY_BYTES_MAX {
            return Err(format!("an answer of more than {BODY_BYTES_MAX} bytes"));
        }
    }
    Ok(bytes)
}
