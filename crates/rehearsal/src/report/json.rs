//! For programs.

use serde_json::{Value, json};

use super::place;
use crate::{Outcome, Report};

/// The whole report.
#[must_use]
pub fn json(report: &Report) -> Value {
    let cases: Vec<Value> = report.cases.iter().map(|case| one(report, case)).collect();
    let playbooks = report.coverage.playbooks.iter().map(|of| {
        let (covered, branches) = of.branches();
        let missing = of.items.iter().filter(|item| !item.covered);
        let missing: Vec<Value> = missing
            .map(|item| json!({"line": item.line, "what": item.what, "branch": item.counts}))
            .collect();
        json!({
            "playbook": of.playbook.as_str(), "path": of.path,
            "covered": covered, "branches": branches, "missing": missing,
        })
    });
    json!({
        "passed": report.cases.len() - report.failed(),
        "failed": report.failed(),
        "cases": cases,
        "coverage": playbooks.collect::<Vec<_>>(),
    })
}

fn one(report: &Report, case: &Outcome) -> Value {
    let differences = case.differences.iter().map(|difference| {
        json!({"section": difference.section.word(), "diff": difference.lines, "notes": difference.notes})
    });
    let trace =
        case.seen.lines.iter().map(|line| json!({"ms": line.at.0, "run": line.run, "text": line.text}));
    json!({
        "path": &*case.path,
        "at": place(report, case),
        "playbook": &*case.playbook,
        "name": &*case.name,
        "passed": case.passed(),
        "virtual_ms": case.lasted.0,
        "differences": differences.collect::<Vec<_>>(),
        "trace": trace.collect::<Vec<_>>(),
    })
}
