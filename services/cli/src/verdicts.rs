//! `regreen verdicts`: what every check says, from VIEW alone, so that it answers at once however long the log is. A
//! verdict that has expired says nothing, and is shown so.

use std::{collections::BTreeMap, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use regreen_bus::{Bus, view};
use regreen_decider::State;
use regreen_kit::clock;
use regreen_schemas::{
    CheckName, Span, Timestamp,
    check::Status,
    view::{Checks, Verdict},
};
use serde::Serialize;
use serde_json::json;

use crate::{args::Connect, client, out};

/// Arguments of `verdicts`.
#[derive(clap::Args)]
pub struct Options {
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Only those that are degraded, down or unknown.
    #[arg(long)]
    not_up: bool,
    #[command(flatten)]
    connect: Connect,
}

/// What a check's verdict says at a moment.
#[derive(Debug, Serialize)]
pub struct Said {
    /// The check.
    pub check: CheckName,
    /// Unknown without a verdict, and when it has expired.
    pub status: Status,
    /// Since when it has been so, or was.
    pub since: Option<Timestamp>,
    /// How long that is ago.
    pub age: Option<Span>,
    /// It says nothing any more.
    pub expired: bool,
    /// What it said before it expired.
    pub was: Option<Status>,
    /// What a vantage that agrees with it saw.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: Arc<str>,
}

/// How many of each; `expired` are among the unknown.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    up: usize,
    degraded: usize,
    down: usize,
    unknown: usize,
    expired: usize,
}

impl Counts {
    /// Counts statuses.
    pub fn of(statuses: impl Iterator<Item = Status>) -> Self {
        let mut counts = Self::default();
        for status in statuses {
            *match status {
                Status::Up => &mut counts.up,
                Status::Degraded => &mut counts.degraded,
                Status::Down => &mut counts.down,
                Status::Unknown => &mut counts.unknown,
            } += 1;
        }
        counts
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { up, degraded, down, unknown, expired } = self;
        write!(out, "{up} up, {degraded} degraded, {down} down, {unknown} unknown")?;
        if *expired > 0 {
            write!(out, " ({expired} expired)")?;
        }
        Ok(())
    }
}

/// What the log says of the checks in force. A check of the list that has no verdict yet is unknown; without the list,
/// every verdict of the log stands, also of checks that are gone.
pub fn standing(state: &State, checks: Option<&Checks>) -> BTreeMap<CheckName, (Status, Option<Timestamp>)> {
    let said = |check: &CheckName| match state.verdicts.get(check) {
        Some((status, since)) => (*status, Some(*since)),
        None => (Status::Unknown, None),
    };
    match checks {
        Some(list) => list.checks.iter().map(|check| (check.name.clone(), said(&check.name))).collect(),
        None => state.verdicts.keys().map(|check| (check.clone(), said(check))).collect(),
    }
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let bus = client::connect(&options.connect).await?.bus;
    let (list, verdicts) = read(&bus).await?;
    let now = clock::wall();
    let all = list.checks.iter().map(|check| judge(&check.name, verdicts.get(&check.name), now));
    let mut all: Vec<Said> = all.collect();
    let counts = count(&all);
    all.retain(|said| !options.not_up || said.status != Status::Up);
    if options.json {
        out::json(&json!({"verdicts": all, "counts": counts}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = all.iter().map(|said| {
        let since = said.since.map_or_else(|| "-".to_owned(), |since| since.to_string());
        let age = said.age.map_or_else(|| "-".to_owned(), out::age);
        vec![said.check.to_string(), said.status.word().to_owned(), since, age, note(said)]
    });
    out::table(&["CHECK", "VERDICT", "SINCE", "AGE", "WHY"], rows.collect());
    out::line(&format!("{} checks: {counts}", list.checks.len()));
    Ok(ExitCode::SUCCESS)
}

/// The list of checks, and all verdicts.
pub async fn read(bus: &Bus) -> anyhow::Result<(Checks, BTreeMap<CheckName, Verdict>)> {
    let list = view::checks(bus).await?.context("no checks are in force: see `regreen status`")?;
    Ok((list, view::all_verdicts(bus).await?))
}

/// What a verdict says at a moment.
pub fn judge(check: &CheckName, verdict: Option<&Verdict>, now: Timestamp) -> Said {
    let check = check.clone();
    let Some(verdict) = verdict else {
        return Said {
            check,
            status: Status::Unknown,
            since: None,
            age: None,
            expired: false,
            was: None,
            reason: "".into(),
        };
    };
    let expired = now > verdict.expires;
    Said {
        check,
        status: if expired { Status::Unknown } else { verdict.status },
        since: Some(verdict.since),
        age: Some(now - verdict.since),
        expired,
        was: expired.then_some(verdict.status),
        reason: verdict.reason.clone(),
    }
}

/// Why a status is what it is.
pub fn note(said: &Said) -> String {
    match said.was {
        Some(was) => format!("expired, was {}", was.word()),
        None if said.since.is_none() => "no verdict yet".to_owned(),
        None => out::plain(&said.reason),
    }
}

fn count(all: &[Said]) -> Counts {
    let expired = all.iter().filter(|said| said.expired).count();
    Counts { expired, ..Counts::of(all.iter().map(|said| said.status)) }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::fixture;

    pub fn verdict(status: Status, expires: i64) -> Verdict {
        let (since, as_of) = (Timestamp(1_000), Timestamp(2_000));
        Verdict {
            v: 1,
            genesis: Default::default(),
            seq: 1,
            status,
            reason: "".into(),
            since,
            as_of,
            expires: Timestamp(expires),
        }
    }

    #[test]
    fn an_expired_verdict_says_nothing_and_says_so() {
        let check = CheckName::from("web/one");
        let fresh = judge(&check, Some(&verdict(Status::Up, 5_000)), Timestamp(5_000));
        assert_eq!((fresh.status, fresh.expired, note(&fresh)), (Status::Up, false, String::new()));
        assert_eq!(fresh.age, Some(Span::seconds(4)));
        let old = judge(&check, Some(&verdict(Status::Up, 5_000)), Timestamp(5_001));
        assert_eq!((old.status, old.was), (Status::Unknown, Some(Status::Up)));
        assert_eq!(note(&old), "expired, was up");
        let none = judge(&check, None, Timestamp(5_000));
        assert_eq!((none.status, note(&none).as_str()), (Status::Unknown, "no verdict yet"));
        assert_eq!(count(&[fresh, old, none]).to_string(), "1 up, 0 degraded, 0 down, 2 unknown (1 expired)");
    }

    #[test]
    fn what_stands_are_the_checks_in_force() {
        let state = fixture::busy();
        let list = Checks {
            checks: vec![fixture::check("web/one"), fixture::check("web/new")],
            ..Checks::default()
        };
        let stands = standing(&state, Some(&list));
        assert_eq!(stands.len(), 2, "what has left the list does not stand");
        assert_eq!(stands[&CheckName::from("web/one")].0, Status::Down);
        assert_eq!(stands[&CheckName::from("web/new")], (Status::Unknown, None));
        assert_eq!(standing(&state, None).len(), state.verdicts.len());
    }
}
