//! For code scanning: SARIF 2.1.0, held against its schema in tests.

use serde_json::{Value, json};

use super::Region;
use crate::{
    codes::{CODES, Code},
    diagnostic::{Finding, Findings, Place, Severity},
    template,
};

/// Where the format is described.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// One run of the tool, with every code as a rule.
#[must_use]
pub fn sarif(findings: &Findings, version: &str) -> Value {
    let results: Vec<Value> = findings.list.iter().map(|finding| result(findings, finding)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "regreen",
                "version": version,
                "rules": CODES.iter().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: &Code) -> Value {
    let Code { code: number, severity, title, cause, remedy, page } = code;
    json!({
        "id": format!("RG{number}"),
        "shortDescription": {"text": title},
        "fullDescription": {"text": cause},
        // `helpUri` would have to be absolute, and the pages have no address of their own: they come along.
        "help": {"text": remedy, "markdown": page},
        "properties": {"docs": code.docs()},
        "defaultConfiguration": {"level": level(*severity)},
    })
}

fn result(findings: &Findings, finding: &Finding) -> Value {
    let Finding { code, severity, message, at, label, hint, also } = finding;
    let mut text = format!("{message}: {label}.");
    if !hint.is_empty() {
        text = format!("{text} Hint: {hint}");
    }
    let mut result = json!({
        "ruleId": format!("RG{code}"),
        "level": level(*severity),
        "message": {"text": text},
        "locations": [location(findings, at)],
    });
    if let Some(index) = CODES.iter().position(|known| known.code == *code) {
        result["ruleIndex"] = index.into();
    }
    if let Some((place, label)) = also {
        let mut related = location(findings, place);
        related["message"] = json!({"text": label});
        result["relatedLocations"] = json!([related]);
    }
    result
}

fn location(findings: &Findings, place: &Place) -> Value {
    let Region { line, column, end_line, end_column } = Region::of(findings, place);
    json!({"physicalLocation": {
        "artifactLocation": {"uri": uri(&findings.sources[place.file].path)},
        "region": {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column},
    }})
}

/// A path as a reference: what stands between its slashes is encoded.
fn uri(path: &str) -> String {
    let encoded = path.split('/').map(|part| template::url(part).unwrap_or_default());
    encoded.collect::<Vec<_>>().join("/")
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}
