//! `http.request`: one HTTP request. Sure failures are told from unknown outcomes: what never left this host, and
//! what the server refused, did nothing; everything else is looked up.

use bytes::Bytes;
use futures::future::BoxFuture;
use hyper::{
    Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use regreen_action::{Action, Call, Refusal, params};
use regreen_kit::secrets::Secrets;
use regreen_playbook::{cel, value::Value as Cel};
use regreen_schemas::{
    Span,
    action::{Declaration, Effect, HTTP_REQUEST},
    check::Status,
    command::Command,
    fact::{Answer, Failure, Verb},
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::connection::{ANSWER_BYTES_MAX, Client, Error, Opened, Ready, Reply};

/// Longest pause that a server may ask for.
const RETRY_AFTER_MAX: Span = Span::minutes(60);

/// The action.
pub struct Request {
    client: Client,
    secrets: Secrets,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    url: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    accept: Vec<u16>,
    #[serde(default, rename = "effect")]
    _effect: Option<String>,
    #[serde(default)]
    idempotency_header: Option<String>,
    #[serde(default)]
    observe: Option<Observe>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Observe {
    url: String,
    done: String,
}

impl Request {
    /// The action with these secrets.
    ///
    /// # Errors
    /// When there is no TLS.
    pub fn new(secrets: Secrets) -> Result<Self, rustls::Error> {
        Ok(Self { client: Client::new()?, secrets })
    }

    /// Replaces every `{secret: name}`.
    fn reveal(&self, value: &Value) -> Result<Value, Refusal> {
        Ok(match value {
            Value::Object(map) => match (map.len(), map.get("secret")) {
                (1, Some(Value::String(name))) => {
                    let secret =
                        self.secrets.get(name).map_err(|missing| Refusal::secret(missing.to_string()))?;
                    Value::String(secret.expose_secret().to_owned())
                }
                _ => Value::Object(
                    map.iter()
                        .map(|(k, v)| Ok((k.clone(), self.reveal(v)?)))
                        .collect::<Result<_, Refusal>>()?,
                ),
            },
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.reveal(item)).collect::<Result<_, _>>()?)
            }
            other => other.clone(),
        })
    }
}

fn http_url(text: &str) -> Result<Url, Refusal> {
    let url = Url::parse(text).map_err(|error| Refusal::refused(format!("`{text}` is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(Refusal::refused("only http and https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let header = AUTHORIZATION;
        return Err(Refusal::refused(format!(
            "credentials in a URL are seen: put them into a header `{header}`"
        )));
    }
    Ok(url)
}

fn header(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Refusal> {
    let wrong = |what: &str| Refusal::refused(format!("header `{name}`: {what} is not as HTTP wants it"));
    let parsed: HeaderName = name.parse().map_err(|_| wrong("its name"))?;
    headers.append(parsed, HeaderValue::from_str(value).map_err(|_| wrong("its value"))?);
    Ok(())
}

impl Action for Request {
    fn declaration(&self) -> &'static Declaration {
        &HTTP_REQUEST
    }

    fn prepare(&self, command: &Command) -> Result<Box<dyn Call>, Refusal> {
        let params: Params = params(command)?;
        let method = params.method.as_deref().unwrap_or("GET");
        let method: Method =
            method.parse().map_err(|_| Refusal::refused(format!("`{method}` is no method")))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &params.headers {
            let Value::String(value) = self.reveal(value)? else {
                return Err(Refusal::refused(format!("header `{name}` is no text")));
            };
            header(&mut headers, name, &value)?;
        }
        if let Some(name) = &params.idempotency_header {
            header(&mut headers, name, command.action_key.as_ref())?;
        }
        let mut body = Bytes::new();
        if let Some(value) = &params.body {
            body = serde_json::to_vec(&self.reveal(value)?)
                .map_err(|error| Refusal::refused(error.to_string()))?
                .into();
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        }
        let observe = match params.observe {
            None => None,
            Some(Observe { url, done }) => {
                let done = cel::parse(&done)
                    .map_err(|error| Refusal::refused(format!("`done`: {}", error.message)))?;
                Some((get(http_url(&url)?), done))
            }
        };
        let request = Ready { url: http_url(&params.url)?, method, headers, body };
        // What can't be built is refused before any ticket.
        request
            .request()
            .map_err(|error| Refusal::refused(format!("the request can't be built: {error}")))?;
        Ok(Box::new(Prepared {
            client: self.client.clone(),
            opened: None,
            request,
            accept: params.accept,
            effect: command.task.effect,
            observe,
        }))
    }
}

fn get(url: Url) -> Ready {
    Ready { url, method: Method::GET, headers: HeaderMap::new(), body: Bytes::new() }
}

struct Prepared {
    client: Client,
    /// Before the ticket.
    opened: Option<Opened>,
    request: Ready,
    accept: Vec<u16>,
    effect: Effect,
    observe: Option<(Ready, cel::Expr)>,
}

impl Call for Prepared {
    fn before(&self) -> BoxFuture<'_, Option<Value>> {
        Box::pin(async {
            // Without it `done` sees no `before`, and says so if it needs one.
            let (request, _) = self.observe.as_ref()?;
            let reply = self.answer(request).await.ok()?;
            Some(json!({"status": reply.status.as_u16(), "json": json(&reply)}))
        })
    }

    fn open(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.opened = Some(self.client.open_early(&self.request.url).await);
        })
    }

    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            let reply = match self.opened.take() {
                Some(opened) => self.client.send(opened, &self.request, ANSWER_BYTES_MAX).await,
                // Only reads are not opened beforehand: they have no ticket.
                None => self.answer(&self.request).await,
            };
            match reply {
                Ok(reply) => self.judge(&reply),
                // What never left is a sure failure, anything else is unknown.
                Err(error) if error.nothing_left() || self.effect == Effect::Read => {
                    failed(Failure::Transient, error.to_string(), None)
                }
                Err(error) => Verb::Unknown { reason: error.to_string().into() },
            }
        })
    }

    fn observe(&self, look: u8, before: Option<Value>) -> BoxFuture<'_, Verb> {
        Box::pin(async move {
            let Some((request, done)) = &self.observe else {
                return Verb::Observed {
                    look,
                    answer: Answer::CannotTell { state: "nothing says how to look".into() },
                };
            };
            match self.answer(request).await {
                Ok(reply) => Verb::Observed { look, answer: tell(done, reply.status, json(&reply), before) },
                Err(error) => failed(Failure::Transient, error.to_string(), None),
            }
        })
    }
}

