//! Every kind of step, good and bad, in tables.

use super::super::tests::{each_is_told, good, playbook};
use crate::model::{OnFailure, Step, StepKind, Undo};

/// A step with all that is within it, in a line.
fn said(step: &Step) -> String {
    let list = |steps: &[Step]| steps.iter().map(said).collect::<Vec<_>>().join(", ");
    let kind = match &step.kind {
        StepKind::Use(used) => match &used.undo {
            Undo::None => format!("use {}", used.action.name),
            Undo::Action(undo) => format!("use {} ~ {}", used.action.name, undo.action.name),
            Undo::Steps(steps) => format!("use {} ~ [{}]", used.action.name, list(steps)),
        },
        StepKind::Verify(verify) => format!("verify {}", verify.within),
        StepKind::Run(call) => {
            format!("run {} {} {}", call.playbook, call.target.is_some(), call.inputs.len())
        }
        StepKind::Parallel(all) => {
            format!("parallel {} {} [{}]", all.at_once, all.fast, list(&all.steps))
        }
        StepKind::ForEach(each) => {
            let (name, body) = (&each.name, list(&each.steps));
            format!("each {name} in {} {}/{} [{body}]", each.list.text, each.at_once, each.at_most)
        }
        StepKind::Choose(branches) => {
            let branch = |branch: &crate::model::Branch| {
                let condition = branch.condition.as_ref().map_or("else", |expr| expr.text.as_str());
                format!("{condition} [{}]", list(&branch.steps))
            };
            format!("choose {}", branches.iter().map(branch).collect::<Vec<_>>().join(" "))
        }
        StepKind::Approve(approve) => format!("approve {}", approve.asked.by),
        StepKind::Set(values) => format!("set {}", values.len()),
        StepKind::Wait(span) => format!("wait {span}"),
    };
    let failing = match &step.on_failure {
        OnFailure::Stop => String::new(),
        OnFailure::Continue => " !continue".to_owned(),
        OnFailure::Undo => " !undo".to_owned(),
        OnFailure::Steps(steps) => format!(" ![{}]", list(steps)),
    };
    format!("{}: {kind}{failing}", step.id)
}

#[test]
fn every_kind_is_read() {
    let cases: &[(&str, &str)] = &[
        ("{id: a, wait: 5s}", "a: wait 5s"),
        ("{id: a, verify: {check: c, within: 1m}, on_failure: continue}", "a: verify 1m !continue"),
        ("{id: a, run: b}", "a: run b false 0"),
        ("{id: a, run: b, target: '{{ target }}', inputs: {n: '3'}}", "a: run b true 1"),
        ("{id: a, parallel: [{id: b, wait: 1s}]}", "a: parallel 4 false [b: wait 1s]"),
        ("{id: a, parallel: [{id: b, wait: 1s}], at_once: 2, fail: fast}", "a: parallel 2 true [b: wait 1s]"),
        (
            "{id: a, for_each: target.nodes, as: n, steps: [{id: b, wait: 1s}]}",
            "a: each n in target.nodes 1/10 [b: wait 1s]",
        ),
        (
            "{id: a, for_each: target.nodes, as: n, at_once: 2, at_most: 3, steps: [{id: b, wait: 1s}]}",
            "a: each n in target.nodes 2/3 [b: wait 1s]",
        ),
        (
            "{id: a, choose: [{if: 1 == 1, steps: [{id: b, wait: 1s}]}, {else: [{id: c, wait: 2s}]}]}",
            "a: choose 1 == 1 [b: wait 1s] else [c: wait 2s]",
        ),
        ("{id: a, approve: {by: sre, text: 'go on?'}}", "a: approve sre"),
        ("{id: a, set: {x: 1 + 1, y: now}}", "a: set 2"),
        ("{id: a, wait: 5s, on_failure: [{id: b, wait: 1s}]}", "a: wait 5s ![b: wait 1s]"),
        ("{id: a, use: cloud.node.stop, with: {node: a1}}", "a: use cloud.node.stop ~ cloud.node.start"),
        ("{id: a, use: cloud.node.stop, with: {node: a1}, undo: none}", "a: use cloud.node.stop"),
        (
            "{id: a, use: cloud.node.stop, with: {node: a1}, undo: [{id: b, wait: 1s}]}",
            "a: use cloud.node.stop ~ [b: wait 1s]",
        ),
        ("{id: a, use: cloud.service.move, with: {service: s, to: es-b}}", "a: use cloud.service.move"),
    ];
    for (step, wanted) in cases {
        let playbook = good(&format!("steps: [{step}]"));
        assert_eq!(said(&playbook.steps[0]), *wanted);
    }
}

