//! The report as one page that needs nothing else: no script, no font, no picture from outside. The numbers of the drawing
//! are made here; every text goes through the template, which escapes it.

mod draw;

use handlebars::Handlebars;
use serde::Serialize;

use self::draw::Drawing;
use super::{
    follow::clock,
    report::{Act, Effect, Objective, Report},
    timeline::{Mark, Phase, seconds},
};

const PAGE: &str = include_str!("report.html.hbs");

/// What the template reads: texts and numbers, nothing to decide.
#[derive(Serialize)]
struct Page<'r> {
    drill: &'r str,
    version: &'r str,
    began: String,
    took: String,
    verdict: &'static str,
    met: bool,
    facts: Vec<Fact>,
    summary: Vec<Row>,
    acts: Vec<Shown<'r>>,
    disagreements: &'r [String],
    effects: Vec<Line>,
    counted: usize,
    notes: &'r [String],
}

/// A word and what there is to it.
#[derive(Serialize)]
struct Fact {
    word: &'static str,
    text: String,
}

/// An act in the summary.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    title: &'static str,
    result: &'static str,
    /// One cell a phase, then RTO.
    seconds: Vec<String>,
    rpo: String,
    well: bool,
}

/// An act with its drawing.
#[derive(Serialize)]
struct Shown<'r> {
    name: &'static str,
    title: &'static str,
    expected: &'static str,
    run: Option<&'r str>,
    well: bool,
    wrong: &'r [String],
    objectives: Vec<Aimed>,
    notes: &'r [String],
    drawing: Drawing,
    marks: Vec<Line>,
}

#[derive(Serialize)]
struct Aimed {
    said: String,
    met: bool,
}

/// A line of a table.
#[derive(Serialize)]
struct Line {
    at: String,
    after: String,
    word: String,
    text: String,
    by: String,
}

/// The page.
pub fn page(report: &Report) -> anyhow::Result<String> {
    let mut templates = Handlebars::new();
    // A name that is misspelt in the template must not vanish.
    templates.set_strict_mode(true);
    let page = Page {
        drill: report.drill,
        version: report.version,
        began: report.began.to_string(),
        took: format!("{:.0} s", seconds(report.began, report.ended)),
        verdict: if report.met { "every objective met" } else { "objectives not met" },
        met: report.met,
        facts: facts(report),
        summary: report.acts.iter().map(row).collect(),
        acts: report.acts.iter().map(|act| shown(act, report)).collect(),
        disagreements: &report.disagreements,
        effects: report.effect_log.iter().map(|effect| effect_line(effect, report)).collect(),
        counted: report.effects,
        notes: &report.notes,
    };
    Ok(templates.render_template(PAGE, &page)?)
}

fn facts(report: &Report) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut say = |word, text: String| facts.push(Fact { word, text });
    if let Some(search) = report.search {
        say("search nodes", search.to_owned());
    }
    if let Some(speed) = report.speed {
        say("speed", format!("waits {}×, cooldowns {}×", speed.waits, speed.memory));
    }
    if let Some(tally) = &report.canary {
        say("documents lost", format!("{} of {} acknowledged", tally.lost, tally.acknowledged));
        say("longest without a write", format!("{:.2} s", tally.longest_gap));
    }
    say("effect log", if report.agrees { "agrees".to_owned() } else { "disagrees".to_owned() });
    facts
}

fn row(act: &Act) -> Row {
    let timeline = &act.timeline;
    let cell = |seconds: f64| format!("{seconds:.2}");
    let seconds = timeline.seconds.map_or_else(
        || vec!["–".to_owned(); Phase::ALL.len() + 1],
        |s| {
            let phases = [s.detect, s.decide, s.act, s.verify].map(cell);
            phases.into_iter().chain([s.rto.map_or_else(|| "–".to_owned(), cell)]).collect()
        },
    );
    let rpo = act.objectives.iter().find(|objective| objective.aim == super::report::Aim::Rpo);
    Row {
        name: act.name,
        title: act.title,
        result: timeline.result.map_or("nothing done", |result| result.word()),
        seconds,
        rpo: rpo.and_then(|rpo| rpo.measured).map_or_else(|| "–".to_owned(), |lost| format!("{lost:.0}")),
        well: act.is_well(),
    }
}

fn shown<'r>(act: &'r Act, report: &Report) -> Shown<'r> {
    let (from, to) = (act.timeline.broke, act.timeline.ended);
    let own: Vec<&Effect> =
        report.effect_log.iter().filter(|effect| effect.at >= from && effect.at <= to).collect();
    let aimed = |objective: &Objective| Aimed { said: objective.said(), met: objective.met };
    Shown {
        name: act.name,
        title: act.title,
        expected: act.expected,
        run: act.timeline.run.as_ref().map(|run| run.as_str()),
        well: act.is_well(),
        wrong: &act.wrong,
        objectives: act.objectives.iter().map(aimed).collect(),
        notes: &act.notes,
        drawing: draw::drawing(act, &own),
        marks: act.timeline.marks.iter().map(|mark| mark_line(mark, act)).collect(),
    }
}

fn mark_line(mark: &Mark, act: &Act) -> Line {
    Line {
        at: clock(mark.at),
        after: format!("{:+.2}", seconds(act.timeline.broke, mark.at)),
        word: mark.word.to_owned(),
        text: mark.text.clone(),
        by: String::new(),
    }
}

fn effect_line(effect: &Effect, report: &Report) -> Line {
    Line {
        at: clock(effect.at),
        after: format!("{:+.2}", seconds(report.began, effect.at)),
        word: effect.what.clone(),
        text: effect.on.clone(),
        by: effect.by.clone().unwrap_or_else(|| "the drill".to_owned()),
    }
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
