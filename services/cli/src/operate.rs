//! What a person does: init, start, stop, resume.

use std::{collections::BTreeMap, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use regreen_bus::{
    Bus, log,
    reader::Reader,
    streams::{self, Sizing},
    tickets,
    writer::Writer,
};
use regreen_kit::clock;
use regreen_schemas::{
    RunId, WIRE_VERSION,
    event::{Event, Origin, RunEvent},
    fact::Operator,
    record::{self, Cause},
    subject::FactKind,
    ticket,
};

use crate::{args::Connect, client, out};

/// How long a command waits for the engine to decide what it asked.
const DECIDED_WITHIN: Duration = Duration::from_secs(15);

/// Arguments of `init`.
#[derive(clap::Args)]
pub struct Init {
    #[command(flatten)]
    connect: Connect,
    /// Copies of each stream: 3 in a cluster.
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// Bytes for all streams together, in MiB.
    #[arg(long, default_value_t = 4096)]
    size_mib: i64,
    /// Starts a new log although there are facts: what they led to is forgotten.
    #[arg(long)]
    genesis_over_existing_facts: bool,
}

pub async fn init(options: Init) -> anyhow::Result<ExitCode> {
    let bus = client::connect(&options.connect).await?.bus;
    let sizing = Sizing { replicas: options.replicas, bytes: options.size_mib << 20 };
    streams::init(&bus, sizing, clock::wall(), options.genesis_over_existing_facts).await?;
    let drifts = streams::drift(&bus, options.replicas).await?;
    for drift in &drifts {
        out::error(&format!(
            "{}: {} is {}, and must be {}",
            drift.stream, drift.setting, drift.found, drift.wanted
        ));
    }
    if drifts.is_empty() {
        out::line(&format!("domain {} is ready", bus.names.domain()));
        return Ok(ExitCode::SUCCESS);
    }
    out::error("nothing was changed; set them right with your NATS tools, or keep them and know why");
    Ok(ExitCode::from(1))
}

/// Arguments of `start`.
#[derive(clap::Args)]
pub struct Start {
    /// The playbook.
    playbook: String,
    /// Name of the node or group.
    #[arg(long)]
    target: Option<String>,
    /// An input: name=value.
    #[arg(long = "input", value_parser = pair)]
    inputs: Vec<(String, String)>,
    #[command(flatten)]
    connect: Connect,
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "name=value is wanted".into())
}

/// Stores what an operator did and returns where.
pub async fn say(bus: &Bus, operator: &str, what: &Operator) -> anyhow::Result<u64> {
    let writer = Writer::start(bus, FactKind::Operator, operator, Duration::from_secs(10));
    Ok(writer.store(what).await.context("it was not stored")?.seq)
}

/// The events that the engine wrote on a fact.
pub async fn decided(bus: &Bus, after: u64, fact: u64) -> anyhow::Result<Vec<Event>> {
    let mut reader = Reader::new(bus, bus.names.decisions(), after);
    let found = async {
        loop {
            let record = record::decode(&reader.next().await?.payload)?;
            let on = record
                .items
                .into_iter()
                .filter(|item| matches!(&item.cause, Cause::Fact { seq, .. } if *seq == fact));
            let events: Vec<Event> = on.flat_map(|item| item.events).collect();
            if !events.is_empty() || record.cursor.seq > fact || record.cursor == record::Cursor::after(fact)
            {
                return anyhow::Ok(events);
            }
        }
    };
    let waited = tokio::time::timeout(DECIDED_WITHIN, found).await;
    waited.context("it is stored, and no engine has decided it yet: see `regreen status`")?
}

/// Why the engine did not do what was wanted, where it says so.
pub fn refusal(events: &[Event]) -> Option<String> {
    events.iter().find_map(|event| match event {
        Event::OperatorRefused { reason, .. } | Event::StartRefused { reason, .. } => {
            Some(format!("refused: {reason}"))
        }
        _ => None,
    })
}

/// Waits for an event that an engine writes after a record.
pub async fn await_event(bus: &Bus, after: u64, wanted: impl Fn(&Event) -> bool) -> anyhow::Result<()> {
    let mut reader = Reader::new(bus, bus.names.decisions(), after);
    let found = async {
        loop {
            let record = record::decode(&reader.next().await?.payload)?;
            if record.items.iter().flat_map(|item| &item.events).any(&wanted) {
                return anyhow::Ok(());
            }
        }
    };
    let waited = tokio::time::timeout(DECIDED_WITHIN, found).await;
    waited.context("it is stored, and no engine has decided it yet: see `regreen status`")?
}

