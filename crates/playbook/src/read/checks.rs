//! `checks:`: what to look at, before it is expanded over its members.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{
    Span,
    id::Vantage,
    view::{Access, Bound, DnsRecord, Given, HttpMeasure, Join, OnUnknown},
};

use super::{Draft, template};
use crate::{
    diagnostic::Place,
    keys,
    template::Template,
    tree::{Kind, Node},
    walk::{Fields, Walk},
};

/// A check before it is expanded over its members.
#[derive(Debug)]
pub(crate) struct CheckDraft {
    pub place: Place,
    pub each: Option<Each>,
    pub groups: Vec<(String, Place)>,
    pub what: What,
    pub degraded: Option<Bound>,
    pub down: Option<Bound>,
    pub interval: Span,
    pub timeout: Span,
    pub fall: u32,
    pub rise: u32,
    pub fresh: Span,
    pub vantages: Vec<Vantage>,
    pub quorum: u32,
    pub expose: Option<OnUnknown>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Each {
    Node,
    Group,
}

/// Kind of a check with what it needs, as written.
#[derive(Debug)]
pub(crate) enum What {
    Http {
        url: Template,
        accept: Vec<u16>,
        json: BTreeMap<Arc<str>, serde_json::Value>,
        header: BTreeMap<Arc<str>, Arc<str>>,
        measure: HttpMeasure,
        access: Access,
    },
    Tcp {
        address: Template,
    },
    Tls {
        address: Template,
        name: Option<Template>,
        ca: Option<Arc<str>>,
    },
    Dns {
        name: Template,
        record: DnsRecord,
        server: Option<Template>,
        expect: Vec<Arc<str>>,
    },
    Search {
        url: Template,
        measure: SearchWord,
        index: Arc<str>,
        field: Arc<str>,
        repository: Arc<str>,
        access: Access,
    },
    Haproxy {
        address: Template,
        backend: Template,
        server: Option<Template>,
    },
    Prometheus {
        url: Template,
        query: Template,
        access: Access,
    },
    Silences {
        url: Template,
        labels: Vec<(Arc<str>, Template)>,
        access: Access,
    },
    Of {
        join: Join,
        of: Vec<(String, Place)>,
    },
}

/// `measure:` of a check of kind `elasticsearch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SearchWord {
    Health,
    Node,
    QuorumMargin,
    CcrLag,
    SnapshotAge,
    Canary,
    IndexingLatency,
}

#[derive(Clone, Copy)]
enum Word {
    Http,
    Tcp,
    Tls,
    Dns,
    Search,
    Haproxy,
    Prometheus,
    Silences,
    Of(Join),
}

const WORDS: &[(&str, Word)] = &[
    ("http", Word::Http),
    ("tcp", Word::Tcp),
    ("tls", Word::Tls),
    ("dns", Word::Dns),
    ("elasticsearch", Word::Search),
    ("opensearch", Word::Search),
    ("haproxy", Word::Haproxy),
    ("prometheus", Word::Prometheus),
    ("silences", Word::Silences),
    ("all", Word::Of(Join::All)),
    ("any", Word::Of(Join::Any)),
    ("share", Word::Of(Join::Share)),
];