impl Prepared {
    fn judge(&self, reply: &Reply) -> Verb {
        let status = reply.status;
        let accepted =
            if self.accept.is_empty() { status.is_success() } else { self.accept.contains(&status.as_u16()) };
        let asked = reply.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = asked.map(|seconds: i64| Span::seconds(seconds.clamp(0, RETRY_AFTER_MAX.0 / 1000)));
        if accepted {
            // The effect is done, whatever its answer looks like.
            return Verb::Ok { result: json!({"status": status.as_u16(), "json": json(reply)}) };
        }
        let reason = format!("the server answered {status}");
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                failed(Failure::Transient, reason, retry_after)
            }
            _ if status.is_server_error() && self.effect == Effect::Read => {
                failed(Failure::Transient, reason, retry_after)
            }
            // A server that broke may have done it before.
            _ if status.is_server_error() => Verb::Unknown { reason: reason.into() },
            _ => failed(Failure::Permanent, reason, None),
        }
    }

    async fn answer(&self, request: &Ready) -> Result<Reply, Error> {
        let opened = self.client.open_early(&request.url).await;
        self.client.send(opened, request, ANSWER_BYTES_MAX).await
    }
}

fn failed(kind: Failure, reason: String, retry_after: Option<Span>) -> Verb {
    Verb::Failed { kind, reason: reason.into(), retry_after }
}

/// The JSON of an answer; null when it is none, too long, or broke off.
fn json(reply: &Reply) -> Value {
    reply.body.as_ref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default()
}

struct Seen {
    status: StatusCode,
    json: Value,
    before: Option<Value>,
}

impl cel::Env for Seen {
    fn root(&self, name: &str) -> Option<Cel> {
        match name {
            "status" => Some(Cel::Int(self.status.as_u16().into())),
            "json" => Cel::from_json(&self.json),
            "before" => Cel::from_json(self.before.as_ref()?),
            _ => None,
        }
    }
    fn verdict(&self, _: &str) -> Status {
        Status::Unknown
    }
    fn group(&self, _: &str) -> Option<Cel> {
        None
    }
}

fn tell(done: &cel::Expr, status: StatusCode, json: Value, before: Option<Value>) -> Answer {
    let result = json!({"status": status.as_u16(), "json": json});
    match cel::eval(done, &Seen { status, json, before }, &mut Vec::new()) {
        Ok(Cel::Bool(true)) => Answer::Done { result },
        Ok(Cel::Bool(false)) => Answer::NotDone,
        Ok(_) => Answer::CannotTell { state: "`done` is neither true nor false".into() },
        Err(stop) => Answer::CannotTell { state: stop.because().into() },
    }
}
