//! VIEW: what the engine shows to probes and people. Never read to decide.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CheckName, Span, Timestamp,
    check::Status,
    id::{Genesis, Vantage},
};

/// The list of checks that probes look at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Checks {
    /// Version of the wire.
    pub v: u32,
    /// The log that it reflects.
    #[serde(default)]
    pub genesis: Genesis,
    /// The record that it reflects: an older one of the same log never replaces it.
    #[serde(default)]
    pub seq: u64,
    /// Raised with every change of the list; looks name it. Changing `watched` does not raise it.
    pub version: u64,
    /// The checks, one for each member, ordered by name.
    pub checks: Vec<Check>,
    /// Checks that an open verify waits for: every look at them is sent.
    pub watched: Vec<CheckName>,
}

/// How to look at one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Its name with member.
    pub name: CheckName,
    /// What to do.
    pub kind: Kind,
    /// Time between two looks; the probe adds jitter.
    pub interval: Span,
    /// Longest wait for an answer.
    pub timeout: Span,
    /// Failures in a row that make it down.
    pub fall: u32,
    /// Successes in a row that make it up.
    pub rise: u32,
    /// A status older than this is unknown.
    pub fresh: Span,
    /// The configured vantages.
    pub vantages: Vec<Vantage>,
    /// How many of them must agree.
    pub quorum: u32,
    /// The measured number is a blemish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<Bound>,
    /// The measured number is a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Bound>,
    /// Whether `GET /health/{check}` answers for it, and what it says of unknown. Not exposed: 404.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose: Option<OnUnknown>,
}

/// A bound of a measured number; the bound itself is still well.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Beyond this it is not well.
    Above(f64),
    /// Short of this it is not well.
    Below(f64),
}

impl Bound {
    /// Whether the number is on the wrong side.
    #[must_use]
    pub fn passed(self, value: f64) -> bool {
        match self {
            Self::Above(bound) => value > bound,
            Self::Below(bound) => value < bound,
        }
    }
}

/// What an exposed check answers while nobody can say how it is: an engine that is down must not end a fleet, and a
/// balancer must not send traffic into the dark. Only its owner knows which is worse, so there is no default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// 200.
    Pass,
    /// 503.
    Fail,
}

/// Kind of a check with what it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// GET, and judge the answer.
    Http(Http),
    /// Connect, and close. Its number: milliseconds until connected.
    Tcp {
        /// `host:port`.
        address: Arc<str>,
    },
    /// A TLS handshake with a certificate that is trusted and is for that name. Its number: days until it expires.
    Tls {
        /// `host:port`.
        address: Arc<str>,
        /// The name to ask for; the address's host unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server_name: Option<Arc<str>>,
        /// Name of the CA in the probe's configuration; the system's CAs unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<Arc<str>>,
    },
    /// Ask a name server. Its number: how many records of the type came.
    Dns {
        /// The name.
        name: Arc<str>,
        /// Type of the records.
        record: DnsRecord,
        /// `host:port` of the server; the system's unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<Arc<str>>,
        /// These must all be among the answers, as in a zone file; any answer will do when empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        expect: Vec<Arc<str>>,
    },
    /// Elasticsearch or OpenSearch.
    Elasticsearch(Search),
    /// A server's state by HAProxy's runtime API (`show stat`). Its number: sessions now.
    Haproxy {
        /// `host:port`, or a path of a socket.
        address: Arc<str>,
        /// The backend.
        backend: Arc<str>,
        /// The server; the backend as a whole unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<Arc<str>>,
    },
    /// A query whose answer is one number. No answer is unknown, never a number.
    Prometheus {
        /// Of the server.
        url: Arc<str>,
        /// PromQL.
        query: Arc<str>,
        /// How to get in.
        #[serde(default)]
        access: Access,
    },
    /// Silences of an Alertmanager: an active one that matches these labels makes it degraded.
    Silences {
        /// Of the Alertmanager.
        url: Arc<str>,
        /// The labels that an alert would have.
        labels: BTreeMap<Arc<str>, Arc<str>>,
        /// How to get in.
        #[serde(default)]
        access: Access,
    },
    /// No look of its own: joined from the verdicts of others by the engine.
    Of {
        /// How they are joined.
        join: Join,
        /// The others.
        checks: Vec<CheckName>,
    },
}

