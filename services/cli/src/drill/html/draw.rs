//! The timeline of an act as numbers: lanes, bars, ticks. Where it is drawn from them is the template's.

use regreen_schemas::Timestamp;
use serde::Serialize;

use crate::drill::{
    report::{Act, Effect},
    timeline::{Bar, Phase, seconds},
};

/// Width of the drawing, in its own units.
const WIDTH: f64 = 1000.0;
/// Room for the names of lanes, and at the right end.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 16.0;
/// Height of a lane, and of the bar in it.
const LANE: f64 = 30.0;
const BAR: f64 = 20.0;
/// The least that can be seen.
const BAR_MIN: f64 = 3.0;
/// Width of a character of a label; rather too wide.
const CHAR: f64 = 7.0;
/// Most ticks on the axis.
const TICKS_MAX: f64 = 12.0;

/// Everything to be drawn.
#[derive(Debug, Serialize)]
pub struct Drawing {
    width: f64,
    height: f64,
    /// Where the axis is.
    axis: f64,
    left: f64,
    right: f64,
    lanes: Vec<Lane>,
    bars: Vec<Drawn>,
    ticks: Vec<Tick>,
    effects: Vec<Tick>,
    gaps: Vec<Drawn>,
    /// For those who can't see it.
    said: String,
}

#[derive(Debug, Serialize)]
struct Lane {
    name: &'static str,
    y: f64,
    text: f64,
}

#[derive(Debug, Serialize)]
struct Drawn {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    text: f64,
    class: &'static str,
    /// What fits into it.
    label: String,
    /// All of it.
    title: String,
}

#[derive(Debug, Serialize)]
struct Tick {
    x: f64,
    y: f64,
    label: String,
    title: String,
}

/// Places of moments on the axis.
struct Scale {
    from: Timestamp,
    seconds: f64,
}

impl Scale {
    fn x(&self, at: Timestamp) -> f64 {
        let share = (seconds(self.from, at) / self.seconds).clamp(0.0, 1.0);
        round(LEFT + share * (WIDTH - LEFT - RIGHT))
    }
}

fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// The drawing of an act with what was done to the outside in its time.
pub fn drawing(act: &Act, effects: &[&Effect]) -> Drawing {
    let timeline = &act.timeline;
    let scale = Scale { from: timeline.broke, seconds: seconds(timeline.broke, timeline.ended).max(0.1) };
    let names = Phase::ALL.map(Phase::word).into_iter().chain(["effects"]);
    let names: Vec<&'static str> =
        if act.gaps.is_empty() { names.collect() } else { names.chain(["writes"]).collect() };
    let lane = |(n, name): (usize, &&'static str)| Lane { name, y: top(n), text: top(n) + LANE / 2.0 };
    let lanes: Vec<Lane> = names.iter().enumerate().map(lane).collect();
    let axis = top(names.len());
    let gap = |gap: &crate::drill::canary::Gap| {
        let length = gap.length();
        let title = format!("no document accepted for {length:.2} s");
        drawn(&scale, (gap.from, gap.to), 5, "gap", &format!("{length:.1} s"), title)
    };
    Drawing {
        width: WIDTH,
        height: axis + 26.0,
        axis,
        left: LEFT,
        right: WIDTH - RIGHT,
        lanes,
        bars: timeline.bars.iter().map(|it| bar(&scale, it)).collect(),
        ticks: ticks(&scale, axis),
        effects: dots(&scale, effects),
        gaps: act.gaps.iter().map(gap).collect(),
        said: said(act),
    }
}

/// Effects in two rows, so that the name of one does not lie on the next; where even that has no room, a dot alone.
fn dots(scale: &Scale, effects: &[&Effect]) -> Vec<Tick> {
    let mut free = [0.0; 2];
    let dot = |effect: &&Effect| {
        let x = scale.x(effect.at);
        let row = free.iter().position(|free| *free <= x);
        let fits = row.filter(|_| x + wide(&effect.what) + 12.0 <= WIDTH);
        if let Some(row) = row {
            free[row] = x + 12.0 + fits.map_or(0.0, |_| wide(&effect.what));
        }
        Tick {
            x,
            y: top(4) + if row == Some(1) { 22.0 } else { 9.0 },
            label: fits.map_or_else(String::new, |_| effect.what.clone()),
            title: format!("{} {} at {:+.2} s", effect.what, effect.on, seconds(scale.from, effect.at)),
        }
    };
    effects.iter().map(dot).collect()
}

#[expect(clippy::cast_precision_loss, reason = "labels are short")]
fn wide(text: &str) -> f64 {
    text.chars().count() as f64 * CHAR
}

#[expect(clippy::cast_precision_loss, reason = "a handful of lanes")]
fn top(lane: usize) -> f64 {
    4.0 + LANE * lane as f64
}

fn bar(scale: &Scale, bar: &Bar) -> Drawn {
    let took = seconds(bar.from, bar.to);
    let outcome = if bar.well { "" } else { ": in vain, or dropped" };
    let title = format!("{}: {} ({took:.2} s{outcome})", bar.phase.word(), bar.label);
    let lane = Phase::ALL.iter().position(|phase| *phase == bar.phase).unwrap_or_default();
    let class = match (bar.phase, bar.well) {
        (_, false) => "vain",
        (phase, true) => phase.word(),
    };
    // The step says more than the action behind it.
    let name = bar.label.split(':').next().unwrap_or_default();
    drawn(scale, (bar.from, bar.to), lane, class, &format!("{name} {took:.1} s"), title)
}

fn drawn(
    scale: &Scale,
    (from, to): (Timestamp, Timestamp),
    lane: usize,
    class: &'static str,
    label: &str,
    title: String,
) -> Drawn {
    let (x, end) = (scale.x(from), scale.x(to));
    let width = round((end - x).max(BAR_MIN));
    let y = top(lane) + (LANE - BAR) / 2.0;
    Drawn { x, y, width, height: BAR, text: y + BAR / 2.0, class, label: fitting(label, width), title }
}

/// The label, or its seconds, or nothing.
fn fitting(label: &str, width: f64) -> String {
    let fits = |text: &str| wide(text) + 8.0 <= width;
    let seconds =
        label.rfind(' ').and_then(|end| label[..end].rfind(' ')).map_or(label, |at| &label[at + 1..]);
    [label, seconds].into_iter().find(|text| fits(text)).unwrap_or_default().to_owned()
}

/// A step of 1, 2 or 5 times a power of ten that gives few ticks.
fn ticks(scale: &Scale, y: f64) -> Vec<Tick> {
    let steps = (-1..6).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
    let step = steps.into_iter().find(|step| scale.seconds / step <= TICKS_MAX).unwrap_or(scale.seconds);
    let digits = usize::from(step < 1.0);
    let mut ticks = Vec::new();
    let mut at = 0.0;
    while at <= scale.seconds && ticks.len() <= 20 {
        let share = at / scale.seconds;
        let x = round(LEFT + share * (WIDTH - LEFT - RIGHT));
        ticks.push(Tick { x, y, label: format!("{at:.digits$}"), title: String::new() });
        at += step;
    }
    ticks
}

fn said(act: &Act) -> String {
    let bars =
        act.timeline.bars.iter().map(|bar| {
            format!("{} {:.1} seconds, {}", bar.phase.word(), seconds(bar.from, bar.to), bar.label)
        });
    bars.collect::<Vec<_>>().join("; ")
}
