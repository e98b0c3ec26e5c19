//! Findings in every form, and SARIF held against its own schema.

use regreen_playbook::{
    Findings,
    diagnostic::{Place, Source},
    report,
};

/// Findings of every severity, at places of every shape.
fn findings() -> Findings {
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let mut findings = Findings {
        sources: vec![
            source("playbooks/web restart.yaml", "steps:\n  - {id: größe, wait: 5}\n  - id: back\n"),
            source("a,b:c/100%.yaml", "when: x\n"),
        ],
        list: Vec::new(),
    };
    let place = |file, range| Place { file, range };
    findings.error(106, place(0, 31..32), "`5` is no duration", "no unit", "`5s` or `5m`?");
    findings.also(place(1, 0..4), "read by this");
    findings.warning(
        602,
        place(0, 9..48),
        "a wait proves nothing",
        "it ends with `wait`",
        "`verify` a check",
    );
    findings.note(202, place(1, 6..7), "no runner\r\nhas it: 100%, sure", "here", "");
    findings
}

#[test]
fn for_people() {
    insta::assert_snapshot!(report::human(&findings(), false));
    assert!(report::human(&findings(), true).contains("\u{1b}["));
}

#[test]
fn for_programs() {
    let text = serde_json::to_string_pretty(&report::json(&findings())).expect("plain data");
    insta::assert_snapshot!(text);
}

#[test]
fn for_the_pages_of_github() {
    insta::assert_snapshot!(report::github(&findings()));
}

#[test]
fn for_code_scanning() {
    let schema = include_str!("../../../tests/contracts/sarif-2.1.0.schema.json");
    let schema = serde_json::from_str(schema).expect("the contract is JSON");
    let contract =
        jsonschema::options().should_validate_formats(true).build(&schema).expect("the contract is a schema");
    let sarif = report::sarif(&findings(), "1.2.3");
    let wrong: Vec<String> =
        contract.iter_errors(&sarif).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The contract means something.
    let mut bad = sarif.clone();
    bad["runs"][0]["results"][0]["level"] = "fatal".into();
    assert!(!contract.is_valid(&bad));
    let results = serde_json::to_string_pretty(&sarif["runs"][0]["results"]).expect("plain data");
    insta::assert_snapshot!(results);
    let rule = &sarif["runs"][0]["tool"]["driver"]["rules"][0];
    insta::assert_snapshot!("a_rule", serde_json::to_string_pretty(rule).expect("plain data"));
}