pub(super) fn check(walk: &mut Walk<'_>, name: &Node, value: &Node, draft: &mut Draft) {
    let Some(fields) = walk.fields(value, "check", keys::CHECK) else { return };
    let name_text = name.text().unwrap_or_default().to_owned();
    if !name_text.split('/').all(regreen_schemas::id::is_token) {
        walk.error(109, name, format!("bad name `{name_text}`"), "tokens joined by `/`", "rename it");
    }
    let Some(word) = fields.get("kind").and_then(|node| walk.one_of(node, "kind", WORDS)) else { return };
    let each = fields
        .get("each")
        .and_then(|node| walk.one_of(node, "each", &[("node", Each::Node), ("group", Each::Group)]));
    let Some(what) = what(walk, word, each, fields, value) else { return };
    let mut span = |key: &str, default: Span| {
        fields.get(key).and_then(|node| walk.duration(node, key)).unwrap_or(default)
    };
    let (interval, timeout, fresh) = (
        span("interval", Span::seconds(10)),
        span("timeout", Span::seconds(3)),
        span("fresh", Span::seconds(30)),
    );
    let vantages = match (&what, fields.get("vantages")) {
        (What::Of { .. }, _) => Vec::new(),
        (_, Some(node)) => walk
            .list(node, "vantages")
            .iter()
            .filter_map(|item| walk.name(item, "vantage"))
            .map(Vantage::from)
            .collect(),
        (_, None) => vec![Vantage::from("main")],
    };
    let count = u32::try_from(vantages.len()).unwrap_or(u32::MAX);
    let quorum = fields.get("quorum").and_then(|node| walk.int(node, "quorum", 1..=count.max(1)));
    let groups = fields.get("in").map(|node| {
        walk.list(node, "in")
            .iter()
            .filter_map(|item| Some((item.text()?.to_owned(), walk.place(item.range.clone()))))
            .collect()
    });
    let check = CheckDraft {
        place: walk.place(name.range.clone()),
        each,
        groups: groups.unwrap_or_default(),
        what,
        degraded: fields.get("degraded").and_then(|node| bound(walk, node, "degraded")),
        down: fields.get("down").and_then(|node| bound(walk, node, "down")),
        interval,
        timeout,
        fall: fields.get("fall").and_then(|node| walk.int(node, "fall", 1..=100)).unwrap_or(3),
        rise: fields.get("rise").and_then(|node| walk.int(node, "rise", 1..=100)).unwrap_or(2),
        fresh,
        vantages,
        quorum: quorum.unwrap_or(count / 2 + 1),
        expose: fields.get("expose").and_then(|node| expose(walk, node)),
    };
    if draft.checks.insert(name_text.clone(), check).is_some() {
        walk.error(102, name, format!("check `{name_text}` is there twice"), "again", "take one away");
    }
}

fn what(
    walk: &mut Walk<'_>,
    word: Word,
    each: Option<Each>,
    fields: Fields<'_>,
    value: &Node,
) -> Option<What> {
    let known = match word {
        Word::Http => keys::CHECK_HTTP,
        Word::Tcp => keys::CHECK_TCP,
        Word::Tls => keys::CHECK_TLS,
        Word::Dns => keys::CHECK_DNS,
        Word::Search => keys::CHECK_ELASTICSEARCH,
        Word::Haproxy => keys::CHECK_HAPROXY,
        Word::Prometheus => keys::CHECK_PROMETHEUS,
        Word::Silences => keys::CHECK_SILENCES,
        Word::Of(join) => return of(walk, join, each, fields, value),
    };
    let Some(node) = fields.get("with") else {
        let hint = format!("`with: {{{}: …}}`", known[0].name);
        walk.error(108, value, "key `with` is missing", "this check", hint);
        return None;
    };
    let with = walk.fields(node, "with", known)?;
    let filled = |walk: &mut Walk<'_>, key: &str| with.get(key).and_then(|node| template(walk, node, key));
    let plain = |walk: &mut Walk<'_>, key: &str| {
        with.get(key).and_then(|node| walk.plain(node, key)).map(Arc::<str>::from)
    };
    Some(match word {
        Word::Http => What::Http {
            url: filled(walk, "url")?,
            accept: accept(walk, with),
            json: with.get("json").map(|node| expected(walk, node)).unwrap_or_default(),
            header: words(walk, with.get("header"), "header"),
            measure: http_measure(walk, fields, with)?,
            access: access(walk, with),
        },
        Word::Tcp => What::Tcp { address: filled(walk, "address")? },
        Word::Tls => {
            What::Tls { address: filled(walk, "address")?, name: filled(walk, "name"), ca: plain(walk, "ca") }
        }
        Word::Dns => What::Dns {
            name: filled(walk, "name")?,
            record: with
                .get("record")
                .map_or(Some(DnsRecord::A), |node| walk.one_of(node, "record", RECORDS))?,
            server: filled(walk, "server"),
            expect: with
                .get("expect")
                .map(|node| walk.list(node, "expect").iter().filter_map(Node::text).map(Arc::from).collect())
                .unwrap_or_default(),
        },
        Word::Search => {
            let measure = search_measure(walk, each, fields, value)?;
            let (index, repository) = (plain(walk, "index"), plain(walk, "repository"));
            let needs = match measure {
                SearchWord::CcrLag | SearchWord::Canary if index.is_none() => Some("index"),
                SearchWord::SnapshotAge if repository.is_none() => Some("repository"),
                _ => None,
            };
            if let Some(key) = needs {
                let message = format!("key `{key}` is missing");
                walk.error(108, node, message, "this measure needs it", format!("`{key}: …`"));
                return None;
            }
            What::Search {
                url: filled(walk, "url")?,
                measure,
                index: index.unwrap_or_default(),
                field: plain(walk, "field").unwrap_or_else(|| "@timestamp".into()),
                repository: repository.unwrap_or_default(),
                access: access(walk, with),
            }
        }
        Word::Haproxy => What::Haproxy {
            address: filled(walk, "address")?,
            backend: filled(walk, "backend")?,
            server: filled(walk, "server"),
        },
        Word::Prometheus => What::Prometheus {
            url: filled(walk, "url")?,
            query: filled(walk, "query")?,
            access: access(walk, with),
        },
        Word::Silences => What::Silences {
            url: filled(walk, "url")?,
            labels: with.get("labels").map(|node| labels(walk, node)).unwrap_or_default(),
            access: access(walk, with),
        },
        Word::Of(_) => return None,
    })
}

