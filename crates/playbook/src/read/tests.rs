//! How the tables beside the readers read: one playbook of a few lines, without what only all files together tell.

use super::{Draft, everything};
use crate::{
    diagnostic::{Findings, Source},
    model::Playbook,
};

/// Actions that the tables use.
pub(super) const ACTIONS: &str = r"apiVersion: regreen/v1
actions:
  cloud.node.stop:
    description: Stops a node.
    effect: reconcilable
    destructive: true
    with:
      node: {type: node}
      kind: {one_of: [soft, hard], optional: true}
      grace: {type: duration, optional: true}
      count: {type: int, optional: true}
      wait: {type: bool, optional: true}
      script: {type: code, optional: true}
      token: {type: text, optional: true}
      body: {type: json, optional: true}
      to: {type: group, optional: true}
      tell: {type: receiver, optional: true}
    undo: cloud.node.start
    timeout: 2m
  cloud.node.start:
    description: Starts a node.
    effect: idempotent
    destructive: false
    with: {node: {type: node}, kind: {one_of: [soft, hard], optional: true}}
  cloud.service.move:
    description: Moves a service.
    effect: at_most_once
    destructive: true
    irreversible: true
    with: {service: {type: service}, to: {type: group}}
    result: {node: node, ids: [string], raw: json}
  cloud.node.tag:
    description: Tags a node.
    effect: idempotent
    destructive: false
    with: {node: {type: node}, size: {type: int, optional: true}}
    undo: cloud.node.resize
  cloud.node.resize:
    description: Resizes a node.
    effect: idempotent
    destructive: false
    with: {node: {type: node}, size: {type: int}}
";

pub(super) fn read(files: &[(&str, &str)]) -> (Draft, Findings) {
    let source = |(path, text): &(&str, &str)| Source { path: (*path).into(), text: (*text).into() };
    let mut findings = Findings { sources: files.iter().map(source).collect(), list: Vec::new() };
    let draft = everything(&mut findings);
    findings.sort();
    (draft, findings)
}

/// A playbook with these lines, and what is wrong with it.
pub(super) fn playbook(lines: &str) -> (Playbook, Findings) {
    let steps = if lines.lines().any(|line| line.starts_with("steps:")) {
        ""
    } else {
        "steps: [{id: pause, wait: 1s}]\n"
    };
    let text = format!("apiVersion: regreen/v1\nplaybook: p\n{steps}{lines}\n");
    let (mut draft, findings) = read(&[("books/p.yaml", &text), ("actions.yaml", ACTIONS)]);
    (draft.playbooks.pop().expect("one is there").0, findings)
}

/// A playbook without mistakes.
pub(super) fn good(lines: &str) -> Playbook {
    let (playbook, findings) = playbook(lines);
    assert!(findings.list.is_empty(), "{lines}\n{}", findings.render(false));
    playbook
}

/// Each of these lines has one mistake: its code, and words of its message or label.
pub(super) fn each_is_told(cases: &[(&str, u16, &str)]) {
    let mut wrong = Vec::new();
    for (lines, code, words) in cases {
        let (_, findings) = playbook(lines);
        let told = match findings.list.as_slice() {
            [one] => one.code == *code && (one.message.contains(words) || one.label.contains(words)),
            _ => false,
        };
        if !told {
            wrong.push(format!("{lines}: not one {code} with `{words}`\n{}", findings.render(false)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
