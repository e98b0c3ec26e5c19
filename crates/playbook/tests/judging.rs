//! Judging: the stories of the language are silent, and each change that could do harm or can't work is told, where it
//! stands.

use std::fmt::Write as _;

use proptest::prelude::*;
use regreen_playbook::{Findings, Severity, diagnostic::Source, load};

const SET: &str = include_str!("judged/set.yaml");

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
    assert!(notes.contains(&"no runner of this release has `digitalocean.droplet.reboot`"), "{notes:?}");
}

#[test]
fn names() {
    check(&[
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
        case(
            "canary",
            &[("canary: search-canary", "canary: canary")],
            &["205 unknown check `canary` | canary"],
        ),
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
        case("a node by name", &[("node: lb1", "node: lb9")], &["204 raw id for a node | lb9"]),
    ]);
}

#[test]
fn types() {
    check(&[
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
    ]);
}

#[test]
fn what_is_handed_on() {
    check(&[
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
    ]);
}

#[test]
fn untrusted_text_is_no_code() {
    check(&[
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
    ]);
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
fn triggers() {
    check(&[
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
    ]);
}

#[test]
fn verdicts_tell_what_their_check_is_of() {
    check(&[
        case(
            "a group's check has no node",
            &[("    for: 30s\n    target: search\n", "    for: 30s\n    target: \"{{ verdict.node }}\"\n")],
            &["303 `verdict` has no `node` | verdict.node"],
        ),
        case(
            "but a group, which is a side",
            &[(
                "    for: 30s\n    target: search\n",
                "    for: 30s\n    target: \"{{ verdict.service }}\"\n",
            )],
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
    ]);
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

#[test]
fn guards() {
    check(&[
        case(
            "of the callee alone",
            &[("  cooldown: 1h\n  budget: [{max: 3, per: 6h, scope: group}]\n", "")],
            &["501 destructive, unguarded | digitalocean.droplet.reboot"],
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
                "      - id: second\n        for_each: target.active.nodes\n        as: n\n        steps:\n          - {id: boot, use: digitalocean.droplet.reboot, with: {node: \"{{ n }}\"}}",
            )],
            &["504 destructive in `parallel` | digitalocean.droplet.reboot"],
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
    ]);
}

#[test]
fn flow_and_times() {
    check(&[
        case(
            "destroys before it is verified",
            &[(
                "  - id: joined\n    verify: {check: \"es-node/{{ steps.create.result.node.name }}\", within: 15m}\n  - id: green\n    verify: {check: \"es-cluster/{{ target.group.name }}\", for: 5m, within: 3h}\n",
                "",
            )],
            &["509w this destroys before it is verified | digitalocean.droplet.destroy"],
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
            &[(
                "when: down(\"es-cluster/\" + target.active.name)",
                "when: down(\"es-cluster/es-a\") && false",
            )],
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
    ]);
}
