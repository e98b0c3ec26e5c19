//! `regreen reconcile`: the way out of Frozen (rule 4). A person sees what the log and the streams say, and what was
//! under way; the engine then looks up every open attempt, and repeats none blindly.

use std::process::ExitCode;

use regreen_bus::{Bus, streams};
use regreen_decider::{Phase, State};
use regreen_engine::{guard, recover};
use regreen_schemas::{
    event::Event,
    fact::{Operator, Reconciled},
    hash::h,
    id::Genesis,
};

use crate::{args::Connect, ask, client, operate, out};

/// Arguments.
#[derive(clap::Args)]
pub struct Options {
    /// What happened to the streams, and why it may go on: it is kept in the log.
    #[arg(long)]
    reason: String,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    connect: Connect,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let connected = client::connect(&options.connect).await?;
    let bus = &connected.bus;
    let state = recover::recover(bus).await?.state;
    if state.phase != Phase::Frozen {
        out::error("the domain is not frozen: see `regreen status`");
        return Ok(ExitCode::from(1));
    }
    let what = found(bus, &state, options.reason).await?;
    show(bus, &state, &what).await?;
    if !options.yes
        && !ask::yes("go on from here?", "there is nobody to ask: give --yes when you have looked")?
    {
        out::error("nothing was done");
        return Ok(ExitCode::from(1));
    }
    let fact = operate::say(bus, &connected.operator, &Operator::Reconciled(what)).await?;
    tracing::debug!(fact, "stored");
    let thawed = |event: &Event| matches!(event, Event::Reconciled { .. });
    operate::await_event(bus, state.seq, thawed).await?;
    out::line("reconciled: what was under way is looked up now; see `regreen runs list`");
    Ok(ExitCode::SUCCESS)
}

/// What the streams are now.
async fn found(bus: &Bus, state: &State, reason: String) -> anyhow::Result<Reconciled> {
    let facts = streams::extent(bus, bus.names.facts()).await?;
    let created = streams::created(bus).await?;
    let same = state.streams.is_some_and(|known| known.facts == created.facts)
        && guard::facts_agree(bus, state.cursor, &state.fact_hash).await?.is_none();
    Ok(Reconciled {
        reason: reason.into(),
        genesis: Genesis::from(h(&[&rand::random::<[u8; 16]>()])),
        streams: created,
        facts_after: (!same).then_some(facts.last),
        tickets: streams::extent(bus, bus.names.tickets()).await?.last,
    })
}

async fn show(bus: &Bus, state: &State, what: &Reconciled) -> anyhow::Result<()> {
    out::line(&format!("frozen: {}", state.frozen.as_deref().unwrap_or("for an unknown reason")));
    match what.facts_after {
        None => out::line(&format!("FACTS is what it was; deciding goes on after {}", state.cursor.seq)),
        Some(after) => {
            let facts = streams::extent(bus, bus.names.facts()).await?;
            out::line(&format!(
                "FACTS is another: it holds {} to {}; none of these is decided. Alerts that still fire come again with Alertmanager's next repeat",
                facts.first, after
            ));
        }
    }
    let mut open = 0;
    let calls = state.runs.iter().flat_map(|(id, run)| run.calls().map(move |attempt| (id, run, attempt)));
    for (id, run, attempt) in calls {
        open += 1;
        out::line(&format!(
            "under way, will be looked up: run {id} of {}, step {}, {} (attempt {})",
            run.playbook, attempt.instance, attempt.task.action, attempt.number
        ));
    }
    if open == 0 {
        out::line("nothing was under way");
    }
    Ok(())
}
