//! The rules that keep a playbook from doing harm.

use super::{Case, case, check};

const TRIGGERS: &[Case] = &[
    case(
        "label of the window",
        &[("by: [cluster]", "by: [cluster, env]")],
        &["304 label `env` may be missing | env"],
    ),
    case(
        "distinct label",
        &[("distinct: node}", "distinct: host}")],
        &["304 label `host` may be missing | host"],
    ),
    case(
        "target of the window",
        &[(
            "target: \"{{ alert.labels.cluster }}\"\ncorrelate:\n  by: [cluster]",
            "target: \"{{ alert.labels.cluster }}\"\ncorrelate:\n  by: [node]",
        )],
        &["405 the target differs in the window | alert.labels.cluster"],
    ),
    case(
        "shadowed",
        &[(
            "- verdict: {check: es-cluster/es-a, is: down}\n",
            "- verdict: {check: es-cluster/*, is: not_up}\n    for: 30s\n    target: search\n  - verdict: {check: es-cluster/es-a, is: down}\n",
        )],
        &["406w this trigger is shadowed | verdict: {check: es-cluster/es-a, is: down}"],
    ),
    case(
        "not shadowed: its target is another",
        &[(
            "- alert: ['alertname=\"NodeDown\"', 'node!=\"\"']\n    for: 30s\n    target: \"{{ alert.labels.node }}\"\nwhen",
            "- {alert: ['alertname=~\"Node.*\"'], target: a1}\n  - alert: ['alertname=\"NodeDown\"', 'node!=\"\"']\n    target: \"{{ alert.labels.node }}\"\nwhen",
        )],
        &[],
    ),
    case(
        "resolved",
        &[(
            "    for: 30s\n    target: \"{{ alert.labels.node }}\"",
            "    status: resolved\n    target: \"{{ alert.labels.node }}\"",
        )],
        &["404 destructive on resolved | resolved"],
    ),
    case(
        "never degraded",
        &[("check: es-cluster/es-a, is: down", "check: search-canary, is: degraded")],
        &["607w `search-canary` can never be degraded | degraded"],
    ),
];

#[test]
fn triggers() {
    check(TRIGGERS);
}