fn of(walk: &mut Walk<'_>, join: Join, each: Option<Each>, fields: Fields<'_>, value: &Node) -> Option<What> {
    let Some(node) = fields.get("of") else {
        walk.error(108, value, "key `of` is missing", "this check", "`of: [check, group-check/*]`");
        return None;
    };
    if let Some(node) = fields.get("each").filter(|_| each.is_some()) {
        let hint = "name the members under `of`, one joined check for each group";
        walk.error(203, node, "`each` is for checks that look", "this one joins others", hint);
    }
    let items = walk.list(node, "of");
    let of = items.iter().filter_map(|item| Some((item.text()?.to_owned(), walk.place(item.range.clone()))));
    Some(What::Of { join, of: of.collect() })
}

const RECORDS: &[(&str, DnsRecord)] = &[
    ("A", DnsRecord::A),
    ("AAAA", DnsRecord::Aaaa),
    ("CNAME", DnsRecord::Cname),
    ("MX", DnsRecord::Mx),
    ("NS", DnsRecord::Ns),
    ("SRV", DnsRecord::Srv),
    ("TXT", DnsRecord::Txt),
];

fn accept(walk: &mut Walk<'_>, with: Fields<'_>) -> Vec<u16> {
    let Some(node) = with.get("accept") else { return Vec::new() };
    let items = walk.list(node, "accept").iter();
    items
        .filter_map(|item| walk.int(item, "accept", 100..=599))
        .filter_map(|n| u16::try_from(n).ok())
        .collect()
}

fn http_measure(walk: &mut Walk<'_>, fields: Fields<'_>, with: Fields<'_>) -> Option<HttpMeasure> {
    let Some(node) = fields.get("measure") else { return Some(HttpMeasure::Latency) };
    let value = with.get("value").and_then(|node| walk.plain(node, "value"));
    let words = [("latency", 0), ("tls_days", 1), ("value", 2)];
    match (walk.one_of(node, "measure", &words)?, value) {
        (0, _) => Some(HttpMeasure::Latency),
        (1, _) => Some(HttpMeasure::TlsDays),
        (_, Some(pointer)) => Some(HttpMeasure::Value(pointer.into())),
        (_, None) => {
            let hint = "under `with`: `value: /queue/depth` (JSON Pointer)";
            walk.error(108, node, "key `value` is missing", "nothing says where the number stands", hint);
            None
        }
    }
}

