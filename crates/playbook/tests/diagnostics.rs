//! A corpus of wrong files: each code at least once, several mistakes at once, and hostile text that must not end
//! the process. And the good files, which are silent.

use regreen_playbook::{diagnostic::Source, load};

/// A whole good set; every case changes something in it.
const GOOD: &str = r##"apiVersion: regreen/v1
inventory: lab
groups:
  web:
    health: web
    nodes:
      a1: {address: "127.0.0.1:8001", aliases: ["a1.example"]}
      a2: {address: "127.0.0.1:8002"}
---
apiVersion: regreen/v1
checks:
  web:
    kind: http
    each: node
    in: [web]
    with: {url: "http://{{ node.address }}/health"}
    interval: 1s
---
apiVersion: regreen/v1
policy: lab
receivers:
  oncall: {log: {}}
  chat: {webhook: {secret: chat-url}}
  ops: {slack: "#ops"}
  page: {pagerduty: {secret: pd-key}}
  mail: {email: {to: [ops@example.org]}}
approvers:
  sre: [ana, ben, "slack:U0123"]
  default: sre
---
apiVersion: regreen/v1
playbook: web-down
description: restarts a web node that is really down
mode: auto
target: node
triggers:
  - alert: ['alertname="WebDown"', 'node!=""']
    target: "{{ alert.labels.node }}"
notify: [ops]
when: down("web/" + target.name)
guard:
  cooldown: 5m
  budget: [{max: 3, per: 1h}]
  min_healthy: {at_least: 1}
  quorum: 1
steps:
  - id: restart
    use: http.request
    with:
      node: "{{ target }}"
      url: "http://{{ target.address }}/restart"
      method: POST
      headers: {Authorization: {secret: web-token}}
      body: {by: "{{ run.id }}", hard: true}
      observe: {url: "http://{{ target.address }}/state", done: "status == 200"}
  - {id: settle, if: steps.restart.ok, wait: 1s}
  - {id: back, verify: {check: "web/{{ target.name }}", for: 1s, within: 1m}}
verify:
  - {check: "web/{{ target.name }}", for: 2s, within: 1m}
escalate:
  - {to: oncall, text: "{{ target.name }} is still down: {{ alert.annotations.summary }}"}
"##;

fn findings(text: &str) -> regreen_playbook::Findings {
    load(vec![Source { path: "lab.yaml".into(), text: text.into() }]).1
}