#[test]
fn what_a_playbook_does_on_failure_is_what_its_steps_do_that_do_not_say() {
    let playbook = good(
        r"on_failure: undo
steps:
  - {id: a, wait: 1s}
  - {id: b, wait: 1s, on_failure: stop}
  - {id: c, wait: 1s, on_failure: [{id: d, wait: 1s}]}
  - {id: e, parallel: [{id: f, wait: 1s}]}
  - {id: g, parallel: [{id: h, wait: 1s}], on_failure: continue}
  - {id: i, use: cloud.node.stop, with: {node: a1}, undo: [{id: j, wait: 1s}]}
finally:
  - {id: k, wait: 1s}",
    );
    let found: Vec<String> = playbook.steps.iter().chain(&playbook.finally).map(said).collect();
    let wanted = [
        "a: wait 1s !undo",
        "b: wait 1s",
        "c: wait 1s ![d: wait 1s !undo]",
        "e: parallel 4 false [f: wait 1s !undo] !undo",
        "g: parallel 4 false [h: wait 1s] !continue",
        "i: use cloud.node.stop ~ [j: wait 1s] !undo",
        "k: wait 1s",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn every_step_has_its_place_however_deep() {
    let lines = r"steps:
  - {id: a, wait: 1s, on_failure: [{id: b, parallel: [{id: c, wait: 1s}]}]}
  - {id: d, choose: [{if: now == now, steps: [{id: e, wait: 1s}]}, {else: [{id: f, wait: 1s}]}]}
  - {id: g, use: cloud.node.stop, with: {node: a1}, undo: [{id: h, wait: 1s}]}
finally: [{id: i, for_each: target.nodes, as: n, steps: [{id: j, wait: 1s}]}]";
    let text = format!("apiVersion: regreen/v1\nplaybook: p\n{lines}\n");
    let (draft, _) = super::super::tests::read(&[("p", &text), ("a", super::super::tests::ACTIONS)]);
    let (playbook, places) = &draft.playbooks[0];
    let ids: Vec<&str> = places.steps.keys().map(AsRef::as_ref).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    let mut all: Vec<&str> = playbook.all_steps().iter().map(|step| &*step.id).collect();
    all.sort_unstable();
    assert_eq!(all, ids, "the model knows the same");
}

#[test]
fn a_second_step_of_the_same_name_is_told_with_the_first() {
    let (_, findings) =
        playbook("steps: [{id: a, wait: 1s}, {id: b, wait: 1s, on_failure: [{id: a, wait: 1s}]}]");
    let [finding] = findings.list.as_slice() else { panic!("{}", findings.render(false)) };
    assert_eq!(
        (finding.code, finding.also.as_ref().map(|(_, label)| label.as_str())),
        (102, Some("first here"))
    );
}

#[test]
fn each_slip_is_told() {
    each_is_told(&[
        ("steps: []", 108, "no step"),
        ("steps: [{id: a}]", 108, "no kind"),
        ("steps: [{wait: 1s}]", 108, "key `id`"),
        ("steps: [{id: a, wait: 1s, set: {b: 1}}]", 107, "`set` and `wait`"),
        ("steps: [{id: a-b, wait: 1s}]", 109, "bad id `a-b`"),
        ("steps: [{id: undo, wait: 1s}]", 109, "the run itself uses it"),
        ("steps: [{id: a, wait: 1s, with: {}}]", 101, "belongs to `use`"),
        ("steps: [{id: a, verify: {check: c, within: 1m}, at_once: 2}]", 101, "`parallel`, `for_each`"),
        ("steps: [{id: a, wait: 1s, undo: none}]", 101, "belongs to `use`"),
        ("steps: [{id: a, wait: 1s, on_failure: go}]", 203, "`on_failure` wants"),
        ("steps: [{id: a, wait: 1s, on_failure: []}]", 108, "no step"),
        ("steps: [{id: a, approve: {}, on_failure: [{id: b, wait: 1s}]}]", 508, "silence"),
        ("on_failure: continue", 203, "`on_failure` wants one of"),
        ("steps: [{id: a, for_each: target.nodes, steps: [{id: b, wait: 1s}]}]", 108, "key `as`"),
        ("steps: [{id: a, for_each: target.nodes, as: n}]", 108, "key `steps`"),
        ("steps: [{id: a, for_each: target.nodes, as: target, steps: [{id: b, wait: 1s}]}]", 109, "already"),
        ("steps: [{id: a, for_each: '{{ x }}', as: n, steps: [{id: b, wait: 1s}]}]", 301, "is CEL"),
        ("steps: [{id: a, parallel: [{id: b, wait: 1s}], fail: now}]", 203, "`fail` wants one of"),
        ("steps: [{id: a, parallel: [{id: b, wait: 1s}], at_once: 0}]", 203, "`at_once` wants"),
        ("steps: [{id: a, choose: [{if: 1 == 1, steps: [{id: b, wait: 1s}]}]}]", 108, "`else` is missing"),
        (
            "steps: [{id: a, choose: [{else: [{id: b, wait: 1s}]}, {else: [{id: c, wait: 1s}]}]}]",
            108,
            "not the last",
        ),
        ("steps: [{id: a, choose: [{if: 1 == 1, else: [{id: b, wait: 1s}]}]}]", 107, "two kinds in a branch"),
        ("steps: [{id: a, choose: [{if: 1 == 1}, {else: [{id: b, wait: 1s}]}]}]", 108, "key `steps`"),
        ("steps: [{id: a, set: {b c: 1}}]", 109, "bad name `b c`"),
        ("steps: [{id: a, set: {b: {c: 1}}}]", 203, "`set` wants an expression"),
        ("steps: [{id: a, use: cloud.node.stop, with: {node: a1}, undo: all}]", 203, "`undo` wants"),
        ("steps: [{id: a, run: B c}]", 109, "bad name `B c`"),
        ("finally: [{id: pause, wait: 1s}]", 102, "step `pause`"),
    ]);
}
