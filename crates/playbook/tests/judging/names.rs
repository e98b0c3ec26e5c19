//! Names that must exist.

use super::{Case, case, check};

const NAMES: &[Case] = &[
    case(
        "run",
        &[("run: search-switch}\nverify", "run: search-swich}\nverify")],
        &["205 unknown playbook `search-swich` | search-swich"],
    ),
    case(
        "failback",
        &[("run: search-failback\n", "run: search-fail\n")],
        &["205 unknown playbook `search-fail` | search-fail"],
    ),
    case("drill", &[("of: node-lost", "of: node-los")], &["205 unknown playbook `node-los` | node-los"]),
    case("canary", &[("canary: search-canary", "canary: canary")], &["205 unknown check `canary` | canary"]),
    case(
        "trigger run",
        &[("- manual: {by: sre}", "- run: {playbook: node-loss}")],
        &["205 unknown playbook `node-loss` | node-loss"],
    ),
    case(
        "follows itself",
        &[("- manual: {by: sre}", "- run: {playbook: drill-lost}")],
        &["206 this playbook follows itself | drill-lost"],
    ),
    case(
        "runs itself",
        &[(
            "  - {id: switch, run: search-switch}\nverify:\n  - {check: search-canary, within: 5m}\n---",
            "  - {id: switch, run: search-failback}\nverify:\n  - {check: search-canary, within: 5m}\n---",
        )],
        &["206 `search-failback` runs itself | search-failback"],
    ),
    case(
        "a prefix of no check",
        &[(
            "verify: {check: \"es-node/{{ target.name }}\", within: 5m}",
            "verify: {check: \"es-nod/{{ target.name }}\", within: 5m}",
        )],
        &["205 no check begins with `es-nod/` | \"es-nod/{{ target.name }}\""],
    ),
    case(
        "a prefix in CEL",
        &[("when: down(\"es-node/\" + target.name)", "when: down(\"es-nodes/\" + target.name)")],
        &["205 no check begins with `es-nodes/` | \"es-nodes/\" + target.name"],
    ),
    case(
        "members of another kind",
        &[(
            "verify: {check: \"es-node/{{ target.name }}\", within: 5m}",
            "verify: {check: \"es-cluster/{{ target.name }}\", within: 5m}",
        )],
        &["205 `es-cluster/…` is no check of a node | \"es-cluster/{{ target.name }}\""],
    ),
    case(
        "verdict",
        &[("check: es-cluster/es-a, is: down", "check: es-cluster/es-x, is: down")],
        &["205 unknown check `es-cluster/es-x` | es-cluster/es-x"],
    ),
    case(
        "verdict of members",
        &[("check: es-cluster/es-a, is: down", "check: es-clusters/*, is: down")],
        &["205 no check begins with `es-clusters/` | es-clusters/*"],
    ),
    case(
        "receiver",
        &[("to: ops, text: \"{{ target.standby.name }} serves\"", "to: op, text: serves")],
        &["205 unknown receiver `op` | op"],
    ),
    case(
        "approvers of a step",
        &[("approve: {by: sre,", "approve: {by: sr,")],
        &["205 unknown approvers `sr` | sr"],
    ),
    case(
        "approvers of a failback",
        &[("{by: sre, within: 24h}", "{by: sr, within: 24h}")],
        &["205 unknown approvers `sr` | sr"],
    ),
    case(
        "target of a trigger",
        &[("target: search\n", "target: serch\n")],
        &["205 unknown service `serch` | serch"],
    ),
    case(
        "correlate",
        &[("  within: 5m\n  count: {at_least: 2, distinct: node}", "  within: 5m\n  all: [los]")],
        &["205 unknown trigger `los` | los"],
    ),
    case(
        "group of min_healthy",
        &[("group: es-a, at_least: 3", "group: es-x, at_least: 3")],
        &["205 unknown group `es-x` | es-x"],
    ),
    case(
        "group in CEL",
        &[("for_each: group(\"lb\")", "for_each: group(\"lbs\")")],
        &["205 unknown group `lbs` | \"lbs\""],
    ),
    case("a node by name", &[("node: lb1", "node: lb9")], &["204 raw id for a node | lb9"]),
];

#[test]
fn names() {
    check(NAMES);
}