/// What an HTTP check asks and expects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Http {
    /// Where.
    pub url: Arc<str>,
    /// Accepted statuses; 200 to 299 when empty.
    #[serde(default)]
    pub accept: Vec<u16>,
    /// JSON Pointer (RFC 6901) to the value that must stand there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<Arc<str>, serde_json::Value>,
    /// Headers that the answer must have, with their value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<Arc<str>, Arc<str>>,
    /// Which number it measures.
    #[serde(default)]
    pub measure: HttpMeasure,
    /// How to get in.
    #[serde(default)]
    pub access: Access,
}

/// Which number an HTTP look yields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HttpMeasure {
    /// Milliseconds until the answer's head.
    #[default]
    Latency,
    /// Days until the server's certificate expires.
    TlsDays,
    /// The number at this JSON Pointer (RFC 6901).
    Value(Arc<str>),
}

/// How a look gets in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Access {
    /// Headers of the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<Arc<str>, Given>,
    /// Name of the CA in the probe's configuration; the system's CAs unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Arc<str>>,
}

/// A value, or where it is kept: a secret is only ever a reference here (rule 28).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// As it is.
    Text(Arc<str>),
    /// Name of the secret in the probe's configuration.
    Secret(Arc<str>),
}

/// Types of DNS records that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "RFC 1035 and its successors say what they are")]
pub enum DnsRecord {
    A,
    Aaaa,
    Cname,
    Mx,
    Ns,
    Srv,
    Txt,
}

/// What is asked of a search cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Search {
    /// URLs of all the group's nodes, by the node's name.
    pub nodes: BTreeMap<Arc<str>, Arc<str>>,
    /// The node that this is about; the cluster unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Arc<str>>,
    /// What is looked at.
    pub measure: SearchMeasure,
    /// How to get in.
    #[serde(default)]
    pub access: Access,
}

/// What a look at a search cluster measures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchMeasure {
    /// `_cluster/health`: green, yellow, red. Its number: unassigned shards.
    Health,
    /// Whether the node answers and sees the same cluster as its peers. Its number: nodes that it sees.
    Node,
    /// Its number: voting nodes that are there, beyond the majority that is needed.
    QuorumMargin,
    /// Its number: operations that the follower index is behind.
    CcrLag {
        /// The follower.
        index: Arc<str>,
    },
    /// Its number: seconds since the end of the newest successful snapshot.
    SnapshotAge {
        /// The repository.
        repository: Arc<str>,
    },
    /// Its number: seconds since the newest document.
    Canary {
        /// The index.
        index: Arc<str>,
        /// The field that holds the document's time.
        field: Arc<str>,
    },
    /// Its number: milliseconds an indexing operation took, on average since the look before.
    IndexingLatency,
}

/// How verdicts are joined into one. Unknown is never taken for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// As bad as the worst.
    All,
    /// As good as the best.
    Any,
    /// Its number: the percentage of them that are up.
    Share,
}

/// A check's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Version of the wire.
    pub v: u32,
    /// The log that it reflects.
    #[serde(default)]
    pub genesis: Genesis,
    /// The record that it reflects: an older one of the same log never replaces it.
    #[serde(default)]
    pub seq: u64,
    /// Joined by quorum.
    pub status: Status,
    /// What a vantage that agrees with it saw, for people.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Arc<str>,
    /// Since when it has been so.
    pub since: Timestamp,
    /// When it was written: it is written anew while the engine stands by it.
    pub as_of: Timestamp,
    /// After this it says nothing.
    pub expires: Timestamp,
}

/// Services of the inventory: where they are served from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Services {
    /// Version of the wire.
    pub v: u32,
    /// The log that it reflects.
    #[serde(default)]
    pub genesis: Genesis,
    /// The record that it reflects: an older one of the same log never replaces it.
    #[serde(default)]
    pub seq: u64,
    /// By name: the sides, the active one first.
    pub services: BTreeMap<Arc<str>, Vec<Side>>,
}

/// A group that can serve a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// The group.
    pub group: Arc<str>,
    /// Its nodes, ordered by name.
    pub nodes: Vec<Endpoint>,
}

/// A node of a side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// Its name.
    pub node: Arc<str>,
    /// Where it answers, as the inventory has it.
    pub address: Arc<str>,
    /// The check that says whether it is healthy, where its group has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<CheckName>,
}
