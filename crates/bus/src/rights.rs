//! Who may say what: one table of users and subjects, from which the server's configuration is made (rule 3). A
//! service gets the least that it needs; the kind and source of a fact come from a subject that only its maker
//! may publish to.

use std::fmt::Write as _;

use nkeys::KeyPair;
use regreen_schemas::subject::{FactKind, Names};

use crate::connect::inbox_prefix;

/// Source of what people answer by Slack's buttons. Ingest may publish it; so no operator has this name.
pub const CLICKS: &str = "slack";
/// Source of sets that an engine read from its own files; no operator has this name either.
pub const LOADER: &str = "loader";

/// A user of the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Makes the streams; used by `init` alone.
    Admin,
    /// Takes webhooks in.
    Ingest,
    /// Looks from one vantage.
    Probe {
        /// Its vantage.
        vantage: String,
    },
    /// Decides.
    Engine,
    /// Trims what nobody needs any more; lives in the engine's process, and is no engine.
    Janitor,
    /// Acts.
    Runner {
        /// Its name.
        name: String,
    },
    /// Tells people.
    Notifier,
    /// A person with the CLI.
    Operator {
        /// Who.
        name: String,
    },
}

impl Role {
    /// The user's name on the server.
    #[must_use]
    pub fn user(&self) -> String {
        match self {
            Self::Admin => "admin".into(),
            Self::Ingest => "ingest".into(),
            Self::Probe { vantage } => format!("probe-{vantage}"),
            Self::Engine => "engine".into(),
            Self::Janitor => "janitor".into(),
            Self::Runner { name } => format!("runner-{name}"),
            Self::Notifier => "notifier".into(),
            Self::Operator { name } => format!("operator-{name}"),
        }
    }

    /// Subjects it may publish to; `None` means all.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one table, read from top to bottom")]
    pub fn publish(&self, names: &Names) -> Option<Vec<String>> {
        let api = |rest: &str| format!("$JS.API.{rest}");
        let follow = |stream: String| {
            vec![
                api(&format!("CONSUMER.CREATE.{stream}")),
                api(&format!("CONSUMER.CREATE.{stream}.>")),
                api(&format!("CONSUMER.MSG.NEXT.{stream}.>")),
                api(&format!("CONSUMER.INFO.{stream}.>")),
                api(&format!("CONSUMER.DELETE.{stream}.>")),
            ]
        };
        let read = |stream: String| {
            vec![api(&format!("STREAM.INFO.{stream}")), api(&format!("STREAM.MSG.GET.{stream}"))]
        };
        let view = format!("KV_{}", names.view());
        let bodies = format!("OBJ_{}", names.bodies());
        let snapshots = format!("OBJ_{}", names.snapshots());
        let read_objects = |stream: &String| {
            // Objects are read through a consumer with flow control, whose questions must be answered: else it stalls.
            let direct = vec![api(&format!("DIRECT.GET.{stream}.>")), format!("$JS.FC.{stream}.>")];
            [read(stream.clone()), follow(stream.clone()), direct].concat()
        };
        let read_view = || {
            [
                read(view.clone()),
                follow(view.clone()),
                vec![api(&format!("DIRECT.GET.{view}.>")), api(&format!("DIRECT.GET.{view}"))],
            ]
            .concat()
        };
        let take = || {
            let acks = format!("$JS.ACK.{}.>", names.commands());
            [follow(names.commands()), vec![acks]].concat()
        };
        let tickets = || [vec![names.all_tickets()], read(names.tickets())].concat();
        Some(match self {
            Self::Admin => return None,
            Self::Ingest => vec![
                names.facts_of(Some(FactKind::Alerts)),
                names.facts_of(Some(FactKind::Event)),
                // Clicks on Slack's buttons; who may answer is decided from the user that they name.
                names.fact(FactKind::Operator, CLICKS),
                names.dead_letter("ingest"),
                // How full it is (rule 25).
                api(&format!("STREAM.INFO.{}", names.facts())),
            ],
            Self::Probe { vantage } => [vec![names.fact(FactKind::Looks, vantage)], read_view()].concat(),
            Self::Engine => [
                vec![
                    names.decision(),
                    names.all_commands(),
                    names.all_stories(),
                    names.tick(),
                    names.facts_of(Some(FactKind::Engine)),
                    names.fact(FactKind::Set, LOADER),
                    names.dead_letter("engine"),
                    format!("$KV.{}.>", names.view()),
                    format!("$O.{}.>", names.bodies()),
                    format!("$O.{}.>", names.snapshots()),
                    api(&format!("STREAM.PURGE.{bodies}")),
                    api(&format!("STREAM.PURGE.{snapshots}")),
                ],
                tickets(),
                read_view(),
                read(names.facts()),
                read(names.decisions()),
                read(names.runs()),
                read(names.commands()),
                read(names.dead()),
                follow(names.facts()),
                follow(names.decisions()),
                follow(names.tickets()),
                read_objects(&bodies),
                read_objects(&snapshots),
            ]
            .concat(),
            Self::Janitor => {
                let purge = |stream: String| api(&format!("STREAM.PURGE.{stream}"));
                [
                    [names.facts(), names.decisions(), names.tickets()].map(purge).to_vec(),
                    // Snapshots that are not kept.
                    vec![format!("$O.{}.>", names.snapshots()), purge(snapshots.clone())],
                    read_objects(&snapshots),
                    // Whether they still are those that its numbers are of.
                    [names.facts(), names.tickets()]
                        .map(|stream| api(&format!("STREAM.INFO.{stream}")))
                        .to_vec(),
                    read(names.decisions()),
                    follow(names.decisions()),
                ]
                .concat()
            }
            Self::Runner { name } => [
                vec![names.fact(FactKind::Result, name), names.fact(FactKind::Serves, name)],
                tickets(),
                take(),
            ]
            .concat(),
            Self::Notifier => [
                vec![names.fact(FactKind::Result, "notifier"), names.fact(FactKind::Serves, "notifier")],
                tickets(),
                take(),
                read(names.decisions()),
                follow(names.decisions()),
            ]
            .concat(),
            Self::Operator { name } => [
                vec![
                    names.fact(FactKind::Operator, name),
                    // `regreen apply`: bodies are named by their hash, which every reader checks.
                    names.fact(FactKind::Set, name),
                    format!("$O.{}.>", names.bodies()),
                    format!("regreen.ticket.{}.stop.*", names.domain()),
                ],
                read_view(),
                read(names.facts()),
                read(names.decisions()),
                read(names.tickets()),
                read(names.runs()),
                read(names.commands()),
                read(names.dead()),
                follow(names.facts()),
                follow(names.decisions()),
                follow(names.tickets()),
                follow(names.runs()),
                follow(names.dead()),
                read_objects(&bodies),
                read_objects(&snapshots),
            ]
            .concat(),
        })
    }

