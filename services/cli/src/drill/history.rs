//! What drills measured over time: a line of JSON for each that finished, in a file that outlives folders and checkouts.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use regreen_schemas::Timestamp;
use serde::{Deserialize, Serialize};

use super::report::{Aim, Report};
use crate::out;

/// Longest line of the file that is read: a drill with a hundred acts.
const LINE_MAX: usize = 64 * 1024;

/// One finished drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was over.
    pub at: Timestamp,
    /// Its name.
    pub drill: String,
    /// Of Regreen.
    pub version: String,
    /// What the search nodes were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// By how much waits were divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<u32>,
    /// Whether every objective was met.
    pub met: bool,
    /// Its acts.
    pub acts: Vec<Measured>,
}

/// One act of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// `one`, `two`, …
    pub act: String,
    /// Recovery time in seconds; none: nothing was to be repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<f64>,
    /// Documents lost, where they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<f64>,
    /// Whether it went as it must.
    pub met: bool,
}

impl Entry {
    /// Of a report.
    pub fn of(report: &Report) -> Self {
        let measured = |aim: Aim, act: &super::report::Act| {
            act.objectives
                .iter()
                .find(|objective| objective.aim == aim)
                .and_then(|objective| objective.measured)
        };
        let acts = report.acts.iter().map(|act| Measured {
            act: act.name.to_owned(),
            rto: act.timeline.seconds.and_then(|seconds| seconds.rto),
            rpo: measured(Aim::Rpo, act),
            met: act.is_well(),
        });
        Self {
            at: report.ended,
            drill: report.drill.to_owned(),
            version: report.version.to_owned(),
            search: report.search.map(str::to_owned),
            speed: report.speed.map(|speed| speed.waits),
            met: report.met,
            acts: acts.collect(),
        }
    }
}

/// `drills.jsonl` below the state directory of the XDG base directories.
pub fn default_file() -> anyhow::Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    let state = state.context("neither XDG_STATE_HOME nor HOME is set: say where by --history FILE")?;
    Ok(state.join("regreen/drills.jsonl"))
}

/// Adds a line.
pub fn append(file: &Path, entry: &Entry) -> anyhow::Result<()> {
    let add = || -> anyhow::Result<()> {
        fs::create_dir_all(file.parent().context("it lies in no folder")?)?;
        let mut line = serde_json::to_string(entry)?;
        line.push('\n');
        // One write: two drills that end together don't mix their lines.
        File::options().create(true).append(true).open(file)?.write_all(line.as_bytes())?;
        Ok(())
    };
    add().with_context(|| format!("{} can't be written; --history names another file", file.display()))
}

/// `regreen drill history`.
#[derive(clap::Args)]
pub struct Options {
    /// The file [default: regreen/drills.jsonl below $XDG_STATE_HOME or ~/.local/state].
    #[arg(long)]
    history: Option<PathBuf>,
    /// How many drills, the newest.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    last: u16,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let file = options.history.clone().map_or_else(default_file, Ok)?;
    let entries = read(&file, usize::from(options.last))?;
    if options.json {
        out::json(&entries)?;
        return Ok(ExitCode::SUCCESS);
    }
    out::table(&["WHEN", "DRILL", "SPEED", "ACTS: RTO, RPO", "MET"], entries.iter().map(row).collect());
    let trends = trends(&entries);
    if !trends.is_empty() {
        out::line("");
        let head = ["DRILL", "ACT", "DRILLS", "MET", "RTO NEWEST", "MEDIAN", "BEST", "WORST", "LOST"];
        out::table(&head, trends.iter().map(Trend::row).collect());
    }
    Ok(ExitCode::SUCCESS)
}

/// The newest entries, oldest first. A line that is none is said and left out.
fn read(file: &Path, last: usize) -> anyhow::Result<Vec<Entry>> {
    let opened = match File::open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            out::error(&format!("{} is not there: no drill has finished yet", file.display()));
            return Ok(Vec::new());
        }
        opened => opened.with_context(|| format!("{} can't be read", file.display()))?,
    };
    let mut entries = std::collections::VecDeque::with_capacity(last);
    for (n, line) in BufReader::new(opened).lines().enumerate() {
        let line = line.with_context(|| format!("{} can't be read", file.display()))?;
        match entry(&line) {
            Ok(entry) => entries.push_back(entry),
            Err(why) => out::error(&format!("line {} of {} is left out: {why}", n + 1, file.display())),
        }
        if entries.len() > last {
            entries.pop_front();
        }
    }
    Ok(entries.into())
}

fn entry(line: &str) -> Result<Entry, String> {
    if line.len() > LINE_MAX {
        return Err(format!("it is longer than {LINE_MAX} bytes"));
    }
    serde_json::from_str(line).map_err(|error| error.to_string())
}

fn row(entry: &Entry) -> Vec<String> {
    let act = |act: &Measured| {
        let rto = act.rto.map_or_else(|| "nothing done".to_owned(), |rto| format!("{rto:.1} s"));
        let rpo = act.rpo.map_or_else(String::new, |rpo| format!(", {rpo:.0} lost"));
        let met = if act.met { "" } else { " !" };
        format!("{}: {rto}{rpo}{met}", out::plain(&act.act))
    };
    let acts: Vec<String> = entry.acts.iter().map(act).collect();
    vec![
        entry.at.to_string(),
        named(entry),
        entry.speed.map_or_else(|| "-".to_owned(), |speed| format!("{speed}x")),
        acts.join("\n"),
        if entry.met { "yes" } else { "NO" }.to_owned(),
    ]
}

