//! `http.request`: one HTTP request. Sure failures are told from unknown outcomes: what never left this host, and
//! what the server refused, did nothing; everything else is looked up.

use std::{error::Error as _, time::Duration};

use futures::future::BoxFuture;
use regreen_action::{Action, Call, Refusal};
use regreen_kit::secrets::Secrets;
use regreen_playbook::{cel, value::Value as Cel};
use regreen_schemas::{
    Span,
    action::{Declaration, Effect, HTTP_REQUEST},
    check::Status,
    command::Command,
    fact::{Answer, Failure, Verb},
};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url, header::RETRY_AFTER, redirect};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Longest time for a connection. The pool opens it in the call, after the ticket: so it is bounded far below the
/// timeout, lest a request leave long after its call window (rule 18).
const CONNECT_MAX: Duration = Duration::from_secs(3);
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
    pub fn new(secrets: Secrets) -> Result<Self, reqwest::Error> {
        // A redirect would send the effect, and its credentials, where nobody decided it.
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(512)
            .connect_timeout(CONNECT_MAX)
            .build()?;
        Ok(Self { client, secrets })
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
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err(Refusal::refused("only http and https"))
    }
}

impl Action for Request {
    fn declaration(&self) -> &'static Declaration {
        &HTTP_REQUEST
    }

    fn prepare(&self, command: &Command) -> Result<Box<dyn Call>, Refusal> {
        let params: Params = serde_json::from_value((*command.task.params).clone())
            .map_err(|error| Refusal::refused(format!("wrong parameters: {error}")))?;
        let method = params.method.as_deref().unwrap_or("GET");
        let method: Method =
            method.parse().map_err(|_| Refusal::refused(format!("`{method}` is no method")))?;
        let mut request = self.client.request(method, http_url(&params.url)?);
        for (name, value) in &params.headers {
            let Value::String(value) = self.reveal(value)? else {
                return Err(Refusal::refused(format!("header `{name}` is no text")));
            };
            request = request.header(name, value);
        }
        if let Some(name) = &params.idempotency_header {
            request = request.header(name, command.action_key.as_ref());
        }
        if let Some(body) = &params.body {
            request = request.json(&self.reveal(body)?);
        }
        let observe = match params.observe {
            None => None,
            Some(Observe { url, done }) => {
                let done = cel::parse(&done)
                    .map_err(|error| Refusal::refused(format!("`done`: {}", error.message)))?;
                Some((self.client.get(http_url(&url)?), done))
            }
        };
        // What can't be built is refused before any ticket.
        if request.try_clone().is_none_or(|request| request.build().is_err()) {
            return Err(Refusal::refused("the request can't be built: a header is not as HTTP wants it"));
        }
        Ok(Box::new(Ready { request, accept: params.accept, effect: command.task.effect, observe }))
    }
}

struct Ready {
    request: RequestBuilder,
    accept: Vec<u16>,
    effect: Effect,
    observe: Option<(RequestBuilder, cel::Expr)>,
}

impl Call for Ready {
    fn before(&self) -> BoxFuture<'_, Option<Value>> {
        Box::pin(async {
            // Without it `done` sees no `before`, and says so if it needs one.
            let (request, _) = self.observe.as_ref()?;
            let (status, json) = answer(request.try_clone()?).await.ok()?;
            Some(json!({"status": status.as_u16(), "json": json}))
        })
    }

    fn perform(&self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            let Some(request) = self.request.try_clone() else {
                return failed(Failure::Permanent, "the request can't be sent twice".into(), None);
            };
            match request.send().await {
                Ok(response) => self.judge(response).await,
                Err(error) => self.broken(&error),
            }
        })
    }

    fn observe(&self, look: u8, before: Option<Value>) -> BoxFuture<'_, Verb> {
        Box::pin(async move {
            let Some((request, done)) =
                self.observe.as_ref().and_then(|(request, done)| Some((request.try_clone()?, done)))
            else {
                return Verb::Observed {
                    look,
                    answer: Answer::CannotTell { state: "nothing says how to look".into() },
                };
            };
            match answer(request).await {
                Ok((status, json)) => Verb::Observed { look, answer: tell(done, status, json, before) },
                Err(error) => failed(Failure::Transient, chain(&error), None),
            }
        })
    }
}

impl Ready {
    async fn judge(&self, response: reqwest::Response) -> Verb {
        let status = response.status();
        let accepted =
            if self.accept.is_empty() { status.is_success() } else { self.accept.contains(&status.as_u16()) };
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = asked.map(|seconds: i64| Span::seconds(seconds.clamp(0, RETRY_AFTER_MAX.0 / 1000)));
        if accepted {
            // The effect is done, whatever its answer looks like.
            let json = body(response).await.unwrap_or_default();
            return Verb::Ok { result: json!({"status": status.as_u16(), "json": json}) };
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

    /// No answer: what never left is a sure failure, anything else is unknown.
    fn broken(&self, error: &reqwest::Error) -> Verb {
        let reason = chain(error);
        if error.is_connect() || self.effect == Effect::Read {
            failed(Failure::Transient, reason, None)
        } else if error.is_builder() {
            failed(Failure::Permanent, reason, None)
        } else {
            Verb::Unknown { reason: reason.into() }
        }
    }
}

fn failed(kind: Failure, reason: String, retry_after: Option<Span>) -> Verb {
    Verb::Failed { kind, reason: reason.into(), retry_after }
}

/// The error with its causes, without the URL: it may hold a secret.
fn chain(error: &reqwest::Error) -> String {
    let mut text =
        if error.is_connect() { "no connection".to_owned() } else { "the request broke".to_owned() };
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn answer(request: RequestBuilder) -> Result<(StatusCode, Value), reqwest::Error> {
    let response = request.send().await?;
    Ok((response.status(), body(response).await?))
}

/// The JSON of an answer; null when it is none, or too long.
async fn body(mut response: reqwest::Response) -> Result<Value, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Ok(Value::Null);
        }
    }
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
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