    /// Subjects it may never publish to, though a wider right would allow them.
    #[must_use]
    pub fn deny(&self, names: &Names) -> Vec<String> {
        match self {
            // Only people pull the switch; a runner that could would hide its own mistakes behind it.
            Self::Runner { .. } | Self::Notifier | Self::Engine => {
                vec![format!("regreen.ticket.{}.stop.>", names.domain())]
            }
            _ => Vec::new(),
        }
    }

    /// Subjects it may listen to, beside its own inbox.
    #[must_use]
    pub fn subscribe(&self, names: &Names) -> Option<Vec<String>> {
        let inbox = format!("{}.>", inbox_prefix(&self.user()));
        Some(match self {
            Self::Admin => return None,
            Self::Ingest | Self::Janitor => vec![inbox],
            _ => vec![inbox, names.tick()],
        })
    }
}

/// A user with its key.
#[derive(Clone, Debug)]
pub struct User {
    /// Who.
    pub role: Role,
    /// Secret: goes to the service alone.
    pub seed: String,
    /// Public: goes into the server's configuration.
    pub public: String,
}

impl User {
    /// A user with a fresh nkey.
    #[must_use]
    pub fn new(role: Role) -> Self {
        let pair = KeyPair::new_user();
        let seed = pair.seed().expect("invariant: a fresh pair has its seed");
        Self { role, seed, public: pair.public_key() }
    }

    /// The user again, from its kept seed.
    #[must_use]
    pub fn from_seed(role: Role, seed: &str) -> Option<Self> {
        let public = KeyPair::from_seed(seed).ok()?.public_key();
        Some(Self { role, seed: seed.into(), public })
    }
}

/// Where a private server listens and keeps its data.
#[derive(Clone, Debug)]
pub struct Server {
    /// Loopback port; `-1` lets the server choose.
    pub port: i32,
    /// Directory of JetStream.
    pub store: String,
    /// File in which the server writes its ports, as it names them itself.
    pub ports_dir: String,
    /// Most bytes of file storage: well below the free disk, or a full disk makes timeouts instead of errors.
    pub max_file_store: u64,
}

/// The configuration of a private nats-server for these users. Durations are quoted: an unquoted `2m` is rejected and
/// the default used in its place.
#[must_use]
pub fn server_config(server: &Server, users: &[User], names: &Names) -> String {
    let Server { port, store, ports_dir, max_file_store } = server;
    format!(
        "# Written by regreen. Users and rights come from one table (crates/bus/src/rights.rs).\n\
         host: 127.0.0.1\nport: {port}\nports_file_dir: {ports_dir:?}\nmax_payload: 2MB\n\
         jetstream {{\n  store_dir: {store:?}\n  sync_interval: always\n  max_file_store: {max_file_store}\n  max_memory_store: 64MB\n}}\n{}",
        authorization(users, names)
    )
}

/// The part of a nats-server's configuration that says who may do what.
#[must_use]
pub fn authorization(users: &[User], names: &Names) -> String {
    let list = |subjects: &[String]| subjects.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(", ");
    let mut out = String::from("authorization {\n  users: [\n");
    for user in users {
        let _ = write!(out, "    # {}\n    {{ nkey: {}", user.role.user(), user.public);
        if let Some(publish) = user.role.publish(names) {
            let deny = user.role.deny(names);
            let subscribe = user.role.subscribe(names).unwrap_or_default();
            let _ = write!(
                out,
                ", permissions: {{ publish: {{ allow: [{}], deny: [{}] }}, subscribe: {{ allow: [{}] }} }}",
                list(&publish),
                list(&deny),
                list(&subscribe)
            );
        }
        out.push_str(" }\n");
    }
    out.push_str("  ]\n}\n");
    out
}
