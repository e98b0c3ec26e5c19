//! `regreen top`: the domain live, in a terminal. Reads only: what is decided is decided elsewhere, and `q` changes
//! nothing.

mod board;
mod draw;
mod fit;
pub mod follow;
mod rows;
mod screen;

use std::{io::IsTerminal as _, process::ExitCode, time::Duration};

use regreen_bus::{Bus, tick, tickets, view};
use regreen_engine::recover;
use regreen_kit::clock;
use regreen_schemas::Span;

use crate::{args::Connect, client, out, wrong::Engine};
use board::{Board, Inputs};
use draw::Paint;

/// Width of a frame that goes to a file or pipe, unless `COLUMNS` says another.
const WIDTH: u16 = 120;
/// Widths of `COLUMNS` that are believed.
const WIDTHS: std::ops::RangeInclusive<u16> = 20..=500;
/// Longest wait of one frame for a tick: an engine speaks at least each second.
const TICK_MAX: Duration = Duration::from_secs(2);

/// Arguments.
#[derive(clap::Args)]
pub struct Options {
    /// Prints one frame as plain text and ends, as it does without a terminal.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    connect: Connect,
}

pub fn run(options: Options) -> anyhow::Result<ExitCode> {
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if options.once || !terminal {
        return client::block_on(once(options.connect));
    }
    // Logs would be written across the screen.
    client::block_on_screen(live(options.connect))
}

/// One frame, as tall as it needs to be.
async fn once(connect: Connect) -> anyhow::Result<ExitCode> {
    let bus = client::connect(&connect).await?.bus;
    let ticks = tick::follow(&bus).await?;
    let recovered = recover::recover(&bus).await?;
    let seen = follow::Seen::of(&recovered);
    let stop = tickets::stopped(&bus, seen.state.stop_no).await?;
    let tick = first_tick(ticks).await;
    let now = tick.as_ref().and_then(tick::Heard::now).unwrap_or_else(clock::wall);
    let checks = view::checks(&bus).await.ok().flatten();
    let inputs = Inputs {
        seen: &seen,
        checks: checks.as_ref(),
        stopped: stop.as_ref().map(|stop| stop.by.as_ref()),
        engine: if tick.is_some() { Engine::Heard } else { Engine::Silent(now - seen.state.now) },
        tick: tick.as_ref().map(age),
    };
    let board = Board::new(&inputs, now);
    for line in draw::text(&board, width()) {
        out::line(&line);
    }
    Ok(ExitCode::SUCCESS)
}

async fn first_tick(mut ticks: tokio::sync::watch::Receiver<Option<tick::Heard>>) -> Option<tick::Heard> {
    let tick = tokio::time::timeout(TICK_MAX, ticks.wait_for(Option::is_some)).await;
    tick.ok().and_then(Result::ok).and_then(|tick| tick.clone())
}

fn age(tick: &tick::Heard) -> Span {
    Span(i64::try_from(tick.age().as_millis()).unwrap_or(i64::MAX))
}

fn width() -> u16 {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    columns.filter(|columns| WIDTHS.contains(columns)).unwrap_or(WIDTH)
}

/// Until somebody ends it.
async fn live(connect: Connect) -> anyhow::Result<ExitCode> {
    let bus: Bus = client::connect(&connect).await?.bus;
    let feeds = follow::Feeds::open(&bus).await?;
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    screen::run(feeds, Paint { colour }).await?;
    Ok(ExitCode::SUCCESS)
}
