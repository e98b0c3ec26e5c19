//! Keys of `checks:`, and of what each kind of check needs.

use super::{
    API_VERSION, Key, Table, key, must,
    policy::SECRET_TABLE,
    shape::{
        Shape::{
            Any, CheckWith, Duration, Either, Int, Keys, List, Named, Number, Refers, Template, Text, Words,
        },
        Thing,
    },
    table,
};

/// `checks:`.
pub const CHECKS: &[Key] = &[
    API_VERSION,
    must(
        "checks",
        Named(&Keys(&CHECK_TABLE)),
        "Checks by name: parts of lower-case letters, digits, `-` and `_`, joined by `/`.",
        r#"checks: {web: {kind: tcp, each: node, in: [web], with: {address: "{{ node.address }}"}}}"#,
    )
    .codes(&[109]),
];

/// A kind of check.
#[derive(Clone, Copy, Debug)]
pub struct CheckKind {
    /// The word in YAML.
    pub word: &'static str,
    /// What it looks at.
    pub doc: &'static str,
    /// What it needs under `with:`; none: it joins other checks, and needs `of:`.
    pub with: Option<Table>,
    /// What it can measure, the default first; empty: nothing but whether it is well, or one number.
    pub measures: &'static [&'static str],
}

const fn kind(word: &'static str, doc: &'static str, with: Table) -> CheckKind {
    CheckKind { word, doc, with: Some(with), measures: &[] }
}

const fn joined(word: &'static str, doc: &'static str) -> CheckKind {
    CheckKind { word, doc, with: None, measures: &[] }
}

const SEARCH: CheckKind = CheckKind {
    measures: &["health", "node", "quorum_margin", "ccr_lag", "snapshot_age", "canary", "indexing_latency"],
    ..kind(
        "elasticsearch",
        "A node or a cluster of Elasticsearch.",
        table("with of elasticsearch", CHECK_ELASTICSEARCH),
    )
};

/// Kinds of checks.
pub const CHECK_KINDS: &[CheckKind] = &[
    CheckKind {
        measures: &["latency", "tls_days", "value"],
        ..kind("http", "Sends a GET and judges the answer.", table("with of http", CHECK_HTTP))
    },
    kind("tcp", "Opens a connection.", table("with of tcp", CHECK_TCP)),
    kind(
        "tls",
        "Shakes hands, and measures the days until the certificate ends.",
        table("with of tls", CHECK_TLS),
    ),
    kind("dns", "Asks for a name.", table("with of dns", CHECK_DNS)),
    SEARCH,
    CheckKind { word: "opensearch", doc: "A node or a cluster of OpenSearch.", ..SEARCH },
    kind("haproxy", "A server or backend, as HAProxy sees it.", table("with of haproxy", CHECK_HAPROXY)),
    kind("prometheus", "A number that Prometheus computes.", table("with of prometheus", CHECK_PROMETHEUS)),
    kind(
        "silences",
        "Whether Alertmanager silences alerts about a node or group: what is silenced is in maintenance.",
        table("with of silences", CHECK_SILENCES),
    ),
    joined("all", "As bad as the worst of its checks."),
    joined("any", "As good as the best of its checks."),
    joined("share", "Measures how many of its checks are up, in percent."),
];

const KIND_WORDS: &[&str] = &{
    let mut words = [""; CHECK_KINDS.len()];
    let mut i = 0;
    while i < words.len() {
        words[i] = CHECK_KINDS[i].word;
        i += 1;
    }
    words
};

/// A check.
pub(super) const CHECK_TABLE: Table = table("check", CHECK);

/// A check.
pub const CHECK: &[Key] = &[
    must(
        "kind",
        Words(KIND_WORDS),
        "What it looks at; `all`, `any` and `share` join other checks.",
        "kind: http",
    ),
    key(
        "each",
        Words(&["node", "group"]),
        "Makes one check for each node, or each group, of `in`: `check/member`. One check in all unless given.",
        "each: node",
    ),
    key(
        "in",
        List(&Refers(Thing::Group)),
        "Of `each`: the groups whose members are checked.",
        "in: [es-a, es-b]",
    )
        .codes(&[108]),
    key(
        "with",
        CheckWith,
        "What to look at. Templates see `node` and `group`.",
        r#"with: {url: "http://{{ node.address }}/health"}"#,
    )
    .codes(&[101, 108, 303, 507]),
    key(
        "measure",
        Words(&[
            "latency", "tls_days", "value", "health", "node", "quorum_margin", "ccr_lag", "snapshot_age", "canary",
            "indexing_latency",
        ]),
        "What is measured, for kinds that can measure several things. `http`: `latency` (milliseconds), `tls_days`, `value`. `elasticsearch`: `node` with `each: node`, else `health` unless given.",
        "measure: snapshot_age",
    )
    .codes(&[203]),
    key(
        "degraded",
        Keys(&BOUND_TABLE),
        "Degraded when the measured number is beyond this.",
        "degraded: {above: 500}",
    ),
    key("down", Keys(&BOUND_TABLE), "Down when the measured number is beyond this.", "down: {above: 2000}"),
    key(
        "of",
        List(&Refers(Thing::Checks)),
        "Of `all`, `any` and `share`: the checks that are joined.",
        "of: [web/*, dns]",
    )
    .codes(&[108]),
    key("interval", Duration, "Time between two looks.", "interval: 5s").or("10s"),
    key("timeout", Duration, "How long one look may take.", "timeout: 1s").or("3s"),
    key(
        "fall",
        Int { min: 1, max: 100 },
        "So many looks in a row must find it worse before its status falls.",
        "fall: 2",
    )
        .or("3"),
    key(
        "rise",
        Int { min: 1, max: 100 },
        "So many looks in a row must find it better before its status rises.",
        "rise: 1",
    )
        .or("2"),
    key("fresh", Duration, "A status whose last look is older than this is unknown.", "fresh: 1m").or("30s"),
    key(
        "vantages",
        List(&super::Shape::Name),
        "Where it is looked at from: names of probes.",
        "vantages: [fra, ams, par]",
    )
    .or("[main]"),
    key(
        "quorum",
        Int { min: 1, max: 100 },
        "How many vantages must agree on a status; fewer: unknown. A majority unless given.",
        "quorum: 2",
    ),
    key(
        "expose",
        Keys(&table("expose", EXPOSE)),
        "Lets load balancers ask for it: `GET /health/{check}` answers 200 or 503.",
        "expose: {on_unknown: pass}",
    ),
];

