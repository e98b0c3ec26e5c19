//! A person answers an unknown outcome: did the effect take place?

use std::process::ExitCode;

use anyhow::Context as _;
use regreen_decider::Attempt;
use regreen_engine::recover;
use regreen_schemas::{
    RunId,
    event::{Event, RunEvent},
    fact::Operator,
};

use crate::{approve, args::Connect, client, out};

/// Arguments of `settle`.
#[derive(clap::Args)]
pub struct Options {
    /// The run that asks: see `regreen status`.
    run: String,
    /// The step, where several of the run are in doubt.
    #[arg(long)]
    step: Option<String>,
    #[command(flatten)]
    answer: Answer,
    #[command(flatten)]
    connect: Connect,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Answer {
    /// The effect took place: the run goes on behind the step.
    #[arg(long)]
    done: bool,
    /// It did not: the step is tried again, or fails.
    #[arg(long)]
    not_done: bool,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let connected = client::connect(&options.connect).await?;
    let bus = &connected.bus;
    let state = recover::recover(bus).await?.state;
    let id = RunId::from(options.run.as_str());
    let run = state.runs.get(&id).with_context(|| format!("no open run {id}: see `regreen runs list`"))?;
    let wanted = |attempt: &&Attempt| {
        options.step.as_ref().is_none_or(|step| attempt.instance.as_str() == step.as_str())
    };
    let asked: Vec<&Attempt> = run.in_doubt().filter(wanted).collect();
    let [attempt] = asked.as_slice() else {
        let steps: Vec<&str> = asked.iter().map(|attempt| attempt.instance.as_str()).collect();
        out::error(&if steps.is_empty() {
            format!("run {id} does not ask: see `regreen runs show {id}`")
        } else {
            format!("run {id} asks about several steps: add `--step` and one of {}", steps.join(", "))
        });
        return Ok(ExitCode::from(1));
    };
    let (instance, number, done) = (attempt.instance.clone(), attempt.number, options.answer.done);
    let what = Operator::Settle { run: id.clone(), instance: instance.clone(), attempt: number, done };
    let settled =
        |event: &Event| matches!(event, Event::Run { run, what: RunEvent::Settled { .. } } if *run == id);
    let word = if done { "took place" } else { "did not take place" };
    let word = format!("settled: {instance} (attempt {number}) {word}; see `regreen runs show {id}`");
    approve::told(&connected, state.seq, &what, settled, &word).await
}
