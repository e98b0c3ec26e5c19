//! The streams of a domain: what `init` makes and every start compares (rules 1 and 2). A stream that drifted is
//! reported with the difference, not changed: somebody did that on purpose, or it is a mistake; both want a human.

use std::time::Duration;

use async_nats::jetstream::{
    kv, object_store,
    stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType},
};
use bytes::Bytes;
use regreen_schemas::{
    Timestamp, WIRE_VERSION,
    event::{Event, Streams},
    hash::h,
    id::{Genesis, Nonce},
    record::{Cause, Cursor, FORMAT, Item, Record},
    subject::Names,
};

use crate::{
    connect::Bus,
    log::{Log, Tail},
    nats::missing_or,
    port, reader,
};

/// Age after which a command is gone; long past any `claim_by`.
const COMMANDS_AGE: Duration = Duration::from_hours(1);
/// Age after which a dead letter is gone.
const DEAD_AGE: Duration = Duration::from_hours(24 * 30);
/// Dedup window of FACTS and COMMANDS.
const DEDUP: Duration = Duration::from_mins(2);

/// How large the streams may grow, and how many copies are kept.
#[derive(Clone, Copy, Debug)]
pub struct Sizing {
    /// Copies: 1 on one machine, 3 in a cluster.
    pub replicas: usize,
    /// Bytes for all streams together; each has its share.
    pub bytes: i64,
}

/// Why the streams are not as they must be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refuses.
    #[error("stream {stream} can't be made or read: {why}")]
    Stream {
        /// Which.
        stream: String,
        /// The server's words.
        why: String,
    },
    /// `init` was not run, or something was deleted since.
    #[error("{stream} is missing: run `regreen init`, or find out who deleted it (rule 1)")]
    Missing {
        /// Which.
        stream: String,
    },
    /// There are facts and no log: deciding them again would repeat the past.
    #[error(
        "DECISIONS is empty but FACTS holds {facts} messages: the log was lost or deleted. Restore it, or start over with `regreen init --genesis-over-existing-facts`"
    )]
    FactsWithoutLog {
        /// How many.
        facts: u64,
    },
    /// The first record could not be written.
    #[error("the first record could not be written")]
    Genesis(#[source] crate::log::Error),
}

/// A setting that is not as `init` makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The stream.
    pub stream: String,
    /// The setting.
    pub setting: &'static str,
    /// What it must be.
    pub wanted: String,
    /// What it is.
    pub found: String,
}

/// The streams of a domain, as they are made.
#[must_use]
pub fn configs(names: &Names, sizing: Sizing) -> Vec<Config> {
    let share = |percent: i64| sizing.bytes / 100 * percent;
    let lasting = |name: String, subject: String, percent: i64| Config {
        name,
        subjects: vec![subject],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        max_bytes: share(percent),
        storage: StorageType::File,
        num_replicas: sizing.replicas,
        duplicate_window: DEDUP,
        allow_direct: false,
        deny_delete: true,
        ..Config::default()
    };
    // Async persistence is right for what can be found again, and refused by the server above one replica.
    let passing = |name: String, subject: String, percent: i64| Config {
        discard: DiscardPolicy::Old,
        deny_delete: false,
        persist_mode: (sizing.replicas == 1).then_some(PersistenceMode::Async),
        ..lasting(name, subject, percent)
    };
    vec![
        lasting(names.facts(), names.facts_of(None), 35),
        lasting(names.decisions(), names.decision(), 30),
        Config {
            max_messages_per_subject: 1,
            discard_new_per_subject: true,
            ..lasting(names.tickets(), names.all_tickets(), 10)
        },
        Config { max_age: COMMANDS_AGE, ..passing(names.commands(), names.all_commands(), 5) },
        Config { max_messages_per_subject: 1, ..passing(names.runs(), names.all_stories(), 8) },
        Config {
            max_age: DEAD_AGE,
            discard: DiscardPolicy::Old,
            ..lasting(names.dead(), names.all_dead(), 2)
        },
    ]
}

