//! For people: every place drawn, and how many there are.

use std::collections::BTreeSet;

use crate::diagnostic::{Findings, Severity};

/// As a terminal shows them, with colour if wanted, and a last line that counts.
#[must_use]
pub fn human(findings: &Findings, colour: bool) -> String {
    format!("{}{}\n", findings.render(colour), tally(findings))
}

/// `3 errors, 1 warning in 2 files`.
#[must_use]
pub fn tally(findings: &Findings) -> String {
    let counts = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")].map(
        |(severity, word)| {
            (findings.list.iter().filter(|finding| finding.severity == severity).count(), word)
        },
    );
    let found: Vec<String> =
        counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| some(count, word)).collect();
    if found.is_empty() {
        return format!("nothing found in {}", some(findings.sources.len(), "file"));
    }
    let files: BTreeSet<usize> = findings.list.iter().map(|finding| finding.at.file).collect();
    format!("{} in {}", found.join(", "), some(files.len(), "file"))
}

fn some(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Place, Source};

    #[test]
    fn the_last_line_counts() {
        let source = |path: &str| Source { path: path.into(), text: "a: b\n".into() };
        let mut findings = Findings { sources: vec![source("a.yaml"), source("b.yaml")], list: Vec::new() };
        assert_eq!(tally(&findings), "nothing found in 2 files");
        let at = |file| Place { file, range: 0..1 };
        findings.note(202, at(0), "m", "l", "");
        assert_eq!(tally(&findings), "1 note in 1 file");
        (0..3).for_each(|_| findings.error(101, at(1), "m", "l", ""));
        findings.warning(602, at(0), "m", "l", "");
        assert_eq!(tally(&findings), "3 errors, 1 warning, 1 note in 2 files");
    }
}
