//! An event from its headers and bytes: CloudEvents 1.0 over HTTP in structured or binary mode (CloudEvents' "HTTP Protocol
//! Binding"), or plain JSON, whose identity stands in headers or is the hash of its bytes. Nothing here asks who sent it.

use std::{borrow::Cow, sync::Arc};

use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use data_encoding::HEXLOWER;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Most bytes of data, as they are stored.
const DATA_BYTES_MAX: usize = 16 * 1024;
/// How deep data may be nested: whoever reads it in a record or a message adds levels of its own.
const DEPTH_MAX: usize = 32;
/// Longest id, type or source.
const TEXT_BYTES_MAX: usize = 256;
/// The version of CloudEvents that is read.
const VERSION: &str = "1.0";

/// Why an event is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Something else than JSON.
    #[error("Content-Type must be application/json or application/cloudevents+json")]
    Media,
    /// Several events at once.
    #[error("CloudEvents' batch mode is not taken: send each event by itself")]
    Batch,
    /// Bytes that are no JSON.
    #[error("the body is no JSON: {0}")]
    Json(String),
    /// CloudEvents are objects.
    #[error("a CloudEvent in structured mode is an object")]
    Object,
    /// A field that each event has.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A field that can't be what it should.
    #[error("`{0}` must be text of at most {TEXT_BYTES_MAX} bytes, without control characters")]
    Text(&'static str),
    /// Another version of CloudEvents.
    #[error("`{0}` must be {VERSION}")]
    Version(&'static str),
    /// Data that is not JSON.
    #[error("`data_base64` is not taken: data must be JSON")]
    Base64,
    /// Levels upon levels.
    #[error("data is nested deeper than {DEPTH_MAX} levels")]
    Deep,
    /// Too much data.
    #[error("data of {0} bytes; {DATA_BYTES_MAX} are taken")]
    Large(usize),
}

impl Why {
    /// What is answered.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Media | Self::Batch => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Large(_) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Its name among metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Media | Self::Batch => "media_type",
            Self::Large(_) => "too_large",
            _ => "malformed",
        }
    }
}

/// What was posted.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted {
    /// Its identity.
    pub id: Arc<str>,
    /// What kind of event it is.
    pub kind: Arc<str>,
    /// Who says so; empty where nobody does.
    pub source: Arc<str>,
    /// Its data; null when there is none.
    pub data: Value,
}

/// Headers of the binary mode.
const ID: &str = "ce-id";
const KIND: &str = "ce-type";
const SOURCE: &str = "ce-source";
const SPECVERSION: &str = "ce-specversion";

/// Reads an event.
///
/// # Errors
/// [`Why`].
pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Posted, Why> {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_binary = [ID, KIND, SOURCE, SPECVERSION].iter().any(|name| headers.contains_key(*name));
    let posted = match media.as_str() {
        "application/cloudevents+json" => structured(body)?,
        "application/cloudevents-batch+json" => return Err(Why::Batch),
        other if other.starts_with("application/cloudevents") => return Err(Why::Media),
        "" if is_binary && body.is_empty() => binary(headers, Value::Null)?,
        json if json == "application/json" || json.ends_with("+json") => {
            let data = if is_binary && body.is_empty() { Value::Null } else { parse(body)? };
            if is_binary { binary(headers, data)? } else { plain(headers, body, data)? }
        }
        _ => return Err(Why::Media),
    };
    if depth(&posted.data) > DEPTH_MAX {
        return Err(Why::Deep);
    }
    match posted.data.to_string().len() {
        bytes if bytes > DATA_BYTES_MAX => Err(Why::Large(bytes)),
        _ => Ok(posted),
    }
}

fn parse(bytes: &[u8]) -> Result<Value, Why> {
    serde_json::from_slice(bytes).map_err(|error| Why::Json(error.to_string()))
}

/// The event is the body.
fn structured(body: &[u8]) -> Result<Posted, Why> {
    let Value::Object(mut fields) = parse(body)? else { return Err(Why::Object) };
    let specversion = field(&fields, "specversion")?;
    if &*specversion != VERSION {
        return Err(Why::Version("specversion"));
    }
    if fields.get("data_base64").is_some_and(|data| !data.is_null()) {
        return Err(Why::Base64);
    }
    Ok(Posted {
        id: field(&fields, "id")?,
        kind: field(&fields, "type")?,
        source: field(&fields, "source")?,
        data: fields.remove("data").unwrap_or_default(),
    })
}

