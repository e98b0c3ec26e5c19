//! Findings in the forms that others read: people at a terminal, programs, code scanning, GitHub's pages. Pure: text
//! comes out, whoever asked prints it.

mod github;
mod human;
mod json;
mod sarif;

pub use github::github;
pub use human::{human, tally};
pub use json::{Plain, json};
pub use sarif::sarif;

use crate::diagnostic::{Findings, Place};

/// A place as editors count it: lines and characters from 1, the end beside the last character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

impl Region {
    fn of(findings: &Findings, place: &Place) -> Self {
        let text = &findings.sources[place.file].text;
        let mut range = place.within(text);
        // A block ends where the next one begins; what is marked is itself.
        range.end = range.start + text[range.clone()].trim_end().len();
        let (line, column) = position(text, range.start);
        let (end_line, end_column) = position(text, range.end);
        Self { line, column, end_line, end_column }
    }
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let source = Source { path: "a.yaml".into(), text: "a: ü\nb: cd\n".into() };
        let findings = Findings { sources: vec![source], list: Vec::new() };
        let cases = [
            (0..1, (1, 1, 1, 2)),
            (3..5, (1, 4, 1, 5)),
            (9..11, (2, 4, 2, 6)),
            (0..11, (1, 1, 2, 6)),
            (6..12, (2, 1, 2, 6)),
            // In the middle of a character, and beyond the end.
            (4..5, (1, 4, 1, 5)),
            (90..99, (3, 1, 3, 1)),
        ];
        for (range, (line, column, end_line, end_column)) in cases {
            let found = Region::of(&findings, &Place { file: 0, range: range.clone() });
            assert_eq!(found, Region { line, column, end_line, end_column }, "{range:?}");
        }
    }
}