fn codes(text: &str) -> Vec<u16> {
    findings(text).list.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_good_set_is_silent() {
    let found = findings(GOOD);
    assert_eq!(found.list, [], "{}", found.render(false));
}

#[test]
fn each_mistake_gets_its_code() {
    let cases: &[(&str, &str, &str, &[u16])] = &[
        ("syntax", "mode: auto", "mode: [auto", &[100]),
        ("unknown key", "cooldown: 5m", "cooldwn: 5m", &[501, 101]),
        ("duplicate key", "mode: auto", "mode: auto\nmode: auto", &[102]),
        ("tag", "when: down(\"web/\" + target.name)", "when: !up(x)", &[103]),
        (
            "cut by a comment",
            "text: \"{{ target.name }} is still down: {{ alert.annotations.summary }}\"",
            "text: it's #1",
            &[100],
        ),
        ("braces unquoted", "node: \"{{ target }}\"", "node: {{ target }}", &[105]),
        ("no unit", "cooldown: 5m", "cooldown: 5", &[106]),
        ("two kinds", "wait: 1s", "wait: 1s, use: http.request", &[107]),
        ("no id", "id: settle, ", "", &[108]),
        ("bad id", "id: settle", "id: settle-down", &[109]),
        ("anchor", "cooldown: 5m", "cooldown: &x 5m", &[110]),
        ("approve", "mode: auto", "mode: approve", &[]),
        ("no default", "  default: sre\n", "", &[]),
        ("nobody to ask", "  default: sre\n---", "---", &[]),
        ("unknown default", "default: sre", "default: sr", &[205]),
        ("unknown approvers", "cooldown: 5m", "cooldown: 5m\n  approval: {by: sr}", &[205]),
        ("asks instead", "  min_healthy: {at_least: 1}\n", "  approval: {by: sre}\n", &[]),
        ("who may start", "triggers:", "triggers:\n  - manual: {by: nobody}", &[205]),
        ("a step asks", "wait: 1s", "approve: {by: sre, text: \"{{ target.name }}?\"}", &[]),
        ("silence is a no", "wait: 1s", "approve: {by: sre, within: 1m}, on_failure: continue", &[508]),
        ("unknown follower", "notify: [ops]", "notify: [op]", &[205]),
        ("two receivers in one", "ops: {slack: \"#ops\"}", "ops: {slack: \"#ops\", log: {}}", &[108, 205]),
        ("constants", "notify: [ops]", "notify: [ops]\nvars: {a: 1}", &[]),
        ("unknown action", "use: http.request", "use: http.requst", &[201]),
        ("wrong type", "max: 3", "max: three", &[203]),
        ("raw id", "node: \"{{ target }}\"", "node: \"3164444\"", &[204]),
        ("no object", "node: \"{{ target }}\"", "node: \"{{ target.name }}\"", &[204]),
        ("unknown check", "verify: {check: \"web/{{ target.name }}\"", "verify: {check: web/a9", &[205]),
        ("unknown receiver", "to: oncall", "to: oncal", &[205]),
        ("no expression", "if: steps.restart.ok", "if: steps.restart.ok &&", &[300]),
        ("braces in CEL", "if: steps.restart.ok", "if: \"{{ steps.restart.ok }}\"", &[301]),
        ("braces in plain", "cooldown: 5m", "cooldown: \"{{ x }}\"", &[302]),
        ("unknown name", "if: steps.restart.ok", "if: labels.x == \"y\"", &[303]),
        ("unknown step", "if: steps.restart.ok", "if: steps.back.ok", &[303]),
        ("label may be missing", "if: steps.restart.ok", "if: alert.labels.env == \"prod\"", &[304]),
        ("text against number", "if: steps.restart.ok", "if: alert.labels.node > 90", &[305]),
        ("no bool", "if: steps.restart.ok", "if: target.name", &[305]),
        (
            "result may be absent",
            "{id: settle, if: steps.restart.ok, wait: 1s}",
            "{id: some, if: steps.restart.ok, set: {n: 1}}\n  - {id: settle, if: steps.some.result.n == 1, wait: 1s}",
            &[306],
        ),
        ("alert may be absent", "triggers:", "triggers:\n  - manual: {}", &[]),
        ("no operator", "'alertname=\"WebDown\"'", "WebDown", &[401]),
        ("matches all", "['alertname=\"WebDown\"', 'node!=\"\"']", "['node=~\".*\"']", &[402, 304]),
        ("never", "'alertname=\"WebDown\"'", "'alertname=\"WebDown\"', 'alertname=\"Other\"'", &[403]),
        ("unguarded", "  budget: [{max: 3, per: 1h}]\n", "", &[501]),
        ("no verify", "verify:\n  - {check: \"web/{{ target.name }}\", for: 2s, within: 1m}\n", "", &[502]),
        ("alert alone", "when: down(\"web/\" + target.name)\n", "", &[503]),
        ("never healthy", "at_least: 1", "at_least: 2", &[505]),
        (
            "twice",
            "observe: {url: \"http://{{ target.address }}/state\", done: \"status == 200\"}\n",
            "effect: at_most_once\n    attempts: 2\n",
            &[506],
        ),
        ("secret", "{secret: web-token}", "Bearer abcdef", &[507]),
        (
            "unseen",
            "escalate:\n  - {to: oncall, text: \"{{ target.name }} is still down: {{ alert.annotations.summary }}\"}\n",
            "",
            &[510],
        ),
        ("one vantage", "  quorum: 1\n", "", &[512]),
        ("never holds", "for: 1s, within: 1m", "for: 2m, within: 1m", &[601]),
        ("outlasts", "steps:\n", "deadline: 10s\nsteps:\n", &[603]),
    ];
    let mut wrong = Vec::new();
    for (name, from, to, wanted) in cases {
        assert!(GOOD.contains(from), "{name}: the case no longer fits");
        let text = GOOD.replacen(from, to, 1);
        let mut found = codes(&text);
        let (mut sorted, rendered) = (wanted.to_vec(), findings(&text).render(false));
        sorted.sort_unstable();
        found.sort_unstable();
        if found != sorted {
            wrong.push(format!("{name}: {found:?}, not {sorted:?}\n{rendered}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_errors_of_all_files_come_at_once_and_are_drawn() {
    let bad =
        GOOD.replace("retires", "").replace("cooldown: 5m", "cooldown: 5").replace("wait: 1s", "wiat: 1s");
    let other = "apiVersion: regreen/v1\nplaybook: second\nstps: []\n";
    let sources = vec![
        Source { path: "a.yaml".into(), text: bad },
        Source { path: "b.yaml".into(), text: other.into() },
    ];
    let (set, findings) = load(sources);
    assert!(set.is_none());
    insta::assert_snapshot!(findings.render(false));
}

#[test]
fn hostile_text_gives_findings_and_never_ends_the_process() {
    let deep = "[".repeat(5000);
    let chain = format!("when: {}", vec!["1"; 3000].join(" + "));
    let nested = format!("when: {}true{}", "(".repeat(3000), ")".repeat(3000));
    let bangs = format!("when: '{}true'", "!".repeat(3000));
    let dots = format!("when: a{}", ".b".repeat(3000));
    let wide = format!("when: [{}]", vec!["1"; 5000].join(","));
    for text in [
        deep,
        chain,
        nested,
        bangs,
        dots,
        wide,
        "\u{0}".into(),
        "a: *b".into(),
        "? [a]\n: b".into(),
        "%YAML 9".into(),
    ] {
        let document = format!("apiVersion: regreen/v1\nplaybook: x\nmode: auto\n{text}\n");
        assert!(!codes(&document).is_empty(), "{}", &document[..document.len().min(90)]);
    }
}