/// The event is in the headers, its data is the body.
fn binary(headers: &HeaderMap, data: Value) -> Result<Posted, Why> {
    let attribute = |name| attribute(headers, name)?.ok_or(Why::Missing(name));
    if &*attribute(SPECVERSION)? != VERSION {
        return Err(Why::Version(SPECVERSION));
    }
    Ok(Posted { id: attribute(ID)?, kind: attribute(KIND)?, source: attribute(SOURCE)?, data })
}

/// Any JSON. Its identity is what its sender calls it, else the hash of its bytes.
fn plain(headers: &HeaderMap, body: &[u8], data: Value) -> Result<Posted, Why> {
    let id = match header(headers, "Idempotency-Key")? {
        Some(key) => Some(key),
        None => header(headers, "X-GitHub-Delivery")?,
    };
    let id = id.unwrap_or_else(|| HEXLOWER.encode(&Sha256::digest(body)).into());
    let kind = header(headers, "X-GitHub-Event")?.unwrap_or_else(|| "json".into());
    Ok(Posted { id, kind, source: "".into(), data })
}

/// A field of the structured mode; null is none.
fn field(fields: &Map<String, Value>, name: &'static str) -> Result<Arc<str>, Why> {
    match fields.get(name) {
        None | Some(Value::Null) => Err(Why::Missing(name)),
        Some(Value::String(value)) => text(name, value),
        Some(_) => Err(Why::Text(name)),
    }
}

/// A header of the binary mode, which may be quoted and percent-encoded.
fn attribute(headers: &HeaderMap, name: &'static str) -> Result<Option<Arc<str>>, Why> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let value = value.to_str().map_err(|_| Why::Text(name))?.trim();
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let value = quoted.map_or(Cow::Borrowed(value), unescaped);
    let value = percent_decode_str(&value).decode_utf8().map_err(|_| Why::Text(name))?;
    text(name, &value).map(Some)
}

/// What stands in quotes, without the backslashes.
fn unescaped(quoted: &str) -> Cow<'_, str> {
    let mut escaped = false;
    let kept = quoted.chars().filter(|&character| {
        escaped = character == '\\' && !escaped;
        !escaped
    });
    kept.collect::<String>().into()
}

/// A header as it is; one without value is none.
fn header(headers: &HeaderMap, name: &'static str) -> Result<Option<Arc<str>>, Why> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str().map_err(|_| Why::Text(name))?.trim() {
        "" => Ok(None),
        value => text(name, value).map(Some),
    }
}

fn text(name: &'static str, value: &str) -> Result<Arc<str>, Why> {
    match value {
        "" => Err(Why::Missing(name)),
        long if long.len() > TEXT_BYTES_MAX => Err(Why::Text(name)),
        strange if strange.chars().any(char::is_control) => Err(Why::Text(name)),
        value => Ok(value.into()),
    }
}

