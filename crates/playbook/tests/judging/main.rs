//! Judging: the stories of the language are silent, and each change that could do harm or can't work is told, where it
//! stands.

mod flow;
mod harm;
mod names;
mod types;

use std::fmt::Write as _;

use proptest::prelude::*;
use regreen_playbook::{Findings, Severity, diagnostic::Source, load};

const SET: &str = include_str!("set.yaml");

fn findings(text: &str, files: &[(&str, &str)]) -> Findings {
    let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let files = files.iter().map(|(path, text)| file(path, text));
    load(std::iter::once(file("set.yaml", text)).chain(files).collect()).1
}

/// Each finding but notes: its code, what it says, and the text that is drawn.
fn told(findings: &Findings) -> Vec<String> {
    let list = findings.list.iter().filter(|finding| finding.severity != Severity::Note);
    list.map(|finding| {
        let text = &findings.sources[finding.at.file].text;
        let drawn = text.get(finding.at.range.clone()).unwrap_or("?");
        let warns = if finding.severity == Severity::Warning { "w" } else { "" };
        format!("{}{warns} {} | {drawn}", finding.code, finding.message)
    })
    .collect()
}

/// A change of the set, and what is told of it.
struct Case {
    name: &'static str,
    changes: &'static [(&'static str, &'static str)],
    told: &'static [&'static str],
}

const fn case(
    name: &'static str,
    changes: &'static [(&'static str, &'static str)],
    told: &'static [&'static str],
) -> Case {
    Case { name, changes, told }
}

fn check(cases: &[Case]) {
    let mut wrong = String::new();
    for Case { name, changes, told: wanted } in cases {
        let mut text = SET.to_owned();
        for (from, to) in *changes {
            assert!(text.contains(from), "{name}: `{from}` no longer fits");
            text = text.replacen(from, to, 1);
        }
        let found = findings(&text, &[]);
        let told = told(&found);
        if told != *wanted {
            let _ = writeln!(wrong, "{name}:\n  {}\nnot\n  {}\n", told.join("\n  "), wanted.join("\n  "));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_stories_of_the_language_are_silent() {
    let found = findings(SET, &[]);
    assert_eq!(told(&found), [""; 0], "{}", found.render(false));
    let notes: Vec<&str> = found.list.iter().map(|finding| finding.message.as_str()).collect();
    assert!(notes.contains(&"no runner of this release has `cloud.droplet.reboot`"), "{notes:?}");
}

const OUTSIDE: &[Case] = &[
    case(
        "label",
        &[(
            "- id: told\n    if: steps.replace.ok\n    use: notify.send\n    with: {to: ops, text: \"{{ steps.replace.result.node.name }} is new\"}",
            "- {id: told, use: script.run, with: {node: lb1, script: \"x {{ alert.labels.node }}\"}}",
        )],
        &["308 untrusted text as code | alert.labels.node"],
    ),
    case(
        "free input",
        &[(
            "{id: end, if: steps.short.ok || steps.yes_please.ok, use: notify.send, with: {to: ops, text: done}}",
            "{id: end, use: script.run, with: {node: lb1, script: \"{{ inputs.kind }} {{ inputs.version }}\"}}",
        )],
        &["308 untrusted text as code | inputs.version"],
    ),
    case(
        "result",
        &[(
            "{id: end, if: steps.short.ok || steps.yes_please.ok, use: notify.send, with: {to: ops, text: done}}",
            "{id: end, use: script.run, with: {node: lb1, script: \"{{ steps.plan.result.big }}\"}}",
        )],
        &["308 untrusted text as code | steps.plan.result.big"],
    ),
    case(
        "item of a result",
        &[(
            "use: notify.send, with: {to: ops, text: \"{{ n.name }} gets {{ event.id }}\"}",
            "use: script.run, with: {node: lb1, script: \"{{ n.name }}\"}",
        )],
        &["308 untrusted text as code | n.name"],
    ),
];

#[test]
fn untrusted_text_is_no_code() {
    check(OUTSIDE);
    let text = SET.replacen(
        "size: \"{{ inputs.size }}\"",
        "size: \"{{ inputs.size }}\", user_data: {template: node.sh.hbs}",
        1,
    );
    let file = "{{#if inputs.big}}x{{/if}}\n{{#each target.group.nodes as |n|}}{{ n.address }} {{ n.nme }}{{/each}}\n\
                {{ steps.exclude.error }} {{#each target.name as |c|}}{{/each}} {{ vars.index }}\n";
    assert_eq!(
        told(&findings(&text, &[("node.sh.hbs", file)])),
        [
            "303 `inputs` has no `big` | inputs.big",
            "303 node has no `nme` | n.nme",
            "308 untrusted text as code | steps.exclude.error",
            "305 `#each` wants a list | target.name",
        ]
    );
}

#[test]
fn a_callee_is_told_of_once() {
    let caller = SET.split("---\n").find(|text| text.contains("playbook: node-lost\n")).expect("it is there");
    let second = format!("{SET}---\n{}", caller.replacen("playbook: node-lost", "playbook: node-gone", 1));
    let text = second.replacen("  - id: exclude\n", "  - id: exclude\n    if: down(\"lonely\")\n", 1);
    assert_eq!(told(&findings(&text, &[])), ["512 one vantage decides over destruction | \"lonely\""]);
}

proptest! {
    /// Whatever is cut out or said twice, there are findings or none, and never a panic.
    #[test]
    fn half_a_set_is_judged_too(from in 0..SET.lines().count(), length in 1usize..60, to in 0..SET.lines().count()) {
        let lines: Vec<&str> = SET.lines().collect();
        let end = (from + length).min(lines.len());
        let mut cut = lines.clone();
        let moved: Vec<&str> = cut.drain(from..end).collect();
        let _ = findings(&cut.join("\n"), &[]).render(false);
        let to = to.min(cut.len());
        cut.splice(to..to, moved.iter().chain(&moved).copied());
        let _ = findings(&cut.join("\n"), &[]).render(false);
    }

    /// The same with any bytes in between.
    #[test]
    fn any_text_is_judged(at in 0..SET.len(), length in 0usize..40, text in "[a-z{}\\[\\]\"':.,|&!#* \n-]{0,12}") {
        let at = SET.floor_char_boundary(at);
        let end = SET.floor_char_boundary((at + length).min(SET.len()));
        let _ = findings(&format!("{}{text}{}", &SET[..at], &SET[end..]), &[]).render(false);
    }
}