const BOUND_TABLE: Table = table("bound", BOUND).one_of(&["above", "below"]);

/// `degraded:` and `down:` of a check.
pub const BOUND: &[Key] = &[
    key("above", Number, "When the number is larger than this.", "above: 500"),
    key("below", Number, "When the number is smaller than this.", "below: 14"),
];

/// `expose:` of a check.
pub const EXPOSE: &[Key] = &[must(
    "on_unknown",
    Words(&["pass", "fail"]),
    "What is answered while nobody can say how it is: 200 or 503.",
    "on_unknown: pass",
)];

const HEADERS: Key = key(
    "headers",
    Named(&Either(&[Text, Keys(&SECRET_TABLE)])),
    "Headers of the request. A secret is written `{secret: name}`.",
    "headers: {Authorization: {secret: web-token}}",
)
.codes(&[507]);

const CA: Key = key(
    "ca",
    Text,
    "Name of a certificate authority in the probe's configuration; the system's unless given.",
    "ca: internal",
);

/// `with:` of a check of kind `http`.
pub const CHECK_HTTP: &[Key] = &[
    must("url", Template, "Where to GET; http or https.", r#"url: "http://{{ node.address }}/health""#),
    key(
        "accept",
        List(&Int { min: 100, max: 599 }),
        "Statuses that are well; 200 to 299 unless given.",
        "accept: [200, 204]",
    ),
    key(
        "json",
        Named(&Any),
        "JSON Pointers to plain values that must stand there in the answer.",
        "json: {/status: green}",
    ),
    key("header", Named(&Text), "Headers that the answer must have.", "header: {X-Role: primary}"),
    key("value", Text, "JSON Pointer to the number that `measure: value` measures.", "value: /queue/depth"),
    HEADERS,
    CA,
];

/// `with:` of a check of kind `tcp`.
pub const CHECK_TCP: &[Key] =
    &[must("address", Template, "`host:port` to connect to.", r#"address: "{{ node.address }}:5432""#)];

/// `with:` of a check of kind `tls`.
pub const CHECK_TLS: &[Key] = &[
    must("address", Template, "`host:port` to shake hands with.", r#"address: "{{ node.address }}:443""#),
    key(
        "name",
        Template,
        "Server name to ask for; the host of `address` unless given.",
        "name: www.example.org",
    ),
    CA,
];

/// `with:` of a check of kind `dns`.
pub const CHECK_DNS: &[Key] = &[
    must("name", Template, "Name to ask for.", "name: www.example.org"),
    key(
        "record",
        Words(&["A", "AAAA", "CNAME", "MX", "NS", "SRV", "TXT"]),
        "Type of the record to ask for.",
        "record: AAAA",
    )
    .or("A"),
    key(
        "server",
        Template,
        "`host:port` of the server to ask; the system's unless given.",
        "server: 10.0.0.53:53",
    ),
    key("expect", List(&Text), "Answers that must all be there.", "expect: [192.0.2.10]"),
];

/// `with:` of a check of kind `elasticsearch`.
pub const CHECK_ELASTICSEARCH: &[Key] = &[
    must(
        "url",
        Template,
        "URL of a node; filled in for every node of the group.",
        r#"url: "https://{{ node.address }}:9200""#,
    ),
    key("index", Text, "Of `ccr_lag` and `canary`: the index to look at.", "index: orders").codes(&[108]),
    key("field", Text, "Of `canary`: the field with the time of a document.", "field: written_at")
        .or("\"@timestamp\""),
    key("repository", Text, "Of `snapshot_age`: the repository of the snapshots.", "repository: s3")
        .codes(&[108]),
    HEADERS,
    CA,
];

/// `with:` of a check of kind `haproxy`.
pub const CHECK_HAPROXY: &[Key] = &[
    must(
        "address",
        Template,
        "`host:port` or path of HAProxy's runtime API.",
        r#"address: "{{ node.address }}:9999""#,
    ),
    must("backend", Template, "The backend.", "backend: app"),
    key("server", Template, "The server; the whole backend unless given.", r#"server: "{{ node.name }}""#),
];

/// `with:` of a check of kind `prometheus`.
pub const CHECK_PROMETHEUS: &[Key] = &[
    must("url", Template, "URL of the server.", "url: http://prometheus:9090"),
    must("query", Template, "PromQL whose answer is one number.", "query: sum(queue_depth)"),
    HEADERS,
    CA,
];

/// `with:` of a check of kind `silences`.
pub const CHECK_SILENCES: &[Key] = &[
    must("url", Template, "URL of the Alertmanager.", "url: http://alertmanager:9093"),
    must(
        "labels",
        Named(&Template),
        "The labels that an alert about it would have.",
        r#"labels: {node: "{{ node.name }}"}"#,
    ),
    HEADERS,
    CA,
];
