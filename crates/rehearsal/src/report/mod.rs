//! Reports in the forms that people and programs read.

mod human;
mod json;
mod junit;

pub use human::{Style, coverage, human};
pub use json::json;
pub use junit::junit;

use crate::{Outcome, Report, coverage::line_of};

/// Path and line of a case.
fn place(report: &Report, case: &Outcome) -> String {
    let line =
        report.sources.get(case.place.file).map_or(0, |source| line_of(&source.text, case.place.range.start));
    format!("{}:{line}", case.path)
}

/// Cases, those of each file together.
fn by_file(report: &Report) -> Vec<(&str, Vec<&Outcome>)> {
    let mut files: Vec<(&str, Vec<&Outcome>)> = Vec::new();
    for case in &report.cases {
        match files.last_mut().filter(|(path, _)| *path == &*case.path) {
            Some((_, cases)) => cases.push(case),
            None => files.push((&case.path, vec![case])),
        }
    }
    files
}