/// Levels of lists and objects. The parser has bounded them already.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    const JSON: (&str, &str) = ("content-type", "application/json");

    fn read(headers: &[(&'static str, &str)], body: &[u8]) -> Result<Posted, Why> {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
        };
        super::read(&headers.iter().map(pair).collect(), body)
    }

    fn posted(id: &str, kind: &str, source: &str, data: Value) -> Result<Posted, Why> {
        Ok(Posted { id: id.into(), kind: kind.into(), source: source.into(), data })
    }

    #[test]
    fn structured_mode_is_the_body() {
        let event = json!({"specversion": "1.0", "id": "1", "type": "deploy", "source": "/ci", "data": {"node": "a1"}});
        let with = |field: &str, value: Value| {
            let mut event = event.clone();
            event[field] = value;
            event
        };
        let without = |field: &str| with(field, Value::Null);
        let good = |data| posted("1", "deploy", "/ci", data);
        for (event, wanted) in [
            (event.clone(), good(json!({"node": "a1"}))),
            (with("subject", json!("more")), good(json!({"node": "a1"}))),
            (with("data", json!("text")), good(json!("text"))),
            (without("data"), good(Value::Null)),
            (without("id"), Err(Why::Missing("id"))),
            (with("id", json!("")), Err(Why::Missing("id"))),
            (with("id", json!(7)), Err(Why::Text("id"))),
            (with("id", json!("a\nb")), Err(Why::Text("id"))),
            (with("id", json!("x".repeat(257))), Err(Why::Text("id"))),
            (without("type"), Err(Why::Missing("type"))),
            (without("source"), Err(Why::Missing("source"))),
            (without("specversion"), Err(Why::Missing("specversion"))),
            (with("specversion", json!("0.3")), Err(Why::Version("specversion"))),
            (with("data_base64", json!("AAAA")), Err(Why::Base64)),
            (json!([event]), Err(Why::Object)),
        ] {
            let media = [("content-type", "Application/CloudEvents+JSON; charset=utf-8")];
            assert_eq!(read(&media, event.to_string().as_bytes()), wanted, "{event}");
        }
    }

    #[test]
    fn binary_mode_is_headers_and_data() {
        let all = [JSON, (SPECVERSION, "1.0"), (ID, "1"), (KIND, "deploy"), (SOURCE, "/ci")];
        let with = |name: &'static str, value: &'static str| {
            all.map(|(key, old)| if key == name { (key, value) } else { (key, old) })
        };
        let without = |name: &str| all.into_iter().filter(|(key, _)| *key != name).collect::<Vec<_>>();
        let good = |id: &str| posted(id, "deploy", "/ci", json!([1]));
        for (headers, wanted) in [
            (all.to_vec(), good("1")),
            (with("content-type", "application/vnd.x+json").to_vec(), good("1")),
            (with(ID, "Euro%20%E2%82%AC").to_vec(), good("Euro €")),
            (with(ID, "\"a \\\"b\\\\\"").to_vec(), good("a \"b\\")),
            (with(ID, "%FF").to_vec(), Err(Why::Text(ID))),
            (with(ID, "a%0Ab").to_vec(), Err(Why::Text(ID))),
            (with(ID, "€").to_vec(), Err(Why::Text(ID))),
            (with(ID, "").to_vec(), Err(Why::Missing(ID))),
            (without(ID), Err(Why::Missing(ID))),
            (without(KIND), Err(Why::Missing(KIND))),
            (without(SOURCE), Err(Why::Missing(SOURCE))),
            (without(SPECVERSION), Err(Why::Missing(SPECVERSION))),
            (with(SPECVERSION, "1.1").to_vec(), Err(Why::Version(SPECVERSION))),
            (without("content-type"), Err(Why::Media)),
            (with("content-type", "text/xml").to_vec(), Err(Why::Media)),
        ] {
            assert_eq!(read(&headers, b"[1]"), wanted, "{headers:?}");
        }
        for headers in [all.to_vec(), without("content-type")] {
            assert_eq!(read(&headers, b""), posted("1", "deploy", "/ci", Value::Null), "without data");
        }
    }

    #[test]
    fn plain_json_is_named_by_headers_or_by_its_hash() {
        let hash = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
        let own = ("idempotency-key", "k1");
        let github = [("x-github-delivery", "72d3162e"), ("x-github-event", "push")];
        for (headers, id, kind) in [
            (vec![JSON], hash, "json"),
            (vec![JSON, own], "k1", "json"),
            (vec![JSON, ("idempotency-key", " ")], hash, "json"),
            ([&[JSON], &github[..]].concat(), "72d3162e", "push"),
            ([&[JSON, own], &github[..]].concat(), "k1", "push"),
        ] {
            assert_eq!(read(&headers, b"1"), posted(id, kind, "", json!(1)), "{headers:?}");
        }
        let long = "x".repeat(257);
        assert_eq!(read(&[JSON, ("idempotency-key", &long)], b"1"), Err(Why::Text("Idempotency-Key")));
    }

    #[test]
    fn what_is_no_event_is_told() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let sized = |bytes: usize| format!("\n\"{}\"", "x".repeat(bytes - 2));
        let media = |media| [("content-type", media)];
        for (headers, body, wanted) in [
            (media("application/json"), nested(DEPTH_MAX), None),
            (media("application/json"), nested(DEPTH_MAX + 1), Some(400)),
            (media("application/json"), nested(1000), Some(400)),
            (media("application/json"), sized(DATA_BYTES_MAX), None),
            (media("application/json"), sized(DATA_BYTES_MAX + 1), Some(413)),
            (media("application/json"), String::new(), Some(400)),
            (media("application/json"), "{} {}".into(), Some(400)),
            (media("application/json"), "1e999".into(), Some(400)),
            (media("application/cloudevents+json"), "{".into(), Some(400)),
            (media("application/cloudevents-batch+json"), "[]".into(), Some(415)),
            (media("application/cloudevents+xml"), "<event/>".into(), Some(415)),
            (media("application/x-www-form-urlencoded"), "payload={}".into(), Some(415)),
            (media("text/plain"), "{}".into(), Some(415)),
            (media(""), "{}".into(), Some(415)),
        ] {
            let told = read(&headers, body.as_bytes()).err().map(|why| why.status().as_u16());
            assert_eq!(told, wanted, "{headers:?} {body:.40}");
        }
        assert_eq!(read(&[JSON], b"\"\xff\"").err().map(|why| why.status().as_u16()), Some(400));
    }
}
