//! Tests that fail say what came instead, why, and where; files that are wrong say so with their places.

use regreen_playbook::diagnostic::Source;
use regreen_rehearsal::{
    Options, Report, rehearse,
    report::{self, Style},
};

fn sources(tests: &str) -> Vec<Source> {
    let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    vec![
        file("base.yaml", include_str!("stories/base.yaml")),
        file("reboot.yaml", include_str!("stories/reboot.yaml")),
        file("sub.yaml", include_str!("stories/sub.yaml")),
        file("reboot.test.yaml", tests),
    ]
}

fn played(tests: &str) -> Report {
    rehearse(sources(tests), &Options::default()).unwrap_or_else(|found| panic!("{}", found.render(false)))
}

fn said(tests: &str) -> String {
    report::human(&played(tests), Style::default())
}

#[test]
fn what_came_instead() {
    insta::assert_snapshot!(said(include_str!("failing/instead.test.yaml")));
}

#[test]
fn why_nothing_happened() {
    insta::assert_snapshot!(said(include_str!("failing/nothing.test.yaml")));
}

#[test]
fn an_answer_is_missing() {
    insta::assert_snapshot!(said(include_str!("failing/unanswered.test.yaml")));
}

#[test]
fn a_golden_trace_differs() {
    let tests = include_str!("failing/golden.test.yaml");
    let updated =
        rehearse(sources(tests), &Options { update: true, ..Options::default() }).expect("good files");
    assert_eq!(updated.failed(), 0);
    let changed =
        |(path, text): (&String, &String)| (path.clone(), text.replace("a3", "a4").replace("30s ", "31s "));
    let golden = updated.write.iter().map(changed).collect();
    let report = rehearse(sources(tests), &Options { golden, ..Options::default() }).expect("good files");
    insta::assert_snapshot!(report::human(&report, Style::default()));
}

#[test]
fn files_that_are_wrong() {
    let found = rehearse(sources(include_str!("failing/wrong.test.yaml")), &Options::default());
    insta::assert_snapshot!(found.expect_err("wrong").render(false));
}

#[test]
fn other_forms() {
    let report = played(include_str!("failing/nothing.test.yaml"));
    insta::assert_snapshot!(report::junit(&report));
    let json = report::json(&report);
    assert_eq!((json["passed"].as_u64(), json["failed"].as_u64()), (Some(1), Some(1)));
}

#[test]
fn what_is_not_covered() {
    let report = played(include_str!("failing/nothing.test.yaml"));
    insta::assert_snapshot!(report::coverage(&report.coverage, Style::default()));
    assert!(report.coverage.least() < 50);
}

#[test]
fn the_same_text_gives_the_same_report() {
    let tests = include_str!("failing/instead.test.yaml");
    assert_eq!(said(tests), said(tests));
}
