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
    /// What is in an item already.
    known: BTreeSet<Fingerprint>,
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

    /// The good alerts in items that may be stored. `missing` alerts were cut off, and are not stored elsewhere.
    pub fn items(&mut self, missing: u64) -> Vec<Alerts> {
        let good = std::mem::take(&mut self.good);
        self.known.extend(good.iter().map(|(_, alert)| alert.fingerprint.clone()));
        self.pack(good, missing)
    }

    /// What was fetched and was not in the payload, in items; what is missing even then is still missing.
    pub fn rest(&mut self, mut found: Vec<(usize, Alert)>) -> Vec<Alerts> {
        found.retain(|(_, alert)| self.known.insert(alert.fingerprint.clone()));
        let missing = self.truncated().saturating_sub(u64::try_from(found.len()).unwrap_or(u64::MAX));
        self.pack(found, missing)
    }

    fn pack(&self, alerts: Vec<(usize, Alert)>, missing: u64) -> Vec<Alerts> {
        let frame = |alerts| Alerts { alerts, truncated: missing, ..self.frame.clone() };
        let (mut items, mut batch, mut size) = (Vec::new(), Vec::new(), 0);
        for (length, alert) in alerts {
            if !batch.is_empty() && (batch.len() == ALERTS_PER_ITEM || size + length > ITEM_BYTES_MAX) {
                items.push(frame(std::mem::take(&mut batch)));
                size = 0;
            }
            size += length;
            batch.push(alert);
        }
        // A payload without alerts that was cut still says that it was cut.
        if !batch.is_empty() || missing > 0 {
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
    Ok(Parsed { frame, group_labels: payload.group_labels, good, bad, known: BTreeSet::new() })
}

/// A group as `GET /api/v2/alerts/groups` gives it (Alertmanager's OpenAPI description, `alertGroup`).
#[derive(Deserialize)]
struct Group<'a> {
    labels: BTreeMap<String, String>,
    #[serde(borrow)]
    receiver: Receiver<'a>,
    #[serde(borrow)]
    alerts: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Receiver<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// `gettableAlert` of the same description.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Active {
    labels: Labels,
    #[serde(default)]
    annotations: Labels,
    starts_at: String,
    #[serde(default, rename = "generatorURL")]
    generator_url: Arc<str>,
    fingerprint: Fingerprint,
}

/// Reads Alertmanager's own list of groups: the active alerts of the one that a payload is of. What is no alert, or
/// too large, is left out, and so still missing.
///
/// # Errors
/// Why the group can't be told.
pub fn active(
    bytes: &[u8],
    receiver: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Vec<(usize, Alert)>, String> {
    let groups: Vec<Group<'_>> =
        serde_json::from_slice(bytes).map_err(|error| format!("no list of groups: {error}"))?;
    let ours = |group: &&Group<'_>| group.receiver.name == receiver && group.labels == *labels;
    let mut ours = groups.iter().filter(ours);
    match (ours.next(), ours.next()) {
        (Some(group), None) => {
            Ok(group.alerts.iter().filter_map(|raw| Some((raw.get().len(), firing(raw.get())?))).collect())
        }
        (None, _) => Err("it knows no such group".into()),
        // Another route with the same labels may be muted now: its alerts were kept from us on purpose.
        (Some(_), Some(_)) => Err("two groups for this receiver have the same labels".into()),
    }
}

fn firing(text: &str) -> Option<Alert> {
    if text.len() > ALERT_BYTES_MAX {
        return None;
    }
    let Active { labels, annotations, starts_at, generator_url, fingerprint } =
        serde_json::from_str(text).ok()?;
    let (status, ends_at) = (Status::Firing, String::new());
    Incoming { status, labels, annotations, starts_at, ends_at, generator_url, fingerprint }.checked().ok()
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
        let alert = &parsed.items(2)[0].alerts[0];
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
        assert_eq!(parsed.items(0).iter().map(|item| item.alerts.len()).collect::<Vec<_>>(), [32, 32, 32, 4]);
    }

    #[test]
    fn the_rest_is_the_same_groups_and_not_here_yet() {
        let one = |fingerprint: &str| {
            format!(
                r#"{{"annotations":{{}},"endsAt":"2026-11-20T11:50:23.000Z","fingerprint":"{fingerprint}","receivers":[{{"name":"r"}}],"startsAt":"2026-11-20T11:45:23.297Z","status":{{"inhibitedBy":[],"silencedBy":[],"state":"active"}},"updatedAt":"2026-11-20T11:45:23.297Z","generatorURL":"http://p","labels":{{"alertname":"A"}}}}"#
            )
        };
        let group = |receiver: &str, alerts: &str| {
            format!(
                r#"{{"labels":{{"alertname":"A"}},"receiver":{{"name":"{receiver}"}},"alerts":[{alerts}]}}"#
            )
        };
        let labels = BTreeMap::from([("alertname".to_owned(), "A".to_owned())]);
        let alerts = [one("c5ffedcb9d39b69c"), one("b"), r#"{"labels":7}"#.to_owned()].join(",");
        let list = format!("[{},{}]", group("r", &alerts), group("other", &one("c")));
        let found = active(list.as_bytes(), "r", &labels).expect("a group");
        let mut parsed = parse(payload(ALERT).as_bytes(), None).expect("readable");
        assert_eq!(parsed.items(0).len(), 1);
        let rest = parsed.rest(found);
        let told: Vec<_> =
            rest[0].alerts.iter().map(|alert| (alert.fingerprint.as_str(), alert.ends_at)).collect();
        assert_eq!(told, [("b", None)], "the end that it expects is no end");
        assert_eq!(rest[0].truncated, 1, "two were cut off, one was found");

        let twice = format!("[{0},{0}]", group("r", &one("b")));
        for unclear in [twice.as_str(), "[]", "{}"] {
            assert!(active(unclear.as_bytes(), "r", &labels).is_err(), "{unclear}");
        }
    }
}
