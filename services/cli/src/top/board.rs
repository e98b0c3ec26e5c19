//! What is on the screen, made by a pure function from what was seen: no clock, no terminal.

use regreen_decider::{Phase, Run, State};
use regreen_schemas::{Span, Timestamp, check::Status, run::Outcome, view::Checks};

use super::{follow::Seen, rows};
use crate::{
    asks::asks,
    out,
    verdicts::{Counts, standing},
    wrong::{self, Engine},
};

/// Lines of one section; the rest is counted. More than any screen, and less than a domain may have.
const ROWS_MAX: usize = 1000;

/// What a board is made of.
pub struct Inputs<'a> {
    /// The log.
    pub seen: &'a Seen,
    /// The checks in force, if they are known.
    pub checks: Option<&'a Checks>,
    /// Who pulled the stop switch, by TICKETS.
    pub stopped: Option<&'a str>,
    /// Whether an engine speaks.
    pub engine: Engine,
    /// How old the newest tick is.
    pub tick: Option<Span>,
}

/// How a thing stands, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It goes on.
    Plain,
    /// It is well.
    Good,
    /// It waits for somebody, or nobody can say.
    Asks,
    /// It is not well.
    Bad,
    /// It is over, or of no consequence.
    Dim,
}

/// A line of a section.
#[derive(Clone, Debug)]
pub struct Row {
    /// How it stands.
    pub tone: Tone,
    /// Its columns.
    pub cells: Vec<String>,
}

impl Row {
    /// A line.
    pub fn new<const N: usize>(tone: Tone, cells: [String; N]) -> Self {
        Self { tone, cells: cells.into() }
    }
}

/// A part of the screen.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name.
    pub title: &'static str,
    /// How much there is of it, in words.
    pub summary: String,
    /// Its lines.
    pub rows: Vec<Row>,
    /// How many there are, also of those that are left out here.
    pub total: usize,
}

/// The screen.
#[derive(Clone, Debug)]
pub struct Board {
    /// Its first line, the most important word first.
    pub head: Vec<(String, Tone)>,
    /// What is wrong with the domain as a whole: text.
    pub domain: Section,
    /// What waits for a person: text.
    pub asks: Section,
    /// Runs: open ones, then those that ended lately.
    pub runs: Section,
    /// Checks that are not up.
    pub checks: Section,
    /// Alerts that fire.
    pub alerts: Section,
}

impl Board {
    /// The board of a moment.
    pub fn new(inputs: &Inputs<'_>, now: Timestamp) -> Self {
        let state = &inputs.seen.state;
        let by = inputs.stopped.or(state.stopped.as_deref());
        Self {
            head: head(inputs, by.is_some(), now),
            domain: domain(inputs, by),
            asks: asked(state, now),
            runs: runs(inputs.seen, now),
            checks: checks(state, inputs.checks, now),
            alerts: alerts(state, now),
        }
    }
}

fn head(inputs: &Inputs<'_>, stopped: bool, now: Timestamp) -> Vec<(String, Tone)> {
    let state = &inputs.seen.state;
    let phase = match state.phase {
        Phase::Live => ("live", Tone::Good),
        Phase::CatchingUp { .. } => ("catching up", Tone::Asks),
        Phase::Suspect => ("SUSPECT", Tone::Bad),
        Phase::Frozen => ("FROZEN", Tone::Bad),
    };
    let stop = if stopped { ("STOPPED", Tone::Bad) } else { ("stop switch off", Tone::Dim) };
    let silent = matches!(inputs.engine, Engine::Silent(_));
    let tick = match inputs.tick {
        Some(age) => format!("tick {} ago", out::age(age)),
        None => "no tick".to_owned(),
    };
    vec![
        (state.domain.to_string(), Tone::Plain),
        (phase.0.to_owned(), phase.1),
        (stop.0.to_owned(), stop.1),
        (tick, if silent { Tone::Bad } else { Tone::Dim }),
        (format!("record {}", state.seq), Tone::Dim),
        (format!("epoch {}", state.epoch), Tone::Dim),
        (now.to_string(), Tone::Dim),
    ]
}

fn domain(inputs: &Inputs<'_>, stopped: Option<&str>) -> Section {
    let state = &inputs.seen.state;
    let seen = wrong::Seen { state, stopped, engine: inputs.engine, checks: inputs.checks, refused: false };
    let old =
        inputs.seen.trouble.as_deref().map(|why| {
            format!("this is not the newest: {}. It is tried again all the time", out::plain(why))
        });
    let wrong = wrong::domain(&seen).into_iter().chain(wrong::vantages(state)).map(|wrong| wrong.to_string());
    let lines: Vec<String> = old.into_iter().chain(wrong).collect();
    let summary =
        if lines.is_empty() { "nothing is wrong".to_owned() } else { format!("{} wrong", lines.len()) };
    section("DOMAIN", summary, lines.len(), lines.into_iter().map(|line| Row::new(Tone::Bad, [line])))
}

fn asked(state: &State, now: Timestamp) -> Section {
    let asks = asks(state);
    let summary = match asks.len() {
        0 => "nobody is asked".to_owned(),
        one_or_more => format!("{one_or_more} for a person"),
    };
    section("ASKS", summary, asks.len(), asks.iter().map(|ask| rows::ask(ask, now)))
}

fn runs(seen: &Seen, now: Timestamp) -> Section {
    let mut open: Vec<&Run> = seen.state.runs.values().map(AsRef::as_ref).collect();
    open.sort_by_key(|run| run.order);
    let summary = format!("{} open, {} ended lately", open.len(), seen.ended.len());
    let total = open.len() + seen.ended.len();
    let open = open.into_iter().map(|run| rows::open(run, now));
    section("RUNS", summary, total, open.chain(seen.ended.iter().rev().map(|run| rows::ended(run, now))))
}

fn checks(state: &State, list: Option<&Checks>, now: Timestamp) -> Section {
    let stands = standing(state, list);
    let counts = Counts::of(stands.values().map(|(status, _)| *status));
    let mut bad: Vec<_> = stands.iter().filter(|(_, (status, _))| *status != Status::Up).collect();
    // Down before unknown before degraded: what is broken, what may be, what limps.
    let gravity = |status: Status| match status {
        Status::Down => 0,
        Status::Unknown => 1,
        Status::Degraded | Status::Up => 2,
    };
    bad.sort_by_key(|(_, (status, _))| gravity(*status));
    let row = |(check, (status, since)): (&regreen_schemas::CheckName, &(Status, Option<Timestamp>))| {
        rows::verdict(check.as_str(), *status, *since, now)
    };
    section("CHECKS", counts.to_string(), bad.len(), bad.into_iter().map(row))
}

fn alerts(state: &State, now: Timestamp) -> Section {
    let mut open: Vec<_> = state.episodes.values().filter(|episode| episode.closed.is_none()).collect();
    // Blocked before the others, then the newest first.
    open.sort_by_key(|episode| {
        let strongest = episode.decisions.iter().max_by_key(|decision| decision.outcome.strength());
        let blocked = strongest.is_some_and(|best| matches!(best.outcome, Outcome::Blocked(_)));
        (!blocked, std::cmp::Reverse(episode.opened))
    });
    section(
        "ALERTS",
        format!("{} firing", open.len()),
        open.len(),
        open.into_iter().map(|episode| rows::alert(episode, now)),
    )
}

fn section(title: &'static str, summary: String, total: usize, all: impl Iterator<Item = Row>) -> Section {
    Section { title, summary, rows: all.take(ROWS_MAX).collect(), total }
}
