//! `regreen checks`: what is looked at, from where, and what that says, from VIEW alone.

use std::process::ExitCode;

use regreen_kit::clock;
use regreen_schemas::view::{Check, Kind};
use serde_json::json;

use crate::{
    args::Connect,
    client, out,
    verdicts::{Said, judge, note, read},
};

/// `regreen checks`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// All checks in force, one for each member, with what the newest verdict says.
    #[command(
        after_help = "Examples:\n  regreen checks list\n  regreen checks list --json | jq '.[] | select(.quorum == 1) | .name'"
    )]
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connect: Connect,
    },
}

pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::List { json, connect } = command;
    let bus = client::connect(&connect).await?.bus;
    let (list, verdicts) = read(&bus).await?;
    let said = |check: &Check| judge(&check.name, verdicts.get(&check.name), clock::wall());
    if json {
        let with = |check| anyhow::Ok(with_verdict(serde_json::to_value(check)?, &said(check)));
        let rows = list.checks.iter().map(with).collect::<Result<Vec<_>, _>>()?;
        out::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = list.checks.iter().map(|check| row(check, &said(check)));
    out::table(&["CHECK", "KIND", "INTERVAL", "VANTAGES", "QUORUM", "VERDICT"], rows.collect());
    Ok(ExitCode::SUCCESS)
}

fn with_verdict(mut check: serde_json::Value, said: &Said) -> serde_json::Value {
    check["verdict"] =
        json!({"status": said.status, "since": said.since, "expired": said.expired, "was": said.was});
    check
}

fn row(check: &Check, said: &Said) -> Vec<String> {
    // A check that is joined from others is looked at by nobody.
    let looked = !matches!(check.kind, Kind::Of { .. });
    let only = |text: String| if looked { text } else { "-".to_owned() };
    let vantages = check.vantages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let note = note(said);
    let verdict = if note.is_empty() {
        said.status.word().to_owned()
    } else {
        format!("{}: {note}", said.status.word())
    };
    vec![
        check.name.to_string(),
        kind(&check.kind).to_owned(),
        only(check.interval.to_string()),
        only(vantages),
        only(format!("{} of {}", check.quorum, check.vantages.len())),
        verdict,
    ]
}

/// The kind's word in YAML.
fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Http(_) => "http",
        Kind::Tcp { .. } => "tcp",
        Kind::Tls { .. } => "tls",
        Kind::Dns { .. } => "dns",
        Kind::Elasticsearch(_) => "elasticsearch",
        Kind::Haproxy { .. } => "haproxy",
        Kind::Prometheus { .. } => "prometheus",
        Kind::Silences { .. } => "silences",
        Kind::Of { .. } => "of",
    }
}

#[cfg(test)]
mod tests {
    use regreen_schemas::{Timestamp, check::Status};

    use super::*;
    use crate::{fixture, verdicts::tests::verdict};

    #[test]
    fn a_row_says_how_a_check_is_looked_at() {
        let check = fixture::check("web/one");
        let said = judge(&check.name, Some(&verdict(Status::Down, 5_000)), Timestamp(5_000));
        assert_eq!(row(&check, &said), ["web/one", "tcp", "10s", "ams, fra", "2 of 2", "down"]);
        let joined =
            Check { kind: Kind::Of { join: regreen_schemas::view::Join::All, checks: Vec::new() }, ..check };
        let nothing = judge(&joined.name, None, Timestamp(0));
        assert_eq!(row(&joined, &nothing), ["web/one", "of", "-", "-", "-", "unknown: no verdict yet"]);
        let shown = with_verdict(serde_json::to_value(&joined).expect("plain data"), &nothing);
        assert_eq!(
            (shown["name"].as_str(), shown["verdict"]["status"].as_str()),
            (Some("web/one"), Some("unknown"))
        );
    }
}
