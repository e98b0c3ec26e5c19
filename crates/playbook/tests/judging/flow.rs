//! What is done in order, times, and what is never done.

use super::{Case, case, check};

const FLOW_AND_TIMES: &[Case] = &[
    case(
        "destroys before it is verified",
        &[(
            "  - id: joined\n    verify: {check: \"es-node/{{ steps.create.result.node.name }}\", within: 15m}\n  - id: green\n    verify: {check: \"es-cluster/{{ target.group.name }}\", for: 5m, within: 3h}\n",
            "",
        )],
        &["509w this destroys before it is verified | cloud.droplet.destroy"],
    ),
    case(
        "ends in a wait",
        &[(
            "  - id: tell\n    parallel:\n      - id: first\n        use: notify.send\n        with: {to: ops, text: \"{{ target.standby.name }} serves\"}\n      - id: second\n        use: script.run\n        with: {node: lb1, script: \"reload {{ target.name }}\"}",
            "  - {id: rest, wait: 1m}",
        )],
        &["602w a wait proves nothing | 1m"],
    ),
    case(
        "outlasts",
        &[("deadline: 5h\non_resolved", "deadline: 3h\non_resolved")],
        &["603w steps may outlast the deadline | 3h"],
    ),
    case(
        "for each item",
        &[("deadline: 2h\nsteps:\n  - id: each", "deadline: 39m\nsteps:\n  - id: each")],
        &["603w steps may outlast the deadline | 39m"],
    ),
    case(
        "resolved in between",
        &[
            ("on_resolved: continue\nsteps:\n  - id: reboot", "steps:\n  - id: reboot"),
            ("target: node\non_resolved: continue\n", "target: node\n"),
        ],
        &["604w a resolved alert ends what can't be undone | node-replace"],
    ),
    case(
        "the callee says continue",
        &[("on_resolved: continue\nsteps:\n  - id: reboot", "steps:\n  - id: reboot")],
        &[],
    ),
    case(
        "joined",
        &[("verify: {check: ccr-lag, within: 9m}", "verify: {check: some-nodes, within: 9m}")],
        &["605 `some-nodes` is joined from others: it has no looks of its own | some-nodes"],
    ),
    case(
        "never done",
        &[("if: '!down(\"es-cluster/\" + target.active.name)'", "if: '!true'")],
        &["606w this is never done | '!true'"],
    ),
    case(
        "never taken",
        &[("if: steps.plan.result.big\n", "if: true\n")],
        &["606w this branch is never taken | else:"],
    ),
    case(
        "never starts",
        &[("when: down(\"es-cluster/\" + target.active.name)", "when: down(\"es-cluster/es-a\") && false")],
        &["606w this never starts | down(\"es-cluster/es-a\") && false"],
    ),
    case(
        "never so",
        &[("verify: {check: ccr-lag, within: 9m}", "verify: {check: ccr-lag, is: degraded, within: 9m}")],
        &["607w `ccr-lag` can never be degraded | degraded"],
    ),
    case(
        "never so in CEL",
        &[("when: up(\"es-cluster/es-a\")", "when: degraded(\"search-canary\")")],
        &["607w `search-canary` can never be degraded | \"search-canary\""],
    ),
];

#[test]
fn flow_and_times() {
    check(FLOW_AND_TIMES);
}
