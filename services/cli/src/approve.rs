//! What people answer: yes or no to a plan, "I have it", and "it may again".

use std::{process::ExitCode, sync::Arc};

use regreen_bus::streams;
use regreen_decider::State;
use regreen_engine::recover;
use regreen_kit::clock;
use regreen_schemas::{
    RunId,
    event::{Event, RunEvent},
    fact::Operator,
    message::Ask,
};

use crate::{args::Connect, ask, client, operate, out};

/// `regreen approvals`.
#[derive(clap::Subcommand)]
pub enum Approvals {
    /// What waits for a yes, with the plan.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connect: Connect,
    },
}

/// Arguments of `approve`.
#[derive(clap::Args)]
pub struct Approve {
    /// The run that asks: see `regreen approvals list`.
    run: String,
    /// The step that asks, where several do.
    #[arg(long)]
    step: Option<String>,
    /// The plan that you have seen, by its hash; without it the plan is shown, and you are asked.
    #[arg(long)]
    plan: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

/// Arguments of `deny`.
#[derive(clap::Args)]
pub struct Deny {
    /// The run that asks: see `regreen approvals list`.
    run: String,
    /// The step that asks, where several do.
    #[arg(long)]
    step: Option<String>,
    /// Why, for those who read its story.
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    connect: Connect,
}

/// Arguments of `ack`.
#[derive(clap::Args)]
pub struct Ack {
    /// The run, or the fingerprint of the alert.
    of: String,
    #[command(flatten)]
    connect: Connect,
}

/// Arguments of `clear-cooldown`.
#[derive(clap::Args)]
pub struct ClearCooldown {
    /// The playbook.
    playbook: String,
    /// The node or group; none for a playbook without target.
    #[arg(long)]
    target: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

pub async fn approvals(command: Approvals) -> anyhow::Result<ExitCode> {
    let Approvals::List { json, connect } = command;
    let bus = client::connect(&connect).await?.bus;
    let state = recover::recover(&bus).await?.state;
    let asked: Vec<Ask> = state.runs.values().flat_map(|run| run.approvals().cloned()).collect();
    if json {
        out::json(&asked)?;
        return Ok(ExitCode::SUCCESS);
    }
    if asked.is_empty() {
        out::error("nothing waits for a yes");
    }
    asked.iter().for_each(|ask| show(&state, ask));
    Ok(ExitCode::SUCCESS)
}

pub async fn approve(options: Approve) -> anyhow::Result<ExitCode> {
    let connected = client::connect(&options.connect).await?;
    let state = recover::recover(&connected.bus).await?.state;
    let Some(ask) = open(&state, &options.run, options.step.as_deref()) else { return Ok(ExitCode::from(1)) };
    match &options.plan {
        Some(plan) if **plan != *ask.plan_hash => {
            out::error(&format!(
                "the plan is another by now: {}; see `regreen approvals list`",
                ask.plan_hash
            ));
            return Ok(ExitCode::from(1));
        }
        Some(_) => {}
        None => {
            show(&state, &ask);
            if !ask::yes(
                "shall it be done?",
                "there is nobody to ask: give --plan with the hash that you have seen",
            )? {
                out::error("nothing was answered");
                return Ok(ExitCode::from(1));
            }
        }
    }
    let Ask { run, instance, plan_hash, .. } = ask;
    let what = Operator::Approve { run: run.clone(), instance, plan_hash, user: None };
    let said = |event: &RunEvent| matches!(event, RunEvent::Approved { .. });
    answer(&connected, &state, &run, what, said, "approved").await
}

pub async fn deny(options: Deny) -> anyhow::Result<ExitCode> {
    let connected = client::connect(&options.connect).await?;
    let state = recover::recover(&connected.bus).await?.state;
    let Some(Ask { run, instance, plan_hash, .. }) = open(&state, &options.run, options.step.as_deref())
    else {
        return Ok(ExitCode::from(1));
    };
    let reason = options.reason.into();
    let what = Operator::Deny { run: run.clone(), instance, plan_hash, reason, user: None };
    let said = |event: &RunEvent| matches!(event, RunEvent::Denied { .. });
    answer(&connected, &state, &run, what, said, "denied").await
}

pub async fn ack(options: Ack) -> anyhow::Result<ExitCode> {
    let connected = client::connect(&options.connect).await?;
    let after = streams::extent(&connected.bus, connected.bus.names.decisions()).await?.last;
    let wanted = |event: &Event| matches!(event, Event::Acknowledged { .. });
    told(
        &connected,
        after,
        &Operator::Ack { of: options.of.into() },
        wanted,
        "acknowledged: nobody else is told",
    )
    .await
}

pub async fn clear_cooldown(options: ClearCooldown) -> anyhow::Result<ExitCode> {
    let connected = client::connect(&options.connect).await?;
    let after = streams::extent(&connected.bus, connected.bus.names.decisions()).await?.last;
    let what =
        Operator::ClearCooldown { playbook: options.playbook.into(), target: options.target.map(Arc::from) };
    let wanted = |event: &Event| matches!(event, Event::CooldownCleared { .. });
    told(&connected, after, &what, wanted, "cleared: the next alert or start may act").await
}

/// What a run asks now; none when it asks nothing, or several things, which was said.
fn open(state: &State, run: &str, step: Option<&str>) -> Option<Ask> {
    let id = RunId::from(run);
    let wanted = |ask: &&Ask| step.is_none_or(|step| ask.instance.as_str() == step);
    let asked: Vec<&Ask> =
        state.runs.get(&id).into_iter().flat_map(|run| run.approvals()).filter(wanted).collect();
    match asked.as_slice() {
        [ask] => return Some(Ask::clone(ask)),
        [] => {
            out::error(&format!(
                "run {id} asks for no approval, or not any more: see `regreen approvals list`"
            ));
        }
        several => {
            let steps: Vec<&str> = several.iter().map(|ask| ask.instance.as_str()).collect();
            out::error(&format!(
                "run {id} asks several things: add `--step` and one of {}",
                steps.join(", ")
            ));
        }
    }
    None
}

fn show(state: &State, ask: &Ask) {
    let of = state.runs.get(&ask.run).map_or_else(String::new, |run| {
        let target = run.target.as_ref().map_or_else(String::new, |target| format!(" on {}", target.name()));
        format!("{}{target}", run.playbook)
    });
    let left = out::age(ask.until - clock::wall());
    out::line(&format!("run {}: {of} asks {} ({}), {left} left", ask.run, ask.by, ask.instance));
    ask.plan.iter().for_each(|line| out::line(&format!("  {}", out::plain(line))));
    out::line(&format!("  `regreen approve {} --plan {}`", ask.run, ask.plan_hash));
}

/// Stores an answer and says what became of it.
async fn answer(
    connected: &client::Connected,
    state: &State,
    run: &RunId,
    what: Operator,
    said: fn(&RunEvent) -> bool,
    word: &str,
) -> anyhow::Result<ExitCode> {
    let wanted = |event: &Event| matches!(event, Event::Run { run: of, what } if of == run && said(what));
    told(connected, state.seq, &what, wanted, &format!("{word}; see `regreen runs show {run}`")).await
}

/// Stores what an operator did, waits for the engine's word on it, and repeats that.
pub async fn told(
    connected: &client::Connected,
    after: u64,
    what: &Operator,
    wanted: impl Fn(&Event) -> bool,
    word: &str,
) -> anyhow::Result<ExitCode> {
    let fact = operate::say(&connected.bus, &connected.operator, what).await?;
    let events = operate::decided(&connected.bus, after, fact).await?;
    if events.iter().any(wanted) {
        out::line(word);
        return Ok(ExitCode::SUCCESS);
    }
    out::error(&operate::refusal(&events).unwrap_or_else(|| "it came too late: nothing was changed".into()));
    Ok(ExitCode::from(1))
}