/// Creates what is missing of the domain, and `Genesis` as the first record. What is there is left as it is.
///
/// # Errors
/// [`Error`]; facts without a log need `genesis_over_facts`.
pub async fn init(bus: &Bus, sizing: Sizing, now: Timestamp, genesis_over_facts: bool) -> Result<(), Error> {
    let failed = |stream: &str, error: &dyn std::fmt::Display| Error::Stream {
        stream: stream.into(),
        why: error.to_string(),
    };
    let js = &bus.nats().js;
    // Asked before anything is made: a runner may say what it serves as soon as FACTS is there.
    let facts = match extent(bus, bus.names.facts()).await {
        Ok(extent) => extent.last,
        Err(Error::Missing { .. }) => 0,
        Err(error) => return Err(error),
    };
    for config in configs(&bus.names, sizing) {
        let name = config.name.clone();
        if let Err(error) = js.get_stream(&name).await {
            tracing::debug!(stream = name, %error, "creating");
            js.create_stream(config).await.map_err(|error| failed(&name, &error))?;
        }
    }
    let view = bus.names.view();
    if js.get_key_value(&view).await.is_err() {
        let config = kv::Config {
            bucket: view.clone(),
            max_bytes: sizing.bytes / 100,
            num_replicas: sizing.replicas,
            history: 1,
            ..kv::Config::default()
        };
        js.create_key_value(config).await.map_err(|error| failed(&view, &error))?;
    }
    for (bucket, max_bytes) in
        [(bus.names.bodies(), sizing.bytes / 100), (bus.names.snapshots(), sizing.bytes / 100 * 8)]
    {
        if js.get_object_store(&bucket).await.is_err() {
            let config = object_store::Config {
                bucket: bucket.clone(),
                max_bytes,
                num_replicas: sizing.replicas,
                ..object_store::Config::default()
            };
            js.create_object_store(config).await.map_err(|error| failed(&bucket, &error))?;
        }
    }
    genesis(bus, now, facts, genesis_over_facts).await
}

/// Writes the first record, unless there is one.
///
/// # Errors
/// As [`init`].
pub async fn genesis(bus: &Bus, now: Timestamp, facts: u64, over_facts: bool) -> Result<(), Error> {
    let log = extent(bus, bus.names.decisions()).await?;
    if log.last > 0 {
        return Ok(());
    }
    if facts > 0 && !over_facts {
        return Err(Error::FactsWithoutLog { facts });
    }
    let id = h(&[&bus.port.random().to_be_bytes(), &bus.port.random().to_be_bytes()]);
    let genesis = Event::Genesis { genesis: Genesis::from(id.clone()), domain: bus.names.domain().clone() };
    let record = Record {
        v: WIRE_VERSION,
        format: FORMAT,
        epoch: 0,
        owner: Nonce::from(id),
        n: 1,
        prev_hash: "".into(),
        items: vec![Item { cause: Cause::Log, now, events: vec![genesis] }],
        cursor: Cursor::after(facts),
        fact_hash: "".into(),
        stop_no: 1,
        trouble: None,
        hashed: false,
        state_hash: None,
        now,
    };
    let bytes = Bytes::from(serde_json::to_vec(&record).expect("invariant: wire types are plain data"));
    let mut log = Log::new(bus, Tail { seq: 0, hash: String::new() });
    log.append(bytes).await.map(|_| ()).map_err(Error::Genesis)
}

/// What an engine asks at its start: every stream is there and DECISIONS is not empty (rule 1).
///
/// # Errors
/// [`Error::Missing`] with the remedy.
pub async fn present(bus: &Bus) -> Result<(), Error> {
    for config in configs(&bus.names, Sizing { replicas: 1, bytes: 0 }) {
        extent(bus, config.name).await?;
    }
    let log = extent(bus, bus.names.decisions()).await?;
    if log.last == 0 {
        Err(Error::Missing { stream: format!("Genesis, the first record of {},", bus.names.decisions()) })
    } else {
        Ok(())
    }
}

/// When the streams that last were created.
///
/// # Errors
/// [`Error`] when one is missing or can't be asked.
pub async fn created(bus: &Bus) -> Result<Streams, Error> {
    let born = async |name: String| Ok::<_, Error>(extent(bus, name).await?.created);
    Ok(Streams {
        facts: born(bus.names.facts()).await?,
        decisions: born(bus.names.decisions()).await?,
        tickets: born(bus.names.tickets()).await?,
    })
}