pub async fn start(options: Start) -> anyhow::Result<ExitCode> {
    let connected = client::connect(&options.connect).await?;
    let bus = &connected.bus;
    let after = streams::extent(bus, bus.names.decisions()).await?.last;
    let inputs: BTreeMap<Arc<str>, serde_json::Value> =
        options.inputs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let start =
        Operator::Start { playbook: options.playbook.into(), target: options.target.map(Arc::from), inputs };
    let fact = say(bus, &connected.operator, &start).await?;
    let events = decided(bus, after, fact).await?;
    let started = events.iter().find_map(|event| match event {
        Event::Run { run, what: RunEvent::Started { origin: Origin::Manual { .. }, .. } } => Some(run),
        _ => None,
    });
    if let Some(run) = started {
        out::line(run.as_str());
        return Ok(ExitCode::SUCCESS);
    }
    out::error(&refusal(&events).context("the engine read it and said nothing of it")?);
    Ok(ExitCode::from(1))
}

pub async fn cancel(run: &RunId, reason: &str, connect: &Connect) -> anyhow::Result<ExitCode> {
    let connected = client::connect(connect).await?;
    let bus = &connected.bus;
    let after = streams::extent(bus, bus.names.decisions()).await?.last;
    let what = Operator::Cancel { run: run.clone(), reason: reason.into() };
    let fact = say(bus, &connected.operator, &what).await?;
    let all = decided(bus, after, fact).await?;
    let of = |event: &Event| match event {
        Event::Run { run: other, what } if other == run => Some(what.clone()),
        _ => None,
    };
    let events: Vec<RunEvent> = all.iter().filter_map(of).collect();
    if !events.iter().any(|event| matches!(event, RunEvent::Cancelled { .. })) {
        let gone = || format!("there is no open run {run}, or somebody has cancelled it already");
        out::error(&refusal(&all).unwrap_or_else(gone));
        return Ok(ExitCode::from(1));
    }
    let over = events.iter().any(|event| matches!(event, RunEvent::Ended { .. }));
    let rest = if over { "it has ended" } else { "what is under way is settled first" };
    out::line(&format!("cancelled: {rest}; see `regreen runs show {run}`"));
    Ok(ExitCode::SUCCESS)
}

/// Arguments of `stop`.
#[derive(clap::Args)]
pub struct Stop {
    /// Why, for those who find it.
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    connect: Connect,
}

/// The stop switch's current number and the end of the log, from the newest record (rule 16).
async fn newest(bus: &Bus) -> anyhow::Result<(u64, u64)> {
    let (seq, bytes) = log::newest(bus).await?;
    Ok((record::decode(&bytes)?.stop_no, seq))
}

pub async fn stop(options: Stop) -> anyhow::Result<ExitCode> {
    let connected = client::connect(&options.connect).await?;
    let bus = &connected.bus;
    newest(bus).await.context("the switch's number can't be read")?;
    let stop = ticket::Stop {
        v: WIRE_VERSION,
        by: connected.operator.as_str().into(),
        reason: options.reason.into(),
    };
    let number = tickets::stop(bus, &stop, async || {
        loop {
            match newest(bus).await {
                Ok((number, _)) => return number,
                Err(error) => {
                    tracing::warn!(%error, "the log can't be read; trying again");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    })
    .await?;
    out::line(&format!(
        "stopped: switch {number} is on; no attempt begins from now on. `regreen resume` releases it."
    ));
    Ok(ExitCode::SUCCESS)
}

/// Arguments of `resume`.
#[derive(clap::Args)]
pub struct Resume {
    /// Go on after Suspect: you have looked.
    #[arg(long)]
    suspect: bool,
    #[command(flatten)]
    connect: Connect,
}

pub async fn resume(options: Resume) -> anyhow::Result<ExitCode> {
    let connected = client::connect(&options.connect).await?;
    let bus = &connected.bus;
    let (stop_no, after) = newest(bus).await.context("the log can't be read")?;
    let what = if options.suspect {
        Operator::ResumeSuspect
    } else {
        if tickets::stopped(bus, stop_no).await?.is_none() {
            out::error("the stop switch is not on");
            return Ok(ExitCode::from(1));
        }
        Operator::Resume { stop_no }
    };
    let fact = say(bus, &connected.operator, &what).await?;
    let events = decided(bus, after, fact).await?;
    if events.iter().any(|event| matches!(event, Event::Resumed { .. } | Event::SuspectCleared { .. })) {
        out::line("resumed");
        return Ok(ExitCode::SUCCESS);
    }
    out::error(&refusal(&events).unwrap_or_else(|| "nothing to resume: see `regreen status`".into()));
    Ok(ExitCode::from(1))
}
