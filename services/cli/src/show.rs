//! What a person reads of runs and alerts. Alerts are folded from the log itself: they are true even when no engine
//! runs.

use std::{process::ExitCode, time::Duration};

use regreen_bus::stories;
use regreen_engine::recover;
use regreen_schemas::{
    RunId,
    event::RunEvent,
    run::{Decision, Outcome},
    story::Line,
};
use serde_json::json;

use crate::{args::Connect, client, operate, out};

/// `regreen runs`.
#[derive(clap::Subcommand)]
pub enum Runs {
    /// All runs that RUNS holds, newest last.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connect: Connect,
    },
    /// Ends a run: what is under way is settled, nothing more begins. Nothing that was done is undone.
    #[command(
        after_help = "Example:\n  regreen runs cancel udn54g4hzoba3iz4 --reason 'the node is being replaced by hand'"
    )]
    Cancel {
        /// The run.
        run: String,
        /// Why, for those who read its story.
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        connect: Connect,
    },
    /// One run's story.
    Show {
        /// The run.
        run: String,
        /// Goes on until it has ended.
        #[arg(long)]
        follow: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connect: Connect,
    },
}

/// `regreen alerts`.
#[derive(clap::Subcommand)]
pub enum Alerts {
    /// Alerts that are open or closed lately, with what became of them.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connect: Connect,
    },
}

pub async fn runs(command: Runs) -> anyhow::Result<ExitCode> {
    match command {
        Runs::List { json, connect } => list_runs(json, &connect).await,
        Runs::Cancel { run, reason, connect } => operate::cancel(&RunId::from(run), &reason, &connect).await,
        Runs::Show { run, follow, json, connect } => {
            show_run(&RunId::from(run), follow, json, &connect).await
        }
    }
}

async fn list_runs(json: bool, connect: &Connect) -> anyhow::Result<ExitCode> {
    let bus = client::connect(connect).await?.bus;
    let mut found = stories::all(&bus).await?;
    found.sort_by_key(|story| story.started);
    if json {
        out::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = found.iter().map(|story| {
        let result = story.result.map_or("open", |result| result.word());
        let took = story.ended.map_or_else(String::new, |ended| (ended - story.started).to_string());
        vec![
            story.run.to_string(),
            story.playbook.to_string(),
            story.target.as_deref().unwrap_or("-").to_owned(),
            story.started.to_string(),
            result.to_owned(),
            took,
        ]
    });
    out::table(&["RUN", "PLAYBOOK", "TARGET", "STARTED", "RESULT", "TOOK"], rows.collect());
    Ok(ExitCode::SUCCESS)
}

async fn show_run(run: &RunId, follow: bool, json: bool, connect: &Connect) -> anyhow::Result<ExitCode> {
    let bus = client::connect(connect).await?.bus;
    let mut shown = 0;
    loop {
        let Some((_, story)) = stories::held(&bus, run).await? else {
            out::error(&format!("there is no run {run}"));
            return Ok(ExitCode::from(1));
        };
        let ended = story.result.is_some();
        if json && (ended || !follow) {
            out::json(&story)?;
        }
        if !json {
            for line in story.lines.iter().skip(shown) {
                out::line(&told(line)?);
            }
            shown = story.lines.len();
        }
        if ended || !follow {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A line of a story: why a step waits in words, all else as it stands in the log.
pub fn told(line: &Line) -> serde_json::Result<String> {
    let said = match &line.what {
        what @ RunEvent::Paced { .. } => what.said(),
        _ => None,
    };
    let words =
        said.map_or_else(|| Ok(words(&serde_json::to_value(&line.what)?)), Ok::<_, serde_json::Error>)?;
    Ok(format!("{}  {words}", line.at))
}

/// An event in a line: its name, then its fields.
pub fn words(event: &serde_json::Value) -> String {
    match event {
        serde_json::Value::Object(map) if map.len() == 1 => {
            let (name, fields) = map.iter().next().expect("invariant: one entry");
            let fields = fields.as_object().map(|fields| {
                let shown = fields.iter().map(|(key, value)| match value {
                    serde_json::Value::String(text) => format!("{key}={text}"),
                    other => format!("{key}={other}"),
                });
                shown.collect::<Vec<_>>().join(" ")
            });
            format!("{name:<16} {}", fields.unwrap_or_default())
        }
        serde_json::Value::String(name) => name.clone(),
        other => other.to_string(),
    }
}

/// A decision in a few words.
pub fn decision(decision: &Decision) -> String {
    let outcome = match &decision.outcome {
        Outcome::Started { run } => format!("started run {run}"),
        Outcome::Joined { run } => format!("joined run {run}"),
        Outcome::Blocked(block) => format!("blocked: {block}"),
        Outcome::Skipped(skip) => format!("skipped: {skip}"),
    };
    format!("{}: {outcome}", decision.playbook)
}

pub async fn alerts(command: Alerts) -> anyhow::Result<ExitCode> {
    let Alerts::List { json, connect } = command;
    let bus = client::connect(&connect).await?.bus;
    let state = recover::recover(&bus).await?.state;
    if json {
        let list: Vec<_> = state.episodes.iter().map(|(fingerprint, episode)| json!({
            "fingerprint": fingerprint, "labels": episode.alert.labels, "opened": episode.opened, "heard": episode.heard,
            "closed": episode.closed.map(|(ended, _)| ended), "decisions": episode.decisions,
        })).collect();
        out::json(&list)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = state.episodes.iter().map(|(fingerprint, episode)| {
        let name = episode.alert.labels.get("alertname").map_or("-", |name| name);
        let phase = if episode.closed.is_some() { "resolved" } else { "firing" };
        let decisions = episode.decisions.iter().map(decision).collect::<Vec<_>>().join("\n");
        let decisions = if decisions.is_empty() { "no playbook matches".to_owned() } else { decisions };
        vec![
            fingerprint.to_string(),
            name.to_owned(),
            phase.to_owned(),
            episode.opened.to_string(),
            decisions,
        ]
    });
    out::table(&["FINGERPRINT", "ALERT", "STATUS", "OPENED", "DECISION"], rows.collect());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use regreen_schemas::Timestamp;

    use super::*;

    #[test]
    fn a_step_that_waits_for_a_rate_says_so_in_words() {
        let credential = "digitalocean/key".into();
        let what =
            RunEvent::Paced { instance: "reboot".into(), credential, requests: 10, until: Timestamp(61_000) };
        let line = Line { at: Timestamp(1000), seq: 1, what };
        let waits = "1970-01-01T00:00:01.000Z  reboot: waits for the rate of digitalocean/key until 1970-01-01T00:01:01.000Z";
        assert_eq!(told(&line).expect("plain data"), waits);
    }
}
