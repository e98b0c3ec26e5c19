//! `regreen drill`: breaks something for real, on this machine alone, and shows live what is seen, decided, done and
//! verified. Every second is derived from DECISIONS and FACTS; the effect log of the simulated cloud must agree, or it
//! fails.

mod canary;
mod follow;
mod hello;
mod history;
mod html;
mod report;
mod search;
mod seen;
mod stage;
mod timeline;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;

use self::{report::Report, stage::Stage};
use crate::out;

/// How long each part of a drill may take.
const PART_MAX: Duration = Duration::from_secs(60);

/// `regreen drill`.
#[derive(clap::Subcommand)]
pub enum Drill {
    /// A service dies: the first repair works, the second is held back by a guard, and in the third the runner is killed
    /// between its ticket and its result.
    #[command(after_help = "Example:\n  regreen drill hello --report hello.html")]
    Hello {
        #[command(flatten)]
        output: Output,
    },
    /// Search nodes of a simulated DigitalOcean are lost in four ways, while documents are written: one that a reboot brings
    /// back, one that must be replaced, two at once, and one while the engine is killed. Exits 0 when every objective is
    /// met, 1 when one is not or the logs disagree, 2 when it can't be played.
    #[command(
        after_help = "Examples:\n  regreen drill elasticsearch-node-lost --report drill.html\n  regreen drill elasticsearch-node-lost --search real"
    )]
    ElasticsearchNodeLost {
        #[command(flatten)]
        options: search::Options,
        #[command(flatten)]
        output: Output,
    },
    /// What drills measured over time: recovery times, and documents lost.
    #[command(after_help = "Examples:\n  regreen drill history\n  regreen drill history --last 100 --json")]
    History(history::Options),
}

/// Where a report goes.
#[derive(clap::Args)]
pub struct Output {
    /// The report as JSON; the live view goes to stderr all the same.
    #[arg(long)]
    json: bool,
    /// The report as a page too: one file that needs nothing else.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Where what was measured is kept for `regreen drill history` [default: regreen/drills.jsonl below $XDG_STATE_HOME or
    /// ~/.local/state].
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

pub fn run(drill: &Drill) -> anyhow::Result<ExitCode> {
    match drill {
        Drill::Hello { output } => play(output, async |stage| hello::play(stage).await),
        Drill::ElasticsearchNodeLost { options, output } => {
            play(output, async |stage| search::play(stage, options).await)
        }
        Drill::History(options) => history::run(options),
    }
}

/// Plays a drill on an empty stage, and says what came of it.
fn play(
    output: &Output,
    drill: impl AsyncFnOnce(&mut Stage) -> anyhow::Result<Report>,
) -> anyhow::Result<ExitCode> {
    // What can't be kept is known before anything is broken.
    let history = output.history.clone().map_or_else(history::default_file, Ok)?;
    let mut stage = Stage::new()?;
    let dir = stage.dir.clone();
    // The runtime runs on this thread: children are tied to it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime
        .block_on(drill(&mut stage))
        .with_context(|| format!("the drill broke off; its files are in {}", dir.display()))?;
    drop(stage);
    if output.json {
        out::json(&report)?;
    } else {
        report.print();
    }
    if let Some(file) = &output.report {
        write_page(file, &report)?;
    }
    history::append(&history, &history::Entry::of(&report))?;
    if report.met {
        fs::remove_dir_all(&dir)?;
    } else {
        out::error(&format!("its files are kept in {}", dir.display()));
    }
    Ok(report.code())
}

fn write_page(file: &Path, report: &Report) -> anyhow::Result<()> {
    fs::write(file, html::page(report)?).with_context(|| format!("{} can't be written", file.display()))?;
    say(&format!("the report is in {}", file.display()));
    Ok(())
}

/// A line of the live view.
fn say(text: &str) {
    out::error(text);
}
