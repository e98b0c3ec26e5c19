//! Alertmanager's webhook payload, version 4 (its documentation, "webhook_config"): read leniently where it may
//! grow, strictly where we act on it. Half-valid payloads give their good alerts.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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
    group_labels: BTreeMap<String, String>,
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
    /// Its other fields: what each item repeats.
    frame: Alerts,
    /// What its alerts have in common.
    pub group_labels: BTreeMap<String, String>,
    /// The good alerts, with the bytes that each takes.
    pub good: Vec<(usize, Alert)>,
    /// The bad ones, as they came, with what is wrong.
    pub bad: Vec<(String, String)>,
}

impl Parsed {
    /// Whose payload it is.
    pub fn receiver(&self) -> &str {
        &self.frame.receiver
    }

    /// Alerts cut off by Alertmanager.
    pub fn truncated(&self) -> u64 {
        self.frame.truncated
    }

    /// What was cut off is there after all.
    pub fn complete(&mut self, rest: Vec<(usize, Alert)>) {
        let known: BTreeSet<Fingerprint> =
            self.good.iter().map(|(_, alert)| alert.fingerprint.clone()).collect();
        self.good.extend(rest.into_iter().filter(|(_, alert)| !known.contains(&alert.fingerprint)));
        self.frame.truncated = 0;
    }

    /// The good alerts in items that may be stored.
    pub fn items(&mut self) -> Vec<Alerts> {
        let frame = |alerts| Alerts { alerts, ..self.frame.clone() };
        let (mut items, mut batch, mut size) = (Vec::new(), Vec::new(), 0);
        for (length, alert) in self.good.drain(..) {
            if !batch.is_empty() && (batch.len() == ALERTS_PER_ITEM || size + length > ITEM_BYTES_MAX) {
                items.push(frame(std::mem::take(&mut batch)));
                size = 0;
            }
            size += length;
            batch.push(alert);
        }
        // A payload without alerts that was cut still says that it was cut.
        if !batch.is_empty() || self.frame.truncated > 0 {
            items.push(frame(batch));
        }
        items
    }
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
    let frame = Alerts {
        receiver: payload.receiver,
        group_key: payload.group_key,
        external_url: payload.external_url,
        truncated: payload.truncated_alerts,
        alerts: Vec::new(),
        trace,
    };
    Ok(Parsed { frame, group_labels: payload.group_labels, good, bad })
}

/// An alert as `GET /api/v2/alerts` gives it (Alertmanager's OpenAPI description, `gettableAlert`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Active<'a> {
    #[serde(borrow)]
    receivers: Vec<Receiver<'a>>,
    labels: Labels,
    #[serde(default)]
    annotations: Labels,
    starts_at: String,
    #[serde(default, rename = "generatorURL")]
    generator_url: Arc<str>,
    fingerprint: Fingerprint,
}

#[derive(Deserialize)]
struct Receiver<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// Reads Alertmanager's own list of active alerts: those that go to this receiver.
///
/// # Errors
/// Why it is no list of alerts, or which alert in it is none.
pub fn active(bytes: &[u8], receiver: &str) -> Result<Vec<(usize, Alert)>, String> {
    let list: Vec<&RawValue> =
        serde_json::from_slice(bytes).map_err(|error| format!("no list of alerts: {error}"))?;
    let mut ours = Vec::new();
    for raw in list {
        let active: Active<'_> =
            serde_json::from_str(raw.get()).map_err(|error| format!("not an alert: {error}"))?;
        if !active.receivers.iter().any(|found| found.name == receiver) {
            continue;
        }
        let incoming = Incoming {
            status: Status::Firing,
            labels: active.labels,
            annotations: active.annotations,
            starts_at: active.starts_at,
            ends_at: String::new(),
            generator_url: active.generator_url,
            fingerprint: active.fingerprint,
        };
        ours.push((raw.get().len(), incoming.checked()?));
    }
    Ok(ours)
}

fn alert(text: &str) -> Result<Alert, String> {
    if text.len() > ALERT_BYTES_MAX {
        return Err(format!("an alert of {} bytes; {ALERT_BYTES_MAX} are read", text.len()));
    }
    let incoming: Incoming = serde_json::from_str(text).map_err(|error| format!("not an alert: {error}"))?;
    incoming.checked()
}

impl Incoming {
    fn checked(self) -> Result<Alert, String> {
        let fingerprint = self.fingerprint.as_str();
        if fingerprint.is_empty()
            || fingerprint.len() > 64
            || !fingerprint.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return Err("its fingerprint is none".into());
        }
        let starts_at = time(&self.starts_at)?.ok_or("startsAt is missing")?;
        Ok(Alert {
            status: self.status,
            fingerprint: self.fingerprint,
            labels: self.labels,
            annotations: self.annotations,
            starts_at,
            ends_at: if self.status == Status::Resolved { time(&self.ends_at)? } else { None },
            generator_url: self.generator_url,
        })
    }
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
        let mut parsed = parse(payload(ALERT).as_bytes(), None).expect("readable");
        assert_eq!((parsed.good.len(), parsed.truncated(), parsed.bad.len()), (1, 2, 0));
        let alert = &parsed.items()[0].alerts[0];
        assert_eq!((alert.starts_at, alert.ends_at), (Timestamp(1_795_175_123_297), None));
    }

    #[test]
    fn a_half_valid_payload_gives_its_good_half() {
        let parsed = parse(payload(&format!(r#"{ALERT},{{"status":"firing"}},7"#)).as_bytes(), None)
            .expect("readable");
        assert_eq!((parsed.good.len(), parsed.bad.len()), (1, 2));
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
        let mut parsed = parse(payload(&many).as_bytes(), None).expect("readable");
        assert_eq!(parsed.items().iter().map(|item| item.alerts.len()).collect::<Vec<_>>(), [32, 32, 32, 4]);
    }

    #[test]
    fn the_rest_is_what_goes_to_the_same_receiver_and_is_not_here_yet() {
        let active_alert = |receiver: &str, fingerprint: &str| {
            format!(
                r#"{{"annotations":{{}},"endsAt":"2026-11-20T11:50:23.000Z","fingerprint":"{fingerprint}","receivers":[{{"name":"{receiver}"}}],"startsAt":"2026-11-20T11:45:23.297Z","status":{{"inhibitedBy":[],"silencedBy":[],"state":"active"}},"updatedAt":"2026-11-20T11:45:23.297Z","generatorURL":"http://p","labels":{{"alertname":"A"}}}}"#
            )
        };
        let list = [("r", "c5ffedcb9d39b69c"), ("r", "b"), ("other", "c")]
            .map(|(r, f)| active_alert(r, f))
            .join(",");
        let rest = active(format!("[{list}]").as_bytes(), "r").expect("a list");
        let mut parsed = parse(payload(ALERT).as_bytes(), None).expect("readable");
        parsed.complete(rest);
        let items = parsed.items();
        assert_eq!(items[0].truncated, 0);
        let found: Vec<_> =
            items[0].alerts.iter().map(|alert| (alert.fingerprint.as_str(), alert.ends_at)).collect();
        assert_eq!(found, [("c5ffedcb9d39b69c", None), ("b", None)], "the end that it expects is no end");
    }
}
