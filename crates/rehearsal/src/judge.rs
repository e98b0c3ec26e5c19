//! Compares what happened with what was expected, line by line, in the words of the language.

use regreen_playbook::{
    cases::{Case, Expected, ExpectedAction, ExpectedTold, Word},
    diagnostic::Place,
};

use crate::{
    align::{Edit, align},
    seen::{Acted, Decided, Seen, Told, action_line},
    words::{agrees, yaml},
};

/// Lines of a golden trace that are shown around a change.
const CONTEXT: usize = 2;

/// A part of a case that is not as it should be.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Which part.
    pub section: Section,
    /// Where it is written what was expected.
    pub place: Place,
    /// The comparison: a line begins with ` ` where both agree, `-` for what was expected, `+` for what came.
    pub lines: Vec<String>,
    /// What to do about it, or why it is so.
    pub notes: Vec<String>,
}

/// A part of what is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// It could not be played to its end.
    Play,
    /// `result`.
    Result,
    /// `decisions`.
    Decisions,
    /// `actions`.
    Actions,
    /// `told`.
    Told,
    /// `golden`.
    Golden,
}

impl Section {
    /// The word in YAML.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Play => "answers",
            Self::Result => "result",
            Self::Decisions => "decisions",
            Self::Actions => "actions",
            Self::Told => "told",
            Self::Golden => "golden",
        }
    }
}

/// What is not as the case expects it.
pub(crate) fn judge(case: &Case, seen: &Seen) -> Vec<Difference> {
    let expect = &case.expect;
    if let Some(problem) = &seen.problem {
        let (section, place) = (Section::Play, case.place.clone());
        // All else that differs follows from it.
        return vec![Difference { section, place, lines: Vec::new(), notes: vec![problem.clone()] }];
    }
    let mut out = Vec::new();
    out.extend(results(case, seen));
    out.extend(expect.decisions.as_ref().and_then(|wanted| decisions(wanted, seen)));
    out.extend(expect.actions.as_ref().and_then(|wanted| actions(wanted, seen)));
    out.extend(expect.told.as_ref().and_then(|wanted| told(wanted, seen)));
    out
}

/// Why nothing, or not this, was started.
fn why(seen: &Seen) -> Vec<String> {
    let mut out = Vec::new();
    let last = seen.decisions.len().saturating_sub(1);
    for (nth, decided) in seen.decisions.iter().enumerate() {
        // That it had not lasted long enough says something only where nothing came after it.
        if decided.clauses.is_empty() || (decided.pending && nth != last) {
            continue;
        }
        out.push(format!("at {}: {}", decided.at, decided.detail));
        for clause in &decided.clauses {
            let sign = if clause.passed { "✓" } else { "✗" };
            out.push(
                format!("  {sign} {}    {}", clause.text, seen.clean(&clause.saw)).trim_end().to_owned(),
            );
        }
    }
    out
}

fn results(case: &Case, seen: &Seen) -> Option<Difference> {
    let wanted = case.expect.results.as_ref()?;
    let came: Vec<String> = seen
        .runs
        .iter()
        .map(|run| match &run.ended {
            Some((_, result, _)) => result.word().to_owned(),
            None => format!("open: {}", run.stands),
        })
        .collect();
    let expected: Vec<&str> = wanted.list.iter().map(|result| result.word()).collect();
    if expected == came {
        return None;
    }
    let none = |list: Vec<String>| if list.is_empty() { vec!["none".to_owned()] } else { list };
    let expected = none(expected.into_iter().map(str::to_owned).collect());
    let came = none(came);
    let lines = edits(&align(&expected, &came, |a, b| a == b), Clone::clone, Clone::clone);
    let mut notes: Vec<String> = seen
        .runs
        .iter()
        .filter_map(|run| run.ended.as_ref().map(|ended| (run, ended)))
        .map(|(run, (at, result, reason))| {
            format!("{} ended {} at {at}: {reason}", run.playbook, result.word())
        })
        .collect();
    if seen.runs.is_empty() {
        notes = why(seen);
        if notes.is_empty() && seen.decisions.is_empty() {
            notes.push("nothing of the timeline starts it".to_owned());
        }
    }
    Some(Difference { section: Section::Result, place: wanted.place.clone(), lines, notes })
}

fn decisions(wanted: &Expected<Word>, seen: &Seen) -> Option<Difference> {
    let came: Vec<&Decided> = seen.decisions.iter().filter(|decided| !decided.pending).collect();
    let same = |wanted: &Word, came: &&Decided| {
        wanted.outcome == came.word.outcome && (wanted.reason.is_none() || wanted.reason == came.word.reason)
    };
    let shown = |came: &&Decided| said(&came.word);
    let aligned = align(&wanted.list, &came, same);
    let differs = aligned.iter().any(|edit| !matches!(edit, Edit::Same(..)));
    differs.then(|| Difference {
        section: Section::Decisions,
        place: wanted.place.clone(),
        lines: edits(&aligned, said, shown),
        notes: if seen.runs.is_empty() && wanted.list.len() == 1 { Vec::new() } else { why(seen) },
    })
}

