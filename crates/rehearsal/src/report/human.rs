//! For people: a line a case, and what differs where it differs.

use std::fmt::Write as _;

use super::{by_file, place};
use crate::{Coverage, Difference, Outcome, Report, coverage::line_of};

/// How it is printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// With colour.
    pub colour: bool,
    /// With the whole trace of each case.
    pub trace: bool,
}

/// Colours: what is expected and lost, what came, what is quiet.
#[derive(Clone, Copy)]
enum Ink {
    Red,
    Green,
    Dim,
    Bold,
}

fn ink(style: Style, ink: Ink, text: &str) -> String {
    let code = match ink {
        Ink::Red => 31,
        Ink::Green => 32,
        Ink::Dim => 2,
        Ink::Bold => 1,
    };
    if style.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// The whole report.
#[must_use]
pub fn human(report: &Report, style: Style) -> String {
    let mut out = String::new();
    for (path, cases) in by_file(report) {
        let _ = writeln!(out, "{}", ink(style, Ink::Bold, path));
        for case in cases {
            one(&mut out, report, case, style);
        }
        out.push('\n');
    }
    let (all, failed) = (report.cases.len(), report.failed());
    let noun = |n: usize| if n == 1 { "case" } else { "cases" };
    let _ = match failed {
        0 => writeln!(out, "{} {all} {}", ink(style, Ink::Green, "ok"), noun(all)),
        _ => writeln!(out, "{} {failed} of {all} {}", ink(style, Ink::Red, "FAILED"), noun(all)),
    };
    out
}

fn one(out: &mut String, report: &Report, case: &Outcome, style: Style) {
    let word = if case.passed() { ink(style, Ink::Green, "ok  ") } else { ink(style, Ink::Red, "FAIL") };
    let lasted = ink(style, Ink::Dim, &case.lasted.to_string());
    let _ = writeln!(out, "  {word}  {}  {lasted}", case.name);
    if !case.passed() {
        let _ = writeln!(out, "        {} {}", ink(style, Ink::Dim, "-->"), place(report, case));
    }
    for difference in &case.differences {
        section(out, report, difference, style);
    }
    if style.trace {
        let _ = writeln!(out, "        {}", ink(style, Ink::Dim, "trace"));
        for line in case.seen.text().lines() {
            let _ = writeln!(out, "          {line}");
        }
    }
}

fn section(out: &mut String, report: &Report, difference: &Difference, style: Style) {
    let source = report.sources.get(difference.place.file);
    let line = source.map_or(0, |source| line_of(&source.text, difference.place.range.start));
    let at = ink(style, Ink::Dim, &format!("line {line}"));
    let _ = writeln!(out, "        {}  {at}", difference.section.word());
    for line in &difference.lines {
        let line = match line.as_bytes().first() {
            Some(b'-') => ink(style, Ink::Red, line),
            Some(b'+') => ink(style, Ink::Green, line),
            _ => line.clone(),
        };
        let _ = writeln!(out, "          {line}");
    }
    for note in &difference.notes {
        let _ = writeln!(out, "          {}", ink(style, Ink::Dim, &format!("  {note}")));
    }
}

/// What the cases did not go through, and the shares.
#[must_use]
pub fn coverage(coverage: &Coverage, style: Style) -> String {
    let mut out = String::new();
    for of in &coverage.playbooks {
        let (covered, all) = of.branches();
        let share = (covered * 100).checked_div(all).unwrap_or(100);
        let _ = writeln!(
            out,
            "{}  {share}% ({covered} of {all} branches)",
            ink(style, Ink::Bold, of.playbook.as_str())
        );
        for item in of.items.iter().filter(|item| !item.covered) {
            let kind = if item.counts { "not covered" } else { "not seen" };
            let text = format!("  {}:{}  {}", of.path, item.line, item.what);
            let _ = writeln!(out, "{text}  {}", ink(style, Ink::Dim, kind));
        }
    }
    out
}