fn named(entry: &Entry) -> String {
    let search = entry.search.as_ref().map_or_else(String::new, |search| format!(" ({search})"));
    out::plain(&format!("{}{search}", entry.drill))
}

/// One act over time.
#[derive(Clone, Debug, PartialEq)]
struct Trend {
    drill: String,
    act: String,
    drills: usize,
    met: usize,
    /// Recovery times in seconds, oldest first.
    rto: Vec<f64>,
    lost: f64,
}

/// Only drills of the same name, nodes and speed are compared.
fn trends(entries: &[Entry]) -> Vec<Trend> {
    let mut trends: Vec<Trend> = Vec::new();
    for entry in entries {
        let speed = entry.speed.map_or_else(String::new, |speed| format!(" {speed}x"));
        let drill = format!("{}{speed}", named(entry));
        for act in &entry.acts {
            let known = trends.iter().position(|trend| trend.drill == drill && trend.act == act.act);
            let place = known.unwrap_or_else(|| {
                let (drill, act) = (drill.clone(), act.act.clone());
                trends.push(Trend { drill, act, drills: 0, met: 0, rto: Vec::new(), lost: 0.0 });
                trends.len() - 1
            });
            let trend = &mut trends[place];
            trend.drills += 1;
            trend.met += usize::from(act.met);
            trend.rto.extend(act.rto);
            trend.lost += act.rpo.unwrap_or(0.0);
        }
    }
    trends
}

impl Trend {
    fn row(&self) -> Vec<String> {
        let mut sorted = self.rto.clone();
        sorted.sort_by(f64::total_cmp);
        let shown = |rto: Option<&f64>| rto.map_or_else(|| "-".to_owned(), |rto| format!("{rto:.1} s"));
        vec![
            self.drill.clone(),
            out::plain(&self.act),
            self.drills.to_string(),
            self.met.to_string(),
            shown(self.rto.last()),
            shown(sorted.get(sorted.len().saturating_sub(1) / 2)),
            shown(sorted.first()),
            shown(sorted.last()),
            format!("{:.0}", self.lost),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drilled(at: i64, rto: &[Option<f64>], lost: f64) -> Entry {
        let names = ["one", "two", "three"];
        let acts = rto.iter().zip(names).map(|(rto, act)| Measured {
            act: act.into(),
            rto: *rto,
            rpo: Some(lost),
            met: lost == 0.0,
        });
        Entry {
            at: Timestamp(at),
            drill: "elasticsearch-node-lost".into(),
            version: "0.1.0".into(),
            search: Some("stand-in".into()),
            speed: Some(20),
            met: lost == 0.0,
            acts: acts.collect(),
        }
    }

    #[test]
    fn what_was_appended_is_read_the_newest_and_what_is_damaged_is_left_out() {
        let file =
            std::env::temp_dir().join(format!("regreen-history-{}/a/drills.jsonl", std::process::id()));
        let drills =
            [drilled(1000, &[Some(9.0)], 0.0), drilled(2000, &[None], 0.0), drilled(3000, &[Some(8.5)], 2.0)];
        append(&file, &drills[0]).expect("a new folder");
        append(&file, &drills[1]).expect("the same file");
        File::options()
            .append(true)
            .open(&file)
            .expect("it is there")
            .write_all(b"{\"at\": 1\n")
            .expect("written");
        append(&file, &drills[2]).expect("the same file");
        assert_eq!(read(&file, 9).expect("readable"), drills);
        assert_eq!(read(&file, 2).expect("readable"), drills[1..]);
        assert_eq!(read(&file.with_extension("away"), 2).expect("not there is empty"), []);
        fs::remove_dir_all(file.ancestors().nth(2).expect("its folder")).expect("ours");
    }

    #[test]
    fn a_trend_says_newest_median_best_and_worst_of_the_same_kind_of_drill() {
        let mut other = drilled(4000, &[Some(99.0)], 0.0);
        other.speed = Some(4);
        let entries = [
            drilled(1000, &[Some(9.0), Some(60.0), None], 0.0),
            drilled(2000, &[Some(30.0), Some(50.0), None], 0.0),
            drilled(3000, &[Some(12.0), Some(55.5), None], 1.0),
            other,
        ];
        let rows: Vec<String> = trends(&entries).iter().map(|trend| trend.row().join(" | ")).collect();
        let drill = "elasticsearch-node-lost (stand-in)";
        assert_eq!(
            rows,
            [
                format!("{drill} 20x | one | 3 | 2 | 12.0 s | 12.0 s | 9.0 s | 30.0 s | 1"),
                format!("{drill} 20x | two | 3 | 2 | 55.5 s | 55.5 s | 50.0 s | 60.0 s | 1"),
                format!("{drill} 20x | three | 3 | 2 | - | - | - | - | 1"),
                format!("{drill} 4x | one | 1 | 1 | 99.0 s | 99.0 s | 99.0 s | 99.0 s | 0"),
            ]
        );
    }
}