const GUARDS: &[Case] = &[
    case(
        "of the callee alone",
        &[("  cooldown: 1h\n  budget: [{max: 3, per: 6h, scope: group}]\n", "")],
        &["501 destructive, unguarded | cloud.droplet.reboot"],
    ),
    case(
        "approval instead",
        &[("  min_healthy: {at_least: 2}\ndeadline", "  approval: {by: sre}\ndeadline")],
        &[],
    ),
    case(
        "of a failback",
        &[(
            "  cooldown: 1h\n  budget: [{max: 3, per: 6h}]\n  min_healthy: {group: es-a, at_least: 3}",
            "  budget: [{max: 3, per: 6h}]",
        )],
        &["501 destructive, unguarded | search-failback"],
    ),
    case(
        "a failback that nobody checks",
        &[(
            "  - {id: switch, run: search-switch}\nverify:\n  - {check: search-canary, within: 5m}\n---",
            "  - {id: switch, run: search-switch}\n---",
        )],
        &["502 nothing checks the way back | search-failback"],
    ),
    case(
        "no verify",
        &[("verify:\n  - {check: \"es-cluster/{{ target.group.name }}\", within: 15m}\n", "")],
        &["502 nothing checks the repair | node-lost"],
    ),
    case(
        "an alert alone",
        &[("when: down(\"es-node/\" + target.name)\n", "when: known(\"es-node/\" + target.name)\n")],
        &["503 an alert alone destroys | ['alertname=\"NodeDown\"', 'node!=\"\"']"],
    ),
    case(
        "a schedule alone",
        &[("- manual: {by: sre}", "- {schedule: {cron: \"0 3 * * *\"}, target: a1}")],
        &["503 a schedule alone destroys | {cron: \"0 3 * * *\"}"],
    ),
    case(
        "parallel",
        &[(
            "      - id: second\n        use: script.run\n        with: {node: lb1, script: \"reload {{ target.name }}\"}",
            "      - id: second\n        for_each: target.active.nodes\n        as: n\n        steps:\n          - {id: boot, use: cloud.droplet.reboot, with: {node: \"{{ n }}\"}}",
        )],
        &["504 destructive in `parallel` | cloud.droplet.reboot"],
    ),
    case(
        "too few",
        &[("min_healthy: {at_least: 2}\ndeadline", "min_healthy: {at_least: 3}\ndeadline")],
        &["505 `min_healthy` never holds | {at_least: 3}"],
    ),
    case(
        "all but itself",
        &[("min_healthy: {at_least: 2}\ndeadline", "min_healthy: {percent: 70}\ndeadline")],
        &["505 `min_healthy` never holds | {percent: 70}"],
    ),
    case(
        "share of others",
        &[("min_healthy: {at_least: 2}\ndeadline", "min_healthy: {percent: 66}\ndeadline")],
        &[],
    ),
    case(
        "of which group",
        &[
            (
                "min_healthy: {group: \"{{ target.standby.name }}\", at_least: 2}",
                "min_healthy: {at_least: 2}",
            ),
            ("run: search-switch}\nverify", "run: search-failback}\nverify"),
            ("deadline: 5h\nguard:\n  cooldown", "guard:\n  cooldown"),
        ],
        &[
            "603w steps may outlast the deadline | search-failover",
            "505 `min_healthy` never holds: of which group? | {at_least: 2}",
            "603w steps may outlast the deadline | search-failback",
        ],
    ),
    case(
        "unseen",
        &[("escalate:\n  - {to: oncall, text: \"{{ target.name }}: {{ steps.reboot.error }}\"}\n", "")],
        &["510 it fails unseen | node-lost"],
    ),
    case(
        "wider lock",
        &[
            ("  lock: {scope: group}\n", ""),
            ("deadline: 4h\ninputs", "deadline: 4h\nguard:\n  lock: {scope: group}\ninputs"),
        ],
        &["511 a sub-run's lock is wider than its caller's | node-replace"],
    ),
    case(
        "one vantage",
        &[(
            "when: down(\"es-node/\" + target.name)",
            "when: down(\"es-node/\" + target.name) && down(\"lonely\")",
        )],
        &["512 one vantage decides over destruction | \"lonely\""],
    ),
    case(
        "one vantage, meant",
        &[
            (
                "when: down(\"es-node/\" + target.name)",
                "when: down(\"es-node/\" + target.name) && down(\"lonely\")",
            ),
            ("  lock: {scope: group}\n", "  lock: {scope: group}\n  quorum: 1\n"),
        ],
        &[],
    ),
    case(
        "one vantage below",
        &[("  - id: exclude\n", "  - id: exclude\n    if: down(\"lonely\")\n")],
        &["512 one vantage decides over destruction | \"lonely\""],
    ),
    case(
        "no snapshot",
        &[(
            "    use: elasticsearch.snapshot.create\n    with: {group: \"{{ target.standby }}\", repository: s3}",
            "    wait: 1s",
        )],
        &["513 this may delete the only copy | elasticsearch.ccr.refollow"],
    ),
    case(
        "unheard",
        &[(
            "notify: [ops]\nescalate:\n  - {to: oncall}\n---\napiVersion: regreen/v1\nplaybook: drill",
            "escalate:\n  - {to: oncall}\n---\napiVersion: regreen/v1\nplaybook: drill",
        )],
        &["514w it asks, and nobody hears of it | many-down"],
    ),
    case(
        "fault",
        &[("drill: {of: node-lost, rto: 10m, rpo: 0, canary: search-canary}\n", "")],
        &["515 only a drill breaks things | fault.node.power_off"],
    ),
    case(
        "ceiling",
        &[
            ("  default: sre\n", "  default: sre\nceilings: {mode: observe}\n"),
            ("playbook: node-lost\nmode: auto", "playbook: node-lost\nmode: observe"),
            ("playbook: search-failover\nmode: auto", "playbook: search-failover\nmode: observe"),
            ("playbook: many-down\nmode: auto", "playbook: many-down\nmode: observe"),
            ("playbook: drill-lost\nmode: auto", "playbook: drill-lost\nmode: observe"),
        ],
        &["516w this acts less than it says | approve"],
    ),
];

#[test]
fn guards() {
    check(GUARDS);
}
