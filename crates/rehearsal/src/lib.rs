//! Plays the tests of playbooks: `*.test.yaml` in, a report out. The same `decide` as in production runs on a virtual
//! clock, against a virtual probe, runner and notifier. Pure: no I/O, no clock, no randomness; the same text gives the
//! same report.

mod align;
mod answers;
mod coverage;
mod judge;
mod people;
mod play;
mod probe;
mod record;
pub mod report;
mod seen;
mod stage;
mod words;

use std::{collections::BTreeMap, sync::Arc};

pub use coverage::{Coverage, Item, OfPlaybook};
pub use judge::{Difference, Section};
pub use seen::{Acted, Decided, Line, Ran, Seen, Told};

use regreen_playbook::{
    Findings,
    cases::{self, Case, Tests},
    diagnostic::{Place, Source},
};
use regreen_schemas::Span;

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only cases whose name holds this.
    pub only: Option<String>,
    /// Golden traces by path, as far as they exist.
    pub golden: BTreeMap<String, String>,
    /// Golden traces are written anew instead of compared.
    pub update: bool,
}

/// What came of all cases.
#[derive(Debug)]
pub struct Report {
    /// The files, with what they say: places are drawn from it.
    pub sources: Vec<Source>,
    /// Cases, in the order of the files.
    pub cases: Vec<Outcome>,
    /// What the cases went through.
    pub coverage: Coverage,
    /// Golden traces to write, by path.
    pub write: BTreeMap<String, String>,
}

/// What came of a case.
#[derive(Debug)]
pub struct Outcome {
    /// The file.
    pub file: usize,
    /// Its path.
    pub path: Arc<str>,
    /// The playbook.
    pub playbook: Arc<str>,
    /// The case.
    pub name: Arc<str>,
    /// Where its name stands.
    pub place: Place,
    /// What is not as it should be; nothing: it passed.
    pub differences: Vec<Difference>,
    /// All that happened.
    pub seen: Seen,
    /// The virtual time that it took.
    pub lasted: Span,
}

impl Outcome {
    /// Whether all came as it should.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

impl Report {
    /// How many cases did not come out as they should.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.passed()).count()
    }
}

/// Where the golden trace of a case is kept: `<file without .test.yaml>.golden/<case>.txt`.
#[must_use]
pub fn golden_path(file: &str, case: &str) -> String {
    let base = file.strip_suffix(".test.yaml").unwrap_or(file);
    let plain = |c: char| if c.is_alphanumeric() { c } else { '-' };
    let name: String = case.chars().map(plain).collect();
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    format!("{base}.golden/{}.txt", parts.join("-"))
}

/// The paths of all golden traces that the cases of these files compare with.
#[must_use]
pub fn golden_paths(sources: Vec<Source>) -> Vec<String> {
    let (suite, findings) = cases::load(sources);
    let cases = suite.tests.iter().flat_map(|tests| tests.cases.iter().map(move |case| (tests, case)));
    let golden = cases.filter(|(_, case)| case.expect.golden);
    golden.map(|(tests, case)| golden_path(&findings.sources[tests.place.file].path, &case.name)).collect()
}

/// Reads files of a set with the tests beside them, and plays these.
///
/// # Errors
/// All that is wrong with the files: nothing is played then.
pub fn rehearse(sources: Vec<Source>, options: &Options) -> Result<Report, Findings> {
    let (suite, findings) = cases::load(sources);
    if findings.has_errors() {
        return Err(findings);
    }
    let mut report = Report {
        sources: findings.sources,
        cases: Vec::new(),
        coverage: Coverage::default(),
        write: BTreeMap::new(),
    };
    for tests in &suite.tests {
        let set = Arc::new(stage::set(&tests.set, &tests.playbook));
        let wanted = |case: &&Case| options.only.as_ref().is_none_or(|only| case.name.contains(only));
        for case in tests.cases.iter().filter(wanted) {
            let seen = play::play(&set, &tests.playbook, case);
            report.coverage.take(&seen.marks);
            let outcome = judged(&mut report, tests, case, seen, options);
            report.cases.push(outcome);
        }
    }
    report.coverage.fill(&suite.tests, &suite.parts, &report.sources);
    Ok(report)
}

fn judged(report: &mut Report, tests: &Tests, case: &Case, seen: Seen, options: &Options) -> Outcome {
    let file = tests.place.file;
    let path: Arc<str> = report.sources[file].path.as_str().into();
    let mut differences = judge::judge(case, &seen);
    if case.expect.golden {
        let golden = golden_path(&path, &case.name);
        let trace = seen.text();
        if options.update {
            report.write.insert(golden, trace);
        } else {
            let kept = options.golden.get(&golden).map(String::as_str);
            differences.extend(judge::golden(case, kept, &trace, &golden));
        }
    }
    Outcome {
        file,
        path,
        playbook: tests.playbook.as_str().into(),
        name: case.name.clone(),
        place: case.place.clone(),
        differences,
        lasted: seen.lasted,
        seen,
    }
}
