//! Findings: all of them at once, each with its code, the place drawn, and what to do about it. Codes and their
//! meaning are in docs/errors.

use std::{cmp::Reverse, ops::Range};

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

/// Most findings of one check: a file with more is broken as a whole.
const FINDINGS_MAX: usize = 200;
/// Longest message, label or hint, in bytes.
const WORDS_MAX: usize = 1000;

/// A file as it was given.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path for messages.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A place in a file, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the source.
    pub file: usize,
    /// Bytes.
    pub range: Range<usize>,
}

impl Place {
    /// The range, within the text and on character boundaries, whatever a parser said.
    pub(crate) fn within(&self, text: &str) -> Range<usize> {
        let start = text.floor_char_boundary(self.range.start);
        start..text.floor_char_boundary(self.range.end.max(start))
    }
}

/// Whether the set may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It may not.
    Error,
    /// It may, but look.
    Warning,
    /// It may; worth knowing.
    Note,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `RG101`; see docs/errors.
    pub code: u16,
    /// Error, warning or note.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub at: Place,
    /// A word at the place.
    pub label: String,
    /// What to do.
    pub hint: String,
    /// A second place that belongs to it.
    pub also: Option<(Place, String)>,
}

/// The findings of one check, over its sources.
#[derive(Debug, Default)]
pub struct Findings {
    /// The files.
    pub sources: Vec<Source>,
    /// What was found, in file and place order once sorted.
    pub list: Vec<Finding>,
}

impl Findings {
    /// Adds an error.
    pub fn error(
        &mut self,
        code: u16,
        at: Place,
        message: impl Into<String>,
        label: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Error, code, at, message.into(), label.into(), hint.into());
    }

    /// Adds a warning.
    pub fn warning(
        &mut self,
        code: u16,
        at: Place,
        message: impl Into<String>,
        label: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Warning, code, at, message.into(), label.into(), hint.into());
    }

    /// Adds a note: it forbids nothing, however strictly it is looked at.
    pub fn note(
        &mut self,
        code: u16,
        at: Place,
        message: impl Into<String>,
        label: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Note, code, at, message.into(), label.into(), hint.into());
    }

    fn add(
        &mut self,
        severity: Severity,
        code: u16,
        at: Place,
        message: String,
        label: String,
        hint: String,
    ) {
        let (message, label, hint) = (brief(message), brief(label), brief(hint));
        self.list.push(Finding { code, severity, message, at, label, hint, also: None });
    }

    /// Names a second place of the newest finding.
    pub fn also(&mut self, at: Place, label: impl Into<String>) {
        if let Some(last) = self.list.last_mut() {
            last.also = Some((at, label.into()));
        }
    }

    /// Whether any of them forbids the set.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// In order of file and place, each within its text, and no more of them than anybody reads.
    pub fn sort(&mut self) {
        for finding in &mut self.list {
            let also = finding.also.as_mut().map(|(place, _)| place);
            for place in also.into_iter().chain([&mut finding.at]) {
                place.range = place.within(&self.sources[place.file].text);
            }
        }
        self.list.sort_by_key(|finding| (finding.at.file, finding.at.range.start, finding.code));
        self.cut();
    }

    /// The last that is kept speaks for those after it, as grave as the gravest of them.
    fn cut(&mut self) {
        let Some(more) = self.list.get(FINDINGS_MAX..).filter(|more| !more.is_empty()) else { return };
        let gravest = more.iter().map(|finding| finding.severity).min();
        let count = more.len();
        self.list.truncate(FINDINGS_MAX);
        if let (Some(last), Some(gravest)) = (self.list.last_mut(), gravest) {
            last.message.push_str(&format!("; and {count} more findings after this one"));
            last.severity = last.severity.min(gravest);
        }
    }

    /// As a terminal shows them, with colour if wanted.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for finding in &self.list {
            out.push_str(&renderer.render(&[self.group(finding)]));
            out.push_str("\n\n");
        }
        out
    }

    fn group<'a>(&'a self, finding: &'a Finding) -> Group<'a> {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut snippet = self.snippet(&finding.at, AnnotationKind::Primary, &finding.label);
        let mut elsewhere = None;
        if let Some((place, label)) = &finding.also {
            if place.file == finding.at.file {
                let span = place.within(&self.sources[place.file].text);
                snippet = snippet.annotation(AnnotationKind::Context.span(span).label(label.as_str()));
            } else {
                elsewhere = Some(self.snippet(place, AnnotationKind::Context, label));
            }
        }
        let title = level.primary_title(finding.message.as_str()).id(format!("RG{}", finding.code));
        let group = title.element(snippet).elements(elsewhere);
        if finding.hint.is_empty() {
            group
        } else {
            group.element(Level::HELP.with_name("hint").message(finding.hint.as_str()))
        }
    }

    fn snippet<'a>(
        &'a self,
        place: &Place,
        kind: AnnotationKind,
        label: &'a str,
    ) -> Snippet<'a, Annotation<'a>> {
        let source = &self.sources[place.file];
        let span = place.within(&source.text);
        Snippet::source(source.text.as_str())
            .path(source.path.as_str())
            .annotation(kind.span(span).label(label))
    }
}

/// Words of a finding may quote a whole value: as much of it as anybody reads.
fn brief(mut text: String) -> String {
    if text.len() > WORDS_MAX {
        text.truncate(text.floor_char_boundary(WORDS_MAX));
        text.push('…');
    }
    text
}

/// The nearest of some words, if one is near: for "did you mean". Of several as near, the one that begins alike.
#[must_use]
pub fn nearest<'a>(word: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bound = 1 + word.chars().count() / 4;
    let alike = |known: &str| word.chars().zip(known.chars()).take_while(|(a, b)| a == b).count();
    among
        .into_iter()
        .map(|known| (distance(word, known), Reverse(alike(known)), known))
        .filter(|(d, ..)| *d <= bound)
        .min()
        .map(|(.., known)| known)
}

/// How many characters must be put in, taken out, changed, or swapped with the next, between two short words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_the_one_that_was_meant() {
        let cases: &[(&str, &[&str], Option<&str>)] = &[
            ("wiht", &["wait", "with"], Some("with")),
            ("cooldwn", &["cooldown", "budget"], Some("cooldown")),
            ("lab.node.restart", &["lab.node.destroy", "lab.node.reboot"], Some("lab.node.reboot")),
            ("zebra", &["wait", "with"], None),
            ("", &["a", "bc"], Some("a")),
        ];
        for (word, among, wanted) in cases {
            assert_eq!(nearest(word, among.iter().copied()), *wanted, "{word}");
        }
    }
}
