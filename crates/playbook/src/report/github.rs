//! For GitHub's pages: workflow commands, which it draws at the lines of a pull request.

use std::fmt::Write as _;

use super::Region;
use crate::diagnostic::{Finding, Findings, Severity};

/// One command a finding.
#[must_use]
pub fn github(findings: &Findings) -> String {
    let mut out = String::new();
    for finding in &findings.list {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let file = property(&findings.sources[finding.at.file].path);
        let place = place(&Region::of(findings, &finding.at));
        let _ = writeln!(out, "::{command} file={file},{place},title=RG{}::{}", finding.code, text(finding));
    }
    out
}

/// Columns are only for places on one line, and the last one is the last character.
fn place(region: &Region) -> String {
    let Region { line, column, end_line, end_column } = *region;
    if line == end_line {
        format!("line={line},col={column},endColumn={}", column.max(end_column - 1))
    } else {
        format!("line={line},endLine={end_line}")
    }
}

fn text(finding: &Finding) -> String {
    let Finding { message, label, hint, .. } = finding;
    let mut text = format!("{message}: {label}");
    if !hint.is_empty() {
        let _ = write!(text, "\nhint: {hint}");
    }
    data(&text)
}

/// Text after the last `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Text between commas.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