fn said(word: &Word) -> String {
    match &word.reason {
        Some(reason) => format!("\"{}: {reason}\"", word.outcome),
        None => word.outcome.to_string(),
    }
}

fn actions(wanted: &Expected<ExpectedAction>, seen: &Seen) -> Option<Difference> {
    let alike =
        |wanted: &ExpectedAction, came: &Acted| wanted.step == came.step && wanted.action == came.action;
    let same = |wanted: &ExpectedAction, came: &Acted| {
        let with = |(key, value): &(std::sync::Arc<str>, serde_json::Value)| {
            came.with.get(key.as_ref()).is_some_and(|found| agrees(value, found))
        };
        alike(wanted, came) && wanted.at == came.at && wanted.with.iter().all(with)
    };
    let aligned = align(&wanted.list, &seen.actions, same);
    if aligned.iter().all(|edit| matches!(edit, Edit::Same(..))) {
        return None;
    }
    let keys = |came: &Acted| {
        let named = wanted.list.iter().find(|wanted| alike(wanted, came));
        named.map(|wanted| wanted.with.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>())
    };
    let written = |wanted: &ExpectedAction| {
        let with: Vec<String> =
            wanted.with.iter().map(|(key, value)| format!("{key}: {}", yaml(value))).collect();
        action_line(wanted.at, &wanted.step, &wanted.action, &with)
    };
    let lines = edits(&aligned, written, |came| came.yaml(keys(came).as_deref()));
    Some(Difference { section: Section::Actions, place: wanted.place.clone(), lines, notes: Vec::new() })
}

fn told(wanted: &Expected<ExpectedTold>, seen: &Seen) -> Option<Difference> {
    let same = |wanted: &ExpectedTold, came: &Told| {
        let says = |text: &std::sync::Arc<str>| came.texts.iter().any(|said| said.contains(text.as_ref()));
        wanted.to == came.to
            && wanted.at.is_none_or(|at| at == came.at)
            && wanted.text.as_ref().is_none_or(says)
    };
    let aligned = align(&wanted.list, &seen.told, same);
    if aligned.iter().all(|edit| matches!(edit, Edit::Same(..))) {
        return None;
    }
    let written = |wanted: &ExpectedTold| {
        let at = wanted.at.map(|at| format!(", at: {at}"));
        let text = wanted.text.as_ref().map(|text| format!(", text: {}", yaml(&text.as_ref().into())));
        match (at, text) {
            (None, None) => wanted.to.to_string(),
            (at, text) => {
                format!("{{to: {}{}{}}}", wanted.to, at.unwrap_or_default(), text.unwrap_or_default())
            }
        }
    };
    let lines = edits(&aligned, written, told_line);
    Some(Difference { section: Section::Told, place: wanted.place.clone(), lines, notes: Vec::new() })
}

fn told_line(came: &Told) -> String {
    let text = came.texts.first().map_or("", String::as_str);
    format!("{{to: {}, at: {}, text: {}}}", came.to, came.at, yaml(&text.into()))
}

/// The golden trace against the one that came.
pub(crate) fn golden(case: &Case, kept: Option<&str>, trace: &str, path: &str) -> Option<Difference> {
    let place = case.expect.place.clone();
    let difference =
        |lines, note: String| Some(Difference { section: Section::Golden, place, lines, notes: vec![note] });
    let Some(kept) = kept else {
        return difference(Vec::new(), format!("there is no {path} yet: `--update` writes it"));
    };
    if kept == trace {
        return None;
    }
    let (kept, came): (Vec<&str>, Vec<&str>) = (kept.lines().collect(), trace.lines().collect());
    let lines =
        edits(&align(&kept, &came, |a, b| a == b), |line| (*line).to_owned(), |line| (*line).to_owned());
    difference(around(&lines), format!("{path} has it otherwise; `--update` writes it anew"))
}

/// Only what changed, with a few lines around it.
fn around(lines: &[String]) -> Vec<String> {
    let changed = |line: &String| !line.starts_with(' ');
    let near = |nth: usize| {
        let from = nth.saturating_sub(CONTEXT);
        lines[from..lines.len().min(nth + CONTEXT + 1)].iter().any(changed)
    };
    let mut out = Vec::new();
    let mut cut = false;
    for (nth, line) in lines.iter().enumerate() {
        if near(nth) {
            out.push(line.clone());
            cut = false;
        } else if !cut {
            out.push("  …".to_owned());
            cut = true;
        }
    }
    out
}

fn edits<A, B>(
    aligned: &[Edit<&A, &B>],
    wanted: impl Fn(&A) -> String,
    came: impl Fn(&B) -> String,
) -> Vec<String> {
    let line = |edit: &Edit<&A, &B>| match edit {
        Edit::Same(a, _) => format!("  {}", wanted(a)),
        Edit::Lost(a) => format!("- {}", wanted(a)),
        Edit::New(b) => format!("+ {}", came(b)),
    };
    aligned.iter().map(line).collect()
}
