//! `regreen status`: at a glance what is wrong and what to do. It is folded from the log itself, and so true even when
//! no engine runs.

use std::{process::ExitCode, time::Duration};

use regreen_bus::{Bus, tick, tickets, view};
use regreen_decider::State;
use regreen_engine::recover;
use regreen_kit::clock;
use regreen_schemas::{Span, Timestamp, ticket::Stop, view::Checks};
use serde_json::json;

use crate::{
    args::Connect,
    client, out,
    verdicts::{Counts, standing},
    wrong::{Engine, Seen, Wrong, wrong},
};

/// A log that is silent for this long has no engine.
pub const ENGINE_SILENT: Span = Span::seconds(5);
/// Longest wait for a tick: an engine speaks at least each second.
const TICK_MAX: Duration = Duration::from_secs(2);
/// Longest wait for the metrics of `up`.
const METRICS_MAX: Duration = Duration::from_secs(1);
/// What the loader says of files that it has refused.
const REFUSED: &str = "regreen_set_reload_successful 0";

/// Arguments.
#[derive(clap::Args)]
pub struct Options {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let connected = client::connect(&options.connect).await?;
    let bus = &connected.bus;
    let state = recover::recover(bus).await?.state;
    let stop = tickets::stopped(bus, state.stop_no).await?;
    let silence = clock::wall() - state.now;
    // VIEW and metrics only add to what the log says: without them it is said all the same.
    let checks = view::checks(bus).await.ok().flatten();
    let seen = Seen {
        state: &state,
        stopped: stop.as_ref().map(|stop| stop.by.as_ref()),
        engine: engine(bus, silence).await,
        checks: checks.as_ref(),
        refused: refused(connected.listen.as_deref()).await,
    };
    let wrong = wrong(&seen);
    if options.json {
        out::json(&as_json(&state, stop.as_ref(), silence, checks.as_ref(), &wrong))?;
    } else {
        print(&state, checks.as_ref(), connected.listen.as_deref(), &wrong);
    }
    Ok(ExitCode::from(u8::from(!wrong.is_empty())))
}

/// Whether an engine speaks. The log says it where clocks agree; where they seem not to, the tick is waited for.
async fn engine(bus: &Bus, silence: Span) -> Engine {
    let apart = Span(silence.0.abs());
    if apart <= ENGINE_SILENT {
        return Engine::Heard;
    }
    if heard(bus, TICK_MAX).await { Engine::Skewed(apart) } else { Engine::Silent(silence) }
}

async fn heard(bus: &Bus, within: Duration) -> bool {
    let Ok(mut ticks) = tick::follow(bus).await else { return false };
    tokio::time::timeout(within, ticks.wait_for(Option::is_some)).await.is_ok_and(|tick| tick.is_ok())
}

/// Whether `up` refused the files that it read last. Where its metrics can't be had, nothing is known of it.
async fn refused(listen: Option<&str>) -> bool {
    let Some(listen) = listen else { return false };
    let asked = async {
        let client = reqwest::Client::builder().no_proxy().timeout(METRICS_MAX).build()?;
        client.get(format!("http://{listen}/metrics")).send().await?.text().await
    };
    asked.await.is_ok_and(|text| text.lines().any(|line| line == REFUSED))
}

fn as_json(
    state: &State,
    stop: Option<&Stop>,
    silence: Span,
    checks: Option<&Checks>,
    wrong: &[Wrong],
) -> serde_json::Value {
    let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    json!({
        "domain": state.domain, "phase": format!("{:?}", state.phase), "epoch": state.epoch, "decisions": state.seq,
        "now": state.now, "silence": silence, "runs": state.runs.len(), "episodes": state.episodes.len(), "stop_no": state.stop_no, "stopped": stop,
        "vantages": state.vantages.iter().map(|(name, v)| json!({"vantage": name, "sighted": v.sighted, "complete": v.synced})).collect::<Vec<_>>(),
        "verdicts": state.verdicts.iter().map(|(check, (status, since))| json!({"check": check, "status": status, "since": since})).collect::<Vec<_>>(),
        "counts": counts(state, checks),
        "wrong": lines,
        "problems": wrong,
    })
}

fn counts(state: &State, checks: Option<&Checks>) -> Counts {
    Counts::of(standing(state, checks).values().map(|(status, _): &(_, Option<Timestamp>)| *status))
}

fn print(state: &State, checks: Option<&Checks>, listen: Option<&str>, wrong: &[Wrong]) {
    let open = state.episodes.values().filter(|episode| episode.closed.is_none()).count();
    out::line(&format!(
        "domain {}  epoch {}  decisions {}  alerts firing {open}  runs open {}",
        state.domain,
        state.epoch,
        state.seq,
        state.runs.len()
    ));
    out::line(&format!("checks: {}; see `regreen verdicts`", counts(state, checks)));
    if let Some(listen) = listen {
        out::line(&format!("webhooks and metrics at http://{listen}"));
    }
    if wrong.is_empty() {
        out::line("nothing is wrong with Regreen itself");
    }
    for line in wrong {
        out::error(&line.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn programs_find_the_keys_that_they_know() {
        let state = fixture::busy();
        let wrong = wrong(&Seen {
            state: &state,
            stopped: None,
            engine: Engine::Heard,
            checks: None,
            refused: false,
        });
        let json = as_json(&state, None, Span::ZERO, None, &wrong);
        for key in [
            "domain",
            "phase",
            "epoch",
            "decisions",
            "now",
            "silence",
            "runs",
            "episodes",
            "stop_no",
            "stopped",
            "vantages",
            "verdicts",
            "wrong",
        ] {
            assert!(json.get(key).is_some(), "{key}");
        }
        assert!(json["wrong"][0].as_str().expect("a line").contains("regreen settle"), "{json}");
        assert_eq!(json["problems"][0]["kind"], "asks");
        assert_eq!(json["counts"]["down"], 1);
    }
}
