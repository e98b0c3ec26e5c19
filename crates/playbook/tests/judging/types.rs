//! Types, at each place by what it offers; what is handed to triggers and other playbooks.

use super::{Case, case, check};

const TYPES: &[Case] = &[
    case(
        "for_each of no list",
        &[("for_each: group(\"lb\").nodes", "for_each: group(\"lb\")")],
        &["305 `for_each` wants a list | group(\"lb\")"],
    ),
    case(
        "item's type",
        &[("server: \"es/{{ target.active.name }}\"", "server: \"es/{{ lb.nam }}\"")],
        &["303 node has no `nam` | lb.nam"],
    ),
    case(
        "item outside",
        &[("check: ccr-lag, within: 9m", "check: \"{{ lb.name }}\", within: 9m")],
        &["303 unknown name `lb` | lb"],
    ),
    case(
        "step within for_each",
        &[("'!down(\"es-cluster/\" + target.active.name)'", "steps.maint.ok")],
        &["303 there is no step `maint` before this | steps.maint"],
    ),
    case(
        "later step",
        &[("'!down(\"es-cluster/\" + target.active.name)'", "steps.promote.ok")],
        &["303 there is no step `promote` before this | steps.promote"],
    ),
    case("result of a handler", &[("if: steps.replace.ok\n    use", "use")], &[]),
    case(
        "result of a handler, where it must be there",
        &[(
            "    if: steps.replace.ok\n    use: notify.send\n    with: {to: ops, text: \"{{ steps.replace.result.node.name }} is new\"}",
            "    verify: {check: \"es-node/{{ steps.replace.result.node.name }}\", within: 1m}",
        )],
        &["306 `result` may be absent | steps.replace.result"],
    ),
    case(
        "the same, asked",
        &[(
            "    use: notify.send\n    with: {to: ops, text: \"{{ steps.replace.result.node.name }} is new\"}",
            "    verify: {check: \"es-node/{{ steps.replace.result.node.name }}\", within: 1m}",
        )],
        &[],
    ),
    case(
        "outputs of a callee",
        &[("steps.replace.result.node.name", "steps.replace.result.nod.name")],
        &["303 this `result` has no `nod` | steps.replace.result.nod"],
    ),
    case(
        "field of a declared result",
        &[("steps.create.result.node.name", "steps.create.result.name")],
        &["303 this `result` has no `name` | steps.create.result.name"],
    ),
    case(
        "a verify has no result",
        &[("node: steps.create.result.node", "node: steps.joined.result")],
        &["303 step `joined` has no result | steps.joined.result"],
    ),
    case(
        "set",
        &[("if: steps.plan.result.big", "if: steps.plan.result.nodes")],
        &["305 this must be true or false | steps.plan.result.nodes"],
    ),
    case(
        "a branch's step",
        &[("if: steps.short.ok || steps.yes_please.ok", "if: steps.plan.ok || steps.hook.ok")],
        &["303 there is no step `hook` before this | steps.hook"],
    ),
    case(
        "size wants a number",
        &[("size: \"{{ inputs.size }}\"", "size: \"{{ inputs.image }}\"")],
        &["305 `size` wants int | \"{{ inputs.image }}\""],
    ),
    case(
        "an object of another kind",
        &[("group: \"{{ target.group }}\"", "group: \"{{ target }}\"")],
        &["204 node where a group is wanted | \"{{ target }}\""],
    ),
    case(
        "a second object",
        &[("active: \"{{ target.standby }}\"", "active: \"{{ target }}\"")],
        &["204 service where a group is wanted | \"{{ target }}\""],
    ),
    case("now", &[("text: done", "text: \"{{ now }}\"")], &["303 `now` is for CEL alone | now"]),
    case(
        "now in a parameter",
        &[("server: \"es/{{ target.active.name }}\"", "server: \"{{ now }}\"")],
        &["303 `now` is for CEL alone | now"],
    ),
    case(
        "each at the end is tried",
        &[(
            "finally:\n",
            "finally:\n  - {id: last, use: elasticsearch.snapshot.create, with: {group: es-a, repository: s3}}\n  - {id: says, verify: {check: \"es-node/{{ steps.last.result.name }}\", within: 1m}}\n",
        )],
        &["306 `result` may be absent | steps.last.result"],
    ),
    case(
        "vars",
        &[("image: \"{{ inputs.image }}\"", "image: \"{{ vars.indx }}\"")],
        &["303 `vars` has no `indx` | vars.indx"],
    ),
    case(
        "failback's when",
        &[("when: up(\"es-cluster/es-a\")", "when: target.name")],
        &["305 this must be true or false | target.name"],
    ),
    case(
        "what posts only tells its trigger",
        &[("text: done", "text: \"{{ event.data }}\"")],
        &["303 event has no `data` | event.data"],
    ),
    case(
        "a verdict's run has no alert",
        &[(
            "when: down(\"es-cluster/\" + target.active.name)",
            "when: alert.labels.a == \"b\" || down(\"es-cluster/es-a\")",
        )],
        &["307 `alert` may be absent | alert"],
    ),
    case(
        "a sub-run has none",
        &[("image: \"{{ inputs.image }}\"", "image: \"{{ alert.fingerprint }}\"")],
        &["307 `alert` may be absent | alert"],
    ),
    case(
        "label by `when`",
        &[
            (
                "when: down(\"es-node/\" + target.name)",
                "when: has(alert.labels.env) && down(\"es-node/\" + target.name)",
            ),
            (
                "check: \"es-node/{{ target.name }}\", within: 5m",
                "check: \"es-node/{{ alert.labels.env }}\", within: 5m",
            ),
        ],
        &[],
    ),
    case(
        "label by nothing",
        &[(
            "check: \"es-node/{{ target.name }}\", within: 5m",
            "check: \"es-node/{{ alert.labels.env }}\", within: 5m",
        )],
        &["304 label `env` may be missing | alert.labels.env"],
    ),
    case(
        "functions",
        &[("inputs.version.startsWith(\"v9\")", "inputs.version.startWith(\"v9\")")],
        &["303 unknown function `startWith` | inputs.version.startWith(\"v9\")"],
    ),
];

