//! `regreen explain`: the log is folded to just before the decision, and the same code that decided judges again,
//! this time telling every clause.

use std::{ops::ControlFlow, process::ExitCode};

use regreen_bus::{Bus, stories, streams};
use regreen_decider::{
    Library, State,
    evaluate::{Clause, Signal, evaluate},
};
use regreen_engine::{
    library,
    recover::{self, Recovered},
};
use regreen_schemas::{
    Fingerprint, RunId, Timestamp,
    alert::Alert,
    event::{Event, Source},
    fact::{self, Item},
    record::{Cause, Record},
    run::{Decision, Outcome},
    subject::FactKind,
};
use serde::Serialize;

use crate::{args::Connect, client, out, show};

/// Arguments.
#[derive(clap::Args)]
pub struct Options {
    /// Fingerprint of an alert, or id of a run.
    what: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// A decision with the state that it was made on.
struct Moment {
    state: State,
    at: Timestamp,
    seq: u64,
    fact: Option<(u64, u32)>,
    decisions: Vec<Decision>,
    again: bool,
}

#[derive(Serialize)]
struct Explained {
    fingerprint: Fingerprint,
    at: Timestamp,
    record: u64,
    decided_again: bool,
    decisions: Vec<Decision>,
    playbooks: Vec<Judged>,
}

#[derive(Serialize)]
struct Judged {
    playbook: String,
    outcome: String,
    clauses: Vec<Said>,
}

#[derive(Serialize)]
struct Said {
    clause: String,
    saw: String,
    passed: bool,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let bus = client::connect(&options.connect).await?.bus;
    let story = stories::held(&bus, &RunId::from(options.what.as_str())).await?;
    let fingerprint = match &story {
        Some((_, story)) => story.fingerprint.clone(),
        None => Some(Fingerprint::from(options.what.as_str())),
    };
    if let Some((_, story)) = &story {
        if options.json {
            out::json(story)?;
        } else {
            out::line(&format!(
                "run {} of {}{}",
                story.run,
                story.playbook,
                story.target.as_ref().map(|t| format!(" on {t}")).unwrap_or_default()
            ));
            for line in &story.lines {
                out::line(&format!("  {}", show::told(line)?));
            }
        }
    }
    let Some(fingerprint) = fingerprint else { return Ok(ExitCode::SUCCESS) };
    let run = story.map(|(_, story)| story.run);
    let Some(explained) = explain(&bus, &fingerprint, run.as_ref()).await? else {
        if run.is_some() {
            out::error(
                "the decision that started it lies behind the audit period: the log no longer holds it",
            );
            return Ok(ExitCode::SUCCESS);
        }
        out::error(&format!(
            "nothing is known of `{}`: neither a run nor an alert's fingerprint; see `regreen alerts list`",
            options.what
        ));
        return Ok(ExitCode::from(1));
    };
    if options.json && run.is_none() {
        out::json(&explained)?;
    } else if !options.json {
        print(&explained);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(explained: &Explained) {
    let again = if explained.decided_again { "decided again" } else { "decided" };
    out::line(&format!(
        "alert {}, {again} at {} in record {}",
        explained.fingerprint, explained.at, explained.record
    ));
    for decision in &explained.decisions {
        out::line(&format!("  {}", show::decision(decision)));
    }
    if explained.playbooks.is_empty() {
        out::line("  no set of playbooks was in force");
    }
    for judged in &explained.playbooks {
        out::line(&format!("\n{}: {}", judged.playbook, judged.outcome));
        for said in &judged.clauses {
            let sign = if said.passed { "✓" } else { "✗" };
            out::line(&format!("  {sign} {:<44} {}", said.clause, said.saw));
        }
    }
}

/// The newest decision on an alert, or the one that started a run, with every playbook's clauses.
async fn explain(
    bus: &Bus,
    fingerprint: &Fingerprint,
    run: Option<&RunId>,
) -> anyhow::Result<Option<Explained>> {
    // The newest snapshot first: the past behind it is folded only when the decision lies there.
    let mut found = None;
    let mut bases = recover::Bases::of(bus).await?;
    while let Some(base) = bases.next().await? {
        let Some(mut recovered) = recover::whole(bus, &base).await? else { continue };
        if let Some(moment) = within(bus, &mut recovered, fingerprint, run).await? {
            found = Some((moment, recovered));
            break;
        }
    }
    let Some((moment, recovered)) = found else { return Ok(None) };
    let mut all = Library::default();
    if let Some(set) = moment.state.set.as_ref().and_then(|(hash, _)| recovered.sets.get(hash)) {
        library::bring(bus, &mut all, set).await?;
    }
    let alert = match moment.fact {
        Some(place) => alert_of(bus, place, fingerprint).await?,
        None => moment.state.episodes.get(fingerprint).map(|episode| episode.alert.clone()),
    };
    let mut playbooks = Vec::new();
    let episode = moment.state.episodes.get(fingerprint);
    let (source, opened) =
        episode.map_or((Source::Alert, moment.state.now), |episode| (episode.source.clone(), episode.opened));
    if let (Some(set), Some(alert)) = (all.in_force(&moment.state), alert) {
        for playbook in set.playbooks.values() {
            let evaluation =
                evaluate(&moment.state, &set, playbook, Signal { alert: &alert, source: &source, opened });
            let recorded = moment.decisions.iter().find(|decision| decision.playbook == playbook.name);
            let outcome = recorded
                .cloned()
                .unwrap_or(Decision { playbook: playbook.name.clone(), outcome: evaluation.outcome });
            let clauses = evaluation.clauses.into_iter().map(|Clause { text, saw, passed }| Said {
                clause: text,
                saw,
                passed,
            });
            let shown = show::decision(&outcome);
            let outcome = shown.split_once(": ").map_or(shown.clone(), |(_, outcome)| outcome.to_owned());
            playbooks.push(Judged {
                playbook: playbook.name.to_string(),
                outcome,
                clauses: clauses.collect(),
            });
        }
    }
    let Moment { at, seq, decisions, again, .. } = moment;
    Ok(Some(Explained {
        fingerprint: fingerprint.clone(),
        at,
        record: seq,
        decided_again: again,
        decisions,
        playbooks,
    }))
}

/// The decision that is asked for, if it lies in what follows of the log.
async fn within(
    bus: &Bus,
    recovered: &mut Recovered,
    fingerprint: &Fingerprint,
    run: Option<&RunId>,
) -> anyhow::Result<Option<Moment>> {
    let mut moment = None;
    recovered
        .fold_on(bus, |state, record, seq| {
            let Some(found) = find(state, record, seq, fingerprint) else { return ControlFlow::Continue(()) };
            let starts = run.is_some_and(|run| {
                found.decisions.iter().any(
                    |decision| matches!(&decision.outcome, Outcome::Started { run: started } if started == run),
                )
            });
            if starts || run.is_none() {
                moment = Some(found);
            }
            if starts { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await?;
    Ok(moment)
}

/// The last decision on the alert in a record, with the state just before it was judged.
fn find(state: &State, record: &Record, seq: u64, fingerprint: &Fingerprint) -> Option<Moment> {
    let concerns = |event: &Event| matches!(event, Event::AlertDecided { fingerprint: fp, .. } | Event::AlertReconsidered { fingerprint: fp, .. } if fp == fingerprint);
    record.items.iter().any(|item| item.events.iter().any(concerns)).then_some(())?;
    let mut before = state.clone();
    before.seq = seq;
    let mut found = None;
    for item in &record.items {
        before.now = before.now.max(item.now);
        let mut judged = before.clone();
        for event in &item.events {
            match event {
                // What the decision itself started is not part of what it was made on.
                Event::EpisodeOpened { alert, .. } if alert.fingerprint == *fingerprint => {
                    drop(judged.apply(event));
                }
                Event::Correlated { .. } => drop(judged.apply(event)),
                Event::AlertDecided { decisions, .. } | Event::AlertReconsidered { decisions, .. }
                    if concerns(event) =>
                {
                    let fact = match &item.cause {
                        Cause::Fact { seq, item, .. } => Some((*seq, *item)),
                        _ => None,
                    };
                    let again = matches!(event, Event::AlertReconsidered { .. });
                    found = Some(Moment {
                        state: judged.clone(),
                        at: item.now,
                        seq,
                        fact,
                        decisions: decisions.clone(),
                        again,
                    });
                }
                _ => {}
            }
            // The log was folded once before by the reader of this; what is illegal there ends it there.
            if before.apply(event).is_err() {
                return found;
            }
        }
    }
    found
}

async fn alert_of(
    bus: &Bus,
    (seq, item): (u64, u32),
    fingerprint: &Fingerprint,
) -> anyhow::Result<Option<Alert>> {
    let message = streams::message(bus, bus.names.facts(), seq).await?;
    let items = fact::decode(FactKind::Alerts, &message.payload)?;
    Ok(match items.into_iter().nth(item as usize) {
        Some(Item::Alerts(alerts)) => {
            alerts.alerts.into_iter().rfind(|alert| alert.fingerprint == *fingerprint)
        }
        _ => None,
    })
}
