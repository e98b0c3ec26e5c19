//! Whether an active silence of an Alertmanager matches the labels: people are at work there.

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;
use regreen_schemas::{check::Status, view::Access};
use reqwest::Method;
use serde::Deserialize;

use super::{
    Failed, Found,
    access::{self, Door, Reply},
};

/// A silence; fields that we do not need differ between versions.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Silence {
    status: State,
    matchers: Vec<Matcher>,
    ends_at: String,
    created_by: String,
    comment: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Matcher {
    name: String,
    value: String,
    #[serde(default)]
    is_regex: bool,
    /// Versions before 0.22 know no other.
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

type Labels = BTreeMap<Arc<str>, Arc<str>>;

pub async fn look(door: &Door, url: &str, labels: &Labels, access: &Access) -> Result<Found, Failed> {
    let url = access::url(url, &["api", "v2", "silences"], &[])?;
    let reply = access::ask(door.request(Method::GET, url, access)?).await?;
    judge(&reply, labels)
}

fn judge(reply: &Reply, labels: &Labels) -> Result<Found, Failed> {
    let unclear = |_| Failed::Blind(format!("Alertmanager answers {}", reply.status));
    let mut silences: Vec<Silence> = serde_json::from_slice(&reply.body).map_err(unclear)?;
    silences.retain(|silence| silence.status.state == "active");
    // Times of one form and zone: their order is that of the text.
    silences.sort_by(|one, other| other.ends_at.cmp(&one.ends_at));
    let mut found = Ok(Found::up());
    for silence in &silences {
        match silence.matches(labels) {
            Ok(false) => {}
            Ok(true) => return Ok(Found::not_up(Status::Degraded, silence.words())),
            Err(matcher) => {
                found = Err(Failed::Blind(format!("a silence's matcher can't be read: {matcher}")));
            }
        }
    }
    found
}

impl Silence {
    /// Whether every matcher does; `Err` with one that can't be read and that it depends on.
    fn matches(&self, labels: &Labels) -> Result<bool, &str> {
        let mut unread = None;
        for matcher in &self.matchers {
            match matcher.matches(labels) {
                Some(true) => {}
                Some(false) => return Ok(false),
                None => unread = Some(matcher.value.as_str()),
            }
        }
        unread.map_or(Ok(!self.matchers.is_empty()), Err)
    }

    fn words(&self) -> String {
        let Self { ends_at, created_by, comment, .. } = self;
        format!("silenced until {ends_at} by {created_by}: {comment}")
    }
}

impl Matcher {
    /// As Alertmanager does: a label that is not there is empty, an expression is anchored.
    fn matches(&self, labels: &Labels) -> Option<bool> {
        let value = labels.get(self.name.as_str()).map_or("", AsRef::as_ref);
        let equal = if self.is_regex {
            Regex::new(&format!("^(?:{})$", self.value)).ok()?.is_match(value)
        } else {
            self.value == value
        };
        Some(equal == self.is_equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(state: &str, matchers: &str, end: &str) -> String {
        format!(
            r#"{{"id":"1","status":{{"state":"{state}"}},"updatedAt":"2026-01-01T00:00:00.000Z","comment":"disks","createdBy":"ann","startsAt":"2026-01-01T00:00:00.000Z","endsAt":"{end}","matchers":[{matchers}]}}"#
        )
    }

    #[test]
    fn an_active_silence_that_matches_is_told() {
        let labels: Labels = [("alertname", "DiskFull"), ("cluster", "es-a")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        let (early, late) = ("2026-01-02T00:00:00.000Z", "2026-01-03T00:00:00.000Z");
        let is = |name: &str, value: &str, regex: bool, equal: bool| {
            format!(r#"{{"name":"{name}","value":"{value}","isRegex":{regex},"isEqual":{equal}}}"#)
        };
        let old = r#"{"name":"cluster","value":"es-a","isRegex":false}"#;
        let same = is("cluster", "es-a", false, true);
        let hit = "silenced until 2026-01-02T00:00:00.000Z by ann: disks";
        let one = |matchers: &str| silence("active", matchers, early);
        let table = [
            (vec![], Status::Up, ""),
            (vec![one(&same)], Status::Degraded, hit),
            (vec![one(old)], Status::Degraded, hit),
            (vec![one(&is("cluster", "es-.", true, true))], Status::Degraded, hit),
            (vec![one(&is("cluster", "es", true, true))], Status::Up, ""),
            (vec![one(&is("cluster", "es-b|es-a", true, true))], Status::Degraded, hit),
            (vec![one(&is("cluster", "es-b", false, false))], Status::Degraded, hit),
            (vec![one(&is("zone", "", false, true))], Status::Degraded, hit),
            (vec![one(&is("zone", ".+", true, false))], Status::Degraded, hit),
            (vec![one(&format!("{same},{}", is("alertname", "Other", false, true)))], Status::Up, ""),
            (vec![one("")], Status::Up, ""),
            (vec![silence("expired", &same, early)], Status::Up, ""),
            (vec![silence("pending", &same, early)], Status::Up, ""),
            (
                vec![one(&same), silence("active", &same, late)],
                Status::Degraded,
                "silenced until 2026-01-03T00:00:00.000Z by ann: disks",
            ),
            (vec![one(&is("cluster", "(", true, true)), one(&same)], Status::Degraded, hit),
        ];
        for (silences, status, reason) in table {
            let reply = Reply { status: 200, body: format!("[{}]", silences.join(",")).into() };
            let found = judge(&reply, &labels).expect("silences");
            assert_eq!((found.status, found.reason.as_ref()), (status, reason), "{silences:?}");
        }
        let unread = one(&is("cluster", "(", true, true));
        for body in [format!("[{unread}]"), "{}".into(), "<html>".into()] {
            assert!(judge(&Reply { status: 200, body: body.clone().into() }, &labels).is_err(), "{body}");
        }
    }
}
