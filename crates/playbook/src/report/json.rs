//! For programs: one array, whose fields stay.

use serde::Serialize;

use super::Region;
use crate::{
    codes,
    diagnostic::{Finding, Findings, Severity},
};

/// A finding as JSON.
#[derive(Debug, Serialize)]
pub struct Plain<'a> {
    code: String,
    severity: Severity,
    message: &'a str,
    label: &'a str,
    hint: &'a str,
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    docs: String,
}

/// As plain data: lines and characters from 1, the end beside the last character.
#[must_use]
pub fn json(findings: &Findings) -> Vec<Plain<'_>> {
    findings.list.iter().map(|finding| plain(findings, finding)).collect()
}

fn plain<'a>(findings: &'a Findings, finding: &'a Finding) -> Plain<'a> {
    let Finding { code, severity, message, at, label, hint, also: _ } = finding;
    let Region { line, column, end_line, end_column } = Region::of(findings, at);
    Plain {
        code: format!("RG{code}"),
        severity: *severity,
        message,
        label,
        hint,
        file: &findings.sources[at.file].path,
        line,
        column,
        end_line,
        end_column,
        docs: codes::docs(*code),
    }
}
