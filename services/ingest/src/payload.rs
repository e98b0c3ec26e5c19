//! Alertmanager's webhook payload, version 4 (its documentation, "webhook_config"): read leniently where it may
//! grow, strictly where we act on it. Half-valid payloads give their good alerts.

use std::sync::Arc;

use chrono::DateTime;
use regreen_schemas::{
    Fingerprint, Timestamp,
    alert::{ALERT_BYTES_MAX, ALERTS_PER_ITEM, Alert, Labels, Status},
    fact::Alerts,
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Largest item: its events must fit into one record beside it.
const ITEM_BYTES_MAX: usize = 96 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    version: Option<&'a str>,
    #[serde(default)]
    receiver: Arc<str>,
    #[serde(default)]
    group_key: Arc<str>,
    #[serde(default, rename = "externalURL")]
    external_url: Arc<str>,
    #[serde(default)]
    truncated_alerts: u64,
    #[serde(borrow)]
    alerts: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming {
    status: Status,
    labels: Labels,
    #[serde(default)]
    annotations: Labels,
    starts_at: String,
    #[serde(default)]
    ends_at: String,
    #[serde(default, rename = "generatorURL")]
    generator_url: Arc<str>,
    fingerprint: Fingerprint,
}

/// What a payload holds.
pub struct Parsed {
    /// The good alerts, in items that may be stored.
    pub items: Vec<Alerts>,
    /// How many good alerts there are.
    pub alerts: usize,
    /// Alerts cut off by Alertmanager.
    pub truncated: u64,
    /// The bad ones, as they came, with what is wrong.
    pub bad: Vec<(String, String)>,
}

/// Reads a payload.
///
/// # Errors
/// Why it is no payload of version 4 at all.
pub fn parse(bytes: &[u8], trace: Option<Arc<str>>) -> Result<Parsed, String> {
    let payload: Payload<'_> =
        serde_json::from_slice(bytes).map_err(|error| format!("not Alertmanager's payload: {error}"))?;
    if payload.version.is_some_and(|version| version != "4") {
        return Err(format!(
            "payload version {}; version 4 is read here",
            payload.version.unwrap_or_default()
        ));
    }
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for raw in payload.alerts {
        match alert(raw.get()) {
            Ok(alert) => good.push((raw.get().len(), alert)),
            Err(why) => bad.push((raw.get().to_owned(), why)),
        }
    }
    let (alerts, truncated) = (good.len(), payload.truncated_alerts);
    let frame = |alerts| Alerts {
        receiver: payload.receiver.clone(),
        group_key: payload.group_key.clone(),
        external_url: payload.external_url.clone(),
        truncated,
        alerts,
        trace: trace.clone(),
    };
    let (mut items, mut batch, mut size) = (Vec::new(), Vec::new(), 0);
    for (length, alert) in good {
        if !batch.is_empty() && (batch.len() == ALERTS_PER_ITEM || size + length > ITEM_BYTES_MAX) {
            items.push(frame(std::mem::take(&mut batch)));
            size = 0;
        }
        size += length;
        batch.push(alert);
    }
    // A payload without alerts that was cut still says that it was cut.
    if !batch.is_empty() || truncated > 0 {
        items.push(frame(batch));
    }
    Ok(Parsed { items, alerts, truncated, bad })
}

fn alert(text: &str) -> Result<Alert, String> {
    if text.len() > ALERT_BYTES_MAX {
        return Err(format!("an alert of {} bytes; {ALERT_BYTES_MAX} are read", text.len()));
    }
    let incoming: Incoming = serde_json::from_str(text).map_err(|error| format!("not an alert: {error}"))?;
    let fingerprint = incoming.fingerprint.as_str();
    if fingerprint.is_empty()
        || fingerprint.len() > 64
        || !fingerprint.bytes().all(|b| b.is_ascii_alphanumeric())
    {
        return Err("its fingerprint is none".into());
    }
    let starts_at = time(&incoming.starts_at)?.ok_or("startsAt is missing")?;
    Ok(Alert {
        status: incoming.status,
        fingerprint: incoming.fingerprint,
        labels: incoming.labels,
        annotations: incoming.annotations,
        starts_at,
        ends_at: if incoming.status == Status::Resolved { time(&incoming.ends_at)? } else { None },
        generator_url: incoming.generator_url,
    })
}

/// RFC 3339; Go's zero time means none.
fn time(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() || text.starts_with("0001-") {
        return Ok(None);
    }
    let parsed =
        DateTime::parse_from_rfc3339(text).map_err(|error| format!("`{text}` is no time: {error}"))?;
    Ok(Some(Timestamp(parsed.timestamp_millis())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALERT: &str = r#"{"status":"firing","labels":{"alertname":"A","n":"1"},"annotations":{},"startsAt":"2026-11-20T11:45:23.297915718Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"c5ffedcb9d39b69c","new":1}"#;

    fn payload(alerts: &str) -> String {
        format!(
            r#"{{"version":"4","receiver":"r","groupKey":"g","unknown":{{"x":1}},"truncatedAlerts":2,"alerts":[{alerts}]}}"#
        )
    }

    #[test]
    fn unknown_fields_are_accepted_and_times_are_milliseconds() {
        let parsed = parse(payload(ALERT).as_bytes(), None).expect("readable");
        assert_eq!((parsed.alerts, parsed.truncated, parsed.bad.len()), (1, 2, 0));
        let alert = &parsed.items[0].alerts[0];
        assert_eq!((alert.starts_at, alert.ends_at), (Timestamp(1_795_175_123_297), None));
    }

    #[test]
    fn a_half_valid_payload_gives_its_good_half() {
        let parsed = parse(payload(&format!(r#"{ALERT},{{"status":"firing"}},7"#)).as_bytes(), None)
            .expect("readable");
        assert_eq!((parsed.alerts, parsed.bad.len()), (1, 2));
        assert!(parsed.bad[0].1.contains("labels"), "{}", parsed.bad[0].1);
    }

    #[test]
    fn what_is_no_payload_is_told() {
        for wrong in ["", "[]", "{}", r#"{"version":"3","alerts":[]}"#, r#"{"alerts":{}}"#] {
            assert!(parse(wrong.as_bytes(), None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn items_are_bounded() {
        let many = vec![ALERT; 100].join(",");
        let parsed = parse(payload(&many).as_bytes(), None).expect("readable");
        assert_eq!(parsed.items.iter().map(|item| item.alerts.len()).collect::<Vec<_>>(), [32, 32, 32, 4]);
    }
}