#[test]
fn types() {
    check(TYPES);
}

const WHAT_IS_HANDED_ON: &[Case] = &[
    case(
        "input missing",
        &[(", inputs: {image: es-8}", "")],
        &["108 input `image` is missing | node-replace"],
    ),
    case(
        "unknown input",
        &[("inputs: {image: es-8}", "inputs: {image: es-8, sise: 4}")],
        &["205 unknown input `sise` | 4"],
    ),
    case(
        "not one of",
        &[("inputs: {image: es-8}", "inputs: {image: es-7}")],
        &["203 input `image` can't be `es-7` | es-7"],
    ),
    case(
        "wrong type",
        &[("inputs: {image: es-8}", "inputs: {image: es-8, size: \"{{ target.name }}\"}")],
        &["305 input `size` wants int | \"{{ target.name }}\""],
    ),
    case(
        "input of a trigger",
        &[(", kind: soft}", "}")],
        &["108 input `kind` is missing | {version: \"{{ event.data.version }}\"}"],
    ),
    case(
        "another target",
        &[("run: node-replace, inputs: {image: es-8}", "run: search-switch")],
        &[
            "204 a node where a service is wanted | search-switch",
            "511 a sub-run's lock is wider than its caller's | search-switch",
            "303 this `result` has no `node` | steps.replace.result.node",
        ],
    ),
    case(
        "a target for none",
        &[(
            "{id: end, if: steps.short.ok || steps.yes_please.ok, use: notify.send, with: {to: ops, text: done}}",
            "{id: end, run: node-replace, inputs: {image: es-8}}",
        )],
        &[
            "502 nothing checks the repair | release",
            "510 it fails unseen | release",
            "603w steps may outlast the deadline | 2h",
            "503 a posted event alone destroys | {path: release, secret: hook}",
            "108 key `target` is missing | node-replace",
            "501 destructive, unguarded | node-replace",
            "511 a sub-run's lock is wider than its caller's | node-replace",
        ],
    ),
    case(
        "trigger without target",
        &[("    target: search\n", "")],
        &["108 key `target` is missing | verdict: {check: es-cluster/es-a, is: down}"],
    ),
];

#[test]
fn what_is_handed_on() {
    check(WHAT_IS_HANDED_ON);
}

const VERDICTS_TELL_WHAT_THEIR_CHECK_IS_OF: &[Case] = &[
    case(
        "a group's check has no node",
        &[("    for: 30s\n    target: search\n", "    for: 30s\n    target: \"{{ verdict.node }}\"\n")],
        &["303 `verdict` has no `node` | verdict.node"],
    ),
    case(
        "but a group, which is a side",
        &[("    for: 30s\n    target: search\n", "    for: 30s\n    target: \"{{ verdict.service }}\"\n")],
        &[],
    ),
    case(
        "a node's has one",
        &[(
            "- manual: {by: sre}",
            "- {verdict: {check: es-node/*, is: down}, target: \"{{ verdict.node }}\"}",
        )],
        &[],
    ),
];

#[test]
fn verdicts_tell_what_their_check_is_of() {
    check(VERDICTS_TELL_WHAT_THEIR_CHECK_IS_OF);
}
