//! Every kind of check as it is written, expanded over its members; and the slips that each kind invites.

use regreen_playbook::{diagnostic::Source, load};

const INVENTORY: &str = r#"apiVersion: regreen/v1
inventory: lab
groups:
  es:
    nodes:
      a1: {address: 10.0.0.1}
      a2: {address: 10.0.0.2}
---
"#;

const CHECKS: &str = r#"apiVersion: regreen/v1
checks:
  api:
    kind: http
    with:
      url: https://api.example/health
      accept: [200]
      json: {/status: ok, /ready: true}
      header: {content-type: application/json}
      headers: {authorization: {secret: probe-token}}
      ca: internal
    degraded: {above: 250}
    down: {above: 1000}
    expose: {on_unknown: pass}
  queue:
    kind: http
    measure: value
    with: {url: "http://queue.example/stats", value: /depth}
    degraded: {above: 100}
  port: {kind: tcp, with: {address: "db.example:5432"}}
  cert: {kind: tls, with: {address: "api.example:443"}, degraded: {below: 21}, down: {below: 3}}
  name: {kind: dns, with: {name: api.example, record: A, server: "192.0.2.53:53", expect: [192.0.2.1]}}
  es-node: {kind: elasticsearch, each: node, in: [es], with: {url: "http://{{ node.address }}:9200"}}
  es-cluster: {kind: opensearch, each: group, in: [es], with: {url: "http://{{ node.address }}:9200"}}
  es-lag:
    kind: elasticsearch
    each: group
    in: [es]
    measure: ccr_lag
    with: {url: "http://{{ node.address }}:9200", index: orders}
    down: {above: 1000}
  lb: {kind: haproxy, each: node, in: [es], with: {address: /run/haproxy.sock, backend: es, server: "{{ node.name }}"}}
  errors:
    kind: prometheus
    each: node
    in: [es]
    with: {url: "http://prometheus.example:9090", query: 'rate(errors_total{node="{{ node.name }}"}[5m])'}
    down: {above: 0.5}
  silence:
    kind: silences
    each: node
    in: [es]
    with: {url: "http://alertmanager.example:9093", labels: {node: "{{ node.name }}"}}
  all-nodes: {kind: all, of: [es-node/*, es-cluster/es]}
  most-nodes: {kind: share, of: [es-node/*], degraded: {below: 100}, down: {below: 51}}
"#;

fn read(checks: &str) -> (Option<regreen_playbook::Set>, Vec<(u16, String)>) {
    let (set, findings) = load(vec![Source { path: "c.yaml".into(), text: format!("{INVENTORY}{checks}") }]);
    let found = findings.list.iter().map(|finding| (finding.code, finding.message.clone())).collect();
    (set, found)
}

#[test]
fn every_kind_is_read_and_expanded() {
    let (set, found) = read(CHECKS);
    assert_eq!(found, []);
    let set = set.expect("no errors");
    let silenced = |member: &str| set.silences[member].iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        (set.silences.len(), silenced("a1"), silenced("a2")),
        (2, vec!["silence/a1".into()], vec!["silence/a2".into()])
    );
    let kinds: std::collections::BTreeMap<_, _> =
        set.checks.into_iter().map(|(name, check)| (name, check.kind)).collect();
    let text = serde_json::to_string_pretty(&kinds).expect("plain data");
    insta::assert_snapshot!(text);
}

#[test]
fn each_slip_is_told() {
    let cases: &[(&str, &str, u16)] = &[
        ("a: {kind: htp, with: {url: x}}", "`kind` wants one of", 203),
        ("a: {kind: http}", "key `with` is missing", 108),
        ("a: {kind: http, measure: value, with: {url: x}}", "key `value` is missing", 108),
        ("a: {kind: tcp, with: {address: x}, down: {above: fast}}", "`above` wants a number", 203),
        ("a: {kind: tcp, with: {address: x}, down: {above: 1, below: 0}}", "needs one of", 108),
        ("a: {kind: elasticsearch, with: {url: x}}", "this measure is of a group", 203),
        (
            "a: {kind: elasticsearch, each: node, in: [es], measure: ccr_lag, with: {url: x, index: i}}",
            "this measure is of a group",
            203,
        ),
        (
            "a: {kind: elasticsearch, each: group, in: [es], measure: snapshot_age, with: {url: x}}",
            "key `repository` is missing",
            108,
        ),
        ("a: {kind: all}", "key `of` is missing", 108),
        ("a: {kind: all, of: [b]}", "unknown check `b`", 205),
        ("a: {kind: any, of: [b]}\n  b: {kind: any, of: [a]}", "is joined from itself", 205),
        ("a: {kind: tcp, with: {address: x}, expose: {}}", "key `on_unknown` is missing", 108),
        ("a: {kind: http, with: {url: x, headers: {authorization: Bearer abc}}}", "a secret in clear", 507),
    ];
    let mut wrong = Vec::new();
    for (text, wanted, code) in cases {
        let (_, found) = read(&format!("apiVersion: regreen/v1\nchecks:\n  {text}\n"));
        if !found.iter().any(|(found, message)| found == code && message.contains(wanted)) {
            wrong.push(format!("{text}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