/// What a stream of the domain is: first and last sequence, age, bytes.
///
/// # Errors
/// [`Error::Missing`] when there is no such stream.
pub async fn extent(bus: &Bus, name: String) -> Result<port::Info, Error> {
    bus.port.info(name.clone()).await.map_err(|error| failed(&name, error))
}

/// How much of its bound a stream fills: 0 to 100, and beyond where it has been made smaller.
///
/// # Errors
/// [`Error`] when it can't be asked.
pub async fn filled_percent(bus: &Bus, name: String) -> Result<u64, Error> {
    let info = extent(bus, name).await?;
    // Without a bound it is never full.
    let percent = info.bytes_max.and_then(|bound| info.bytes.saturating_mul(100).checked_div(bound));
    Ok(percent.unwrap_or(0))
}

/// Removes what a stream holds before a sequence, of one subject filter or of all. Never beyond its end: the server
/// would go on with that sequence, and what was expected in between would never come.
///
/// # Errors
/// [`Error`]; what is removed already stays so.
pub async fn trim(bus: &Bus, name: String, before: u64, filter: Option<String>) -> Result<u64, Error> {
    let before = before.min(extent(bus, name.clone()).await?.last + 1);
    bus.port.purge(name.clone(), before, filter).await.map_err(|error| failed(&name, error))
}

/// One message of a stream, asked of its leader.
///
/// # Errors
/// [`Error::Stream`] when it is not there or nobody answers.
pub async fn message(bus: &Bus, name: String, seq: u64) -> Result<reader::Stored, Error> {
    let found = bus.port.message(name.clone(), seq).await.map_err(|error| failed(&name, error))?;
    let gone = || Error::Stream { stream: name.clone(), why: format!("message {seq} is not there") };
    found.ok_or_else(gone)
}

fn failed(name: &str, error: port::Error) -> Error {
    match error {
        port::Error::Missing(stream) => Error::Missing { stream },
        error => Error::Stream { stream: name.into(), why: error.to_string() },
    }
}

/// Settings of the domain's streams that are not as `init` makes them. Sizes are the operator's choice and are
/// not compared.
///
/// # Errors
/// [`Error`] when a stream can't be read.
pub async fn drift(bus: &Bus, replicas: usize) -> Result<Vec<Drift>, Error> {
    let mut drifts = Vec::new();
    for wanted in configs(&bus.names, Sizing { replicas, bytes: 0 }) {
        let stream = bus.nats().js.get_stream(&wanted.name).await;
        let stream = stream.map_err(|error| failed(&wanted.name, missing_or(&wanted.name, &error)))?;
        differences(&wanted, &stream.cached_info().config, &mut drifts);
    }
    Ok(drifts)
}

fn differences(wanted: &Config, found: &Config, drifts: &mut Vec<Drift>) {
    let mut compare = |setting: &'static str, wanted_value: String, found_value: String| {
        if wanted_value != found_value {
            drifts.push(Drift {
                stream: wanted.name.clone(),
                setting,
                wanted: wanted_value,
                found: found_value,
            });
        }
    };
    compare("subjects", wanted.subjects.join(","), found.subjects.join(","));
    compare("retention", format!("{:?}", wanted.retention), format!("{:?}", found.retention));
    compare("discard", format!("{:?}", wanted.discard), format!("{:?}", found.discard));
    compare("storage", format!("{:?}", wanted.storage), format!("{:?}", found.storage));
    compare("max_age", format!("{:?}", wanted.max_age), format!("{:?}", found.max_age));
    compare("allow_direct", wanted.allow_direct.to_string(), found.allow_direct.to_string());
    compare("deny_delete", wanted.deny_delete.to_string(), found.deny_delete.to_string());
    compare(
        "discard_new_per_subject",
        wanted.discard_new_per_subject.to_string(),
        found.discard_new_per_subject.to_string(),
    );
    compare("persist_mode", format!("{:?}", wanted.persist_mode), format!("{:?}", found.persist_mode));
    let per_subject = |config: &Config| config.max_messages_per_subject.max(0).to_string();
    compare("max_messages_per_subject", per_subject(wanted), per_subject(found));
}