fn search_measure(
    walk: &mut Walk<'_>,
    each: Option<Each>,
    fields: Fields<'_>,
    value: &Node,
) -> Option<SearchWord> {
    let words = [
        ("health", SearchWord::Health),
        ("node", SearchWord::Node),
        ("quorum_margin", SearchWord::QuorumMargin),
        ("ccr_lag", SearchWord::CcrLag),
        ("snapshot_age", SearchWord::SnapshotAge),
        ("canary", SearchWord::Canary),
        ("indexing_latency", SearchWord::IndexingLatency),
    ];
    let default = if each == Some(Each::Node) { SearchWord::Node } else { SearchWord::Health };
    let measure = fields.get("measure").map_or(Some(default), |node| walk.one_of(node, "measure", &words))?;
    let wanted = if measure == SearchWord::Node { Each::Node } else { Each::Group };
    if each != Some(wanted) {
        let at = fields.get("each").unwrap_or(value);
        let word = if wanted == Each::Node { "node" } else { "group" };
        let hint = format!("`each: {word}`, with `in: [group]`");
        walk.error(203, at, format!("this measure is of a {word}"), "`each` says otherwise", hint);
        return None;
    }
    Some(measure)
}

/// `{above: n}` or `{below: n}`.
fn bound(walk: &mut Walk<'_>, node: &Node, what: &str) -> Option<Bound> {
    let fields = walk.fields(node, what, keys::BOUND)?;
    let mut number = |key: &str| {
        let node = fields.get(key)?;
        let number = walk.plain(node, key)?.parse::<f64>().ok().filter(|number| number.is_finite());
        if number.is_none() {
            walk.error(203, node, format!("`{key}` wants a number"), "found something else", "");
        }
        number
    };
    match (number("above"), number("below")) {
        (Some(above), None) => Some(Bound::Above(above)),
        (None, Some(below)) => Some(Bound::Below(below)),
        _ => {
            let message = format!("`{what}` needs one of `above` and `below`");
            walk.error(108, node, message, "here", "`{above: 500}`");
            None
        }
    }
}

fn expose(walk: &mut Walk<'_>, node: &Node) -> Option<OnUnknown> {
    let fields = walk.fields(node, "expose", keys::EXPOSE)?;
    let words = [("pass", OnUnknown::Pass), ("fail", OnUnknown::Fail)];
    walk.one_of(fields.get("on_unknown")?, "on_unknown", &words)
}

/// Values that must stand at JSON Pointers, as YAML's core schema reads them.
fn expected(walk: &mut Walk<'_>, node: &Node) -> BTreeMap<Arc<str>, serde_json::Value> {
    let mut out = BTreeMap::new();
    for (key, value) in walk.named(node, "json") {
        let Kind::Scalar { text, plain } = &value.kind else {
            walk.error(203, value, "`json` wants a plain value", "found more", "point at what is inside");
            continue;
        };
        let read = if *plain { serde_json::from_str(text).ok() } else { None };
        out.insert(key.text().unwrap_or_default().into(), read.unwrap_or_else(|| text.as_str().into()));
    }
    out
}

fn words(walk: &mut Walk<'_>, node: Option<&Node>, what: &str) -> BTreeMap<Arc<str>, Arc<str>> {
    let Some(node) = node else { return BTreeMap::new() };
    let entries = walk.named(node, what).iter();
    entries.filter_map(|(k, v)| Some((k.text()?.into(), walk.plain(v, what)?.into()))).collect()
}

fn labels(walk: &mut Walk<'_>, node: &Node) -> Vec<(Arc<str>, Template)> {
    let entries = walk.named(node, "labels").iter();
    entries.filter_map(|(k, v)| Some((k.text()?.into(), template(walk, v, "labels")?))).collect()
}

fn access(walk: &mut Walk<'_>, with: Fields<'_>) -> Access {
    let mut headers = BTreeMap::new();
    for (key, value) in with.get("headers").map(|node| walk.named(node, "headers")).unwrap_or_default() {
        let Some(name) = key.text() else { continue };
        let given = match super::argument::secret(walk, value, Some(name)) {
            Some(crate::model::Arg::Secret(name)) => Some(Given::Secret(name.into())),
            _ => walk.plain(value, "headers").map(|text| Given::Text(text.into())),
        };
        headers.extend(given.map(|given| (name.into(), given)));
    }
    let ca = with.get("ca").and_then(|node| walk.plain(node, "ca")).map(Arc::from);
    Access { headers, ca }
}
