//! GET, and what is expected of the answer.

use std::time::Duration;

use regreen_kit::clock;
use regreen_schemas::{
    Timestamp,
    view::{Check, Http, HttpMeasure},
};
use reqwest::{Method, StatusCode, header::HeaderMap, tls::TlsInfo};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Failed, Found,
    access::{Door, no_answer, parse, read},
    tls,
};

/// Longest body that is read, in bytes. It is read only when something in it is expected.
const BODY_MAX: usize = 1024 * 1024;

/// What came.
#[derive(Default)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    latency: Duration,
    /// The server's certificate in DER.
    certificate: Option<Vec<u8>>,
    /// The body, if it is JSON.
    document: Option<Value>,
}

pub async fn look(door: &Door, check: &Check, http: &Http) -> Result<Found, Failed> {
    let request = door.request(Method::GET, parse(&http.url)?, &http.access)?;
    let began = Instant::now();
    let response = request.send().await.map_err(no_answer)?;
    let mut answer = Answer {
        status: response.status(),
        headers: response.headers().clone(),
        latency: began.elapsed(),
        certificate: response
            .extensions()
            .get::<TlsInfo>()
            .and_then(TlsInfo::peer_certificate)
            .map(<[u8]>::to_vec),
        document: None,
    };
    if !http.json.is_empty() || matches!(http.measure, HttpMeasure::Value(_)) {
        answer.document = serde_json::from_slice(&read(response, BODY_MAX).await?).ok();
    }
    judge(check, http, &answer, clock::wall())
}

fn judge(check: &Check, http: &Http, answer: &Answer, now: Timestamp) -> Result<Found, Failed> {
    if let Some(why) = wrong(http, answer) {
        return Ok(Found::down(why));
    }
    match &http.measure {
        HttpMeasure::Latency => {
            let ms = answer.latency.as_secs_f64() * 1000.0;
            Ok(Found::measured(check, ms, format!("{ms:.0} ms")))
        }
        HttpMeasure::TlsDays => {
            let certificate = answer.certificate.as_deref();
            let certificate = certificate.ok_or_else(|| Failed::Blind("there is no certificate".into()))?;
            tls::judge(check, certificate, now)
        }
        HttpMeasure::Value(pointer) => {
            let value = answer.document.as_ref().and_then(|document| document.pointer(pointer)?.as_f64());
            let value = value.ok_or_else(|| Failed::Blind(format!("there is no number at `{pointer}`")))?;
            Ok(Found::measured(check, value, format!("`{pointer}` is {value}")))
        }
    }
}

/// The first thing that is not as expected.
fn wrong(http: &Http, answer: &Answer) -> Option<String> {
    let status = answer.status;
    let accepted = match http.accept.as_slice() {
        [] => status.is_success(),
        accept => accept.contains(&status.as_u16()),
    };
    if !accepted {
        return Some(status.as_str().into());
    }
    for (name, expected) in &http.header {
        if !answer.headers.contains_key(name.as_ref()) {
            return Some(format!("there is no header `{name}`"));
        }
        if !answer.headers.get_all(name.as_ref()).iter().any(|value| value.as_bytes() == expected.as_bytes())
        {
            return Some(format!("header `{name}` is not `{expected}`"));
        }
    }
    if !http.json.is_empty() && answer.document.is_none() {
        return Some("the body is no JSON".into());
    }
    http.json.iter().find_map(|(pointer, expected)| {
        match answer.document.as_ref().and_then(|document| document.pointer(pointer)) {
            None => Some(format!("there is nothing at `{pointer}`")),
            Some(found) if same(found, expected) => None,
            Some(found) => Some(format!("`{pointer}` is {found}, not {expected}")),
        }
    })
}

/// Whether two values are the same: 1 is 1.0.
fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|number| other.as_f64() == Some(number))
}

#[cfg(test)]
mod tests {
    use regreen_schemas::{
        check::Status,
        view::{Bound, Kind},
    };
    use serde_json::json;

    use super::*;
    use crate::look::check_of;

    fn judged(http: Value, status: u16, headers: &[(&'static str, &str)], body: &str) -> (Status, String) {
        let http: Http = serde_json::from_value(http).expect("a check");
        let mut answer = Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            latency: Duration::from_millis(212),
            document: serde_json::from_str(body).ok(),
            ..Answer::default()
        };
        for (name, value) in headers {
            answer.headers.append(*name, value.parse().expect("a value"));
        }
        let bounds = (Some(Bound::Above(200.0)), Some(Bound::Above(1000.0)));
        let check = check_of(Kind::Http(http.clone()), bounds.0, bounds.1);
        let found = judge(&check, &http, &answer, Timestamp(0))
            .unwrap_or_else(|failed| failed.judge(&Kind::Http(http.clone())));
        (found.status, found.reason.to_string())
    }

    #[test]
    fn an_answer_is_judged_by_status_headers_values_and_number() {
        let value = |pointer: &str| json!({"url": "", "measure": {"value": pointer}});
        let json = |pointer: &str, value: Value| json!({"url": "", "json": {pointer: value}, "measure": {"value": "/n"}});
        let plain = json!({"url": ""});
        let header = json!({"url": "", "header": {"X-Role": "primary"}, "measure": {"value": "/n"}});
        let days = json!({"url": "", "measure": "tls_days"});
        let table = [
            (plain.clone(), 200, vec![], "", Status::Degraded, "212 ms"),
            (plain.clone(), 301, vec![], "", Status::Down, "301"),
            (plain, 503, vec![], "", Status::Down, "503"),
            (json!({"url": "", "accept": [503]}), 503, vec![], "", Status::Degraded, "212 ms"),
            (json!({"url": "", "accept": [503]}), 200, vec![], "", Status::Down, "200"),
            (header.clone(), 200, vec![("x-role", "primary")], "{\"n\":1}", Status::Up, ""),
            (header.clone(), 200, vec![("x-role", "a"), ("x-role", "primary")], "{\"n\":1}", Status::Up, ""),
            (
                header.clone(),
                200,
                vec![("x-role", "replica")],
                "",
                Status::Down,
                "header `X-Role` is not `primary`",
            ),
            (header, 200, vec![], "", Status::Down, "there is no header `X-Role`"),
            (json("/a/b", json!("ok")), 200, vec![], r#"{"a":{"b":"ok"},"n":1}"#, Status::Up, ""),
            (json("/a", json!(1)), 200, vec![], r#"{"a":1.0,"n":1}"#, Status::Up, ""),
            (
                json("/a", json!("ok")),
                200,
                vec![],
                r#"{"a":"red"}"#,
                Status::Down,
                r#"`/a` is "red", not "ok""#,
            ),
            (json("/a", json!("ok")), 200, vec![], "{}", Status::Down, "there is nothing at `/a`"),
            (json("/a", json!("ok")), 200, vec![], "<html>", Status::Down, "the body is no JSON"),
            (value("/q/0"), 200, vec![], r#"{"q":[2000]}"#, Status::Down, "`/q/0` is 2000"),
            (value("/q"), 200, vec![], r#"{"q":"7"}"#, Status::Unknown, "there is no number at `/q`"),
            (value("/q"), 200, vec![], "<html>", Status::Unknown, "there is no number at `/q`"),
            (days, 200, vec![], "", Status::Unknown, "there is no certificate"),
        ];
        for (http, status, headers, body, expected, reason) in table {
            let said = judged(http.clone(), status, &headers, body);
            assert_eq!(said, (expected, reason.to_owned()), "{http} {status} {body}");
        }
    }
}
