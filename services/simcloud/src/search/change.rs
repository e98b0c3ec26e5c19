//! What clients change: judged by the master against what is, without clock and network.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    allocate,
    documents::{Operation, Written},
    errors::Refused,
    member::{Decision, Kept},
    model::{Cluster, Exclusion, Index, millis},
    settings::{self, Patch},
};

/// Exclusions from voting that may stand at the same time.
const EXCLUSIONS_MAX: usize = 10;
/// Shards of an index.
const SHARDS_MAX: usize = 64;

/// What a client wants.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Put { index: String, id: String, source: Value, create: bool },
    Delete { index: String, id: String },
    MakeIndex { name: String, settings: BTreeMap<String, String>, mappings: Value },
    DropIndex { name: String },
    IndexSettings { name: String, patch: Patch },
    Settings { persistent: Patch, transient: Patch },
    Exclude { names: Vec<String>, ids: Vec<String> },
    ForgetExclusions,
}

impl Change {
    /// Whether doing it twice is the same as doing it once, also to whoever is told.
    pub fn repeatable(&self) -> bool {
        match self {
            Self::Put { create, .. } => !create,
            Self::Delete { .. } | Self::MakeIndex { .. } | Self::DropIndex { .. } => false,
            Self::IndexSettings { .. }
            | Self::Settings { .. }
            | Self::Exclude { .. }
            | Self::ForgetExclusions => true,
        }
    }
}

/// What is to be done for it.
#[derive(Debug)]
pub enum Step {
    Decide(Decision),
    /// First its index.
    First(Change),
    /// Nothing: it is so already.
    Nothing,
    /// Not yet; should it not come to that, this is the answer.
    Wait(Refused),
}

/// Judges a change. `fresh` makes a new id.
pub fn step(change: &Change, kept: &Kept, now: i64, fresh: impl Fn() -> String) -> Result<Step, Refused> {
    let mut next = kept.cluster.clone();
    match change {
        Change::Put { index, id, source, create } => {
            if *create && kept.documents.get(index, id).is_some() {
                return Err(Refused::version_conflict(index, id));
            }
            return Ok(write(&kept.cluster, index, id, Some(source.clone())));
        }
        Change::Delete { index, id } => {
            if !next.indices.contains_key(index) {
                return Err(Refused::index_not_found(index));
            }
            return Ok(write(&kept.cluster, index, id, None));
        }
        Change::MakeIndex { name, settings, mappings } => {
            make_index(&mut next, name, settings, mappings, now, fresh())?;
        }
        Change::DropIndex { name } => {
            next.indices.remove(name).ok_or_else(|| Refused::index_not_found(name))?;
        }
        Change::IndexSettings { name, patch } => {
            let index = next.indices.get_mut(name).ok_or_else(|| Refused::index_not_found(name))?;
            settings::apply(&mut index.settings, patch);
            check_index(&index.settings)?;
            allocate::resize(index, now);
        }
        Change::Settings { persistent, transient } => {
            settings::known(persistent.keys().chain(transient.keys()))?;
            settings::apply(&mut next.persistent, persistent);
            settings::apply(&mut next.transient, transient);
        }
        Change::Exclude { names, ids } => exclude(&mut next, names, ids)?,
        Change::ForgetExclusions => next.exclusions.clear(),
    }
    Ok(if next == kept.cluster { Step::Nothing } else { Step::Decide(Decision::Cluster(Box::new(next))) })
}

fn write(cluster: &Cluster, index: &str, id: &str, source: Option<Value>) -> Step {
    match cluster.indices.get(index) {
        None => {
            let (settings, mappings) = (BTreeMap::new(), json!({}));
            Step::First(Change::MakeIndex { name: index.to_owned(), settings, mappings })
        }
        Some(there) if there.shards[shard_of(there, id)].copies[0].active().is_none() => {
            Step::Wait(Refused::primary_not_active(index))
        }
        Some(_) => {
            let operation = Operation { index: index.to_owned(), id: id.to_owned(), source };
            Step::Decide(Decision::Document(operation))
        }
    }
}

/// The shard that a document belongs to.
pub fn shard_of(index: &Index, id: &str) -> usize {
    let sum = id.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    sum % index.shards.len().max(1)
}

fn make_index(
    next: &mut Cluster,
    name: &str,
    settings: &BTreeMap<String, String>,
    mappings: &Value,
    now: i64,
    uuid: String,
) -> Result<(), Refused> {
    let wrong = name.starts_with(['_', '-', '+'])
        || name.contains(|c: char| c.is_uppercase() || "\\/*?\"<>| ,#".contains(c));
    if name.is_empty() || wrong {
        return Err(Refused::invalid_index_name(name));
    }
    if next.indices.contains_key(name) {
        return Err(Refused::index_exists(name));
    }
    let mut settings = settings.clone();
    for (key, value) in [("index.number_of_shards", "1"), ("index.number_of_replicas", "1")] {
        settings.entry(key.into()).or_insert_with(|| value.into());
    }
    check_index(&settings)?;
    let shards = settings["index.number_of_shards"].parse().unwrap_or(1);
    let mut index = Index { uuid, created: now, settings, mappings: mappings.clone(), shards: Vec::new() };
    allocate::make(next, &mut index, shards, now);
    next.indices.insert(name.to_owned(), index);
    Ok(())
}

/// Settings that have a meaning here must have one.
fn check_index(settings: &BTreeMap<String, String>) -> Result<(), Refused> {
    let number = |key: &str, least: usize, most: usize| match settings.get(key).map(|text| text.parse()) {
        Some(Ok(number)) if (least..=most).contains(&number) => Ok(()),
        None => Ok(()),
        Some(_) => {
            Err(Refused::argument(&format!("Failed to parse value [{}] for setting [{key}]", settings[key])))
        }
    };
    number("index.number_of_shards", 1, SHARDS_MAX)?;
    number("index.number_of_replicas", 0, usize::MAX)?;
    let key = "index.unassigned.node_left.delayed_timeout";
    match settings.get(key) {
        Some(text) if millis(text).is_none() => Err(Refused::argument(&format!(
            "failed to parse setting [{key}] with value [{text}] as a time value"
        ))),
        _ => Ok(()),
    }
}

fn exclude(next: &mut Cluster, names: &[String], ids: &[String]) -> Result<(), Refused> {
    const ABSENT: &str = "_absent_";
    if names.is_empty() == ids.is_empty() {
        return Err(Refused::argument("You must set [node_names] or [node_ids] but not both"));
    }
    let by_name = names.iter().map(|name| {
        let there = next.nodes.values().find(|peer| peer.name == *name);
        let node_id = there.map_or_else(|| ABSENT.to_owned(), |peer| peer.id.0.clone());
        Exclusion { node_id, node_name: name.clone() }
    });
    let by_id = ids.iter().map(|id| {
        let there = next.nodes.values().find(|peer| peer.id.0 == *id);
        let node_name = there.map_or_else(|| ABSENT.to_owned(), |peer| peer.name.clone());
        Exclusion { node_id: id.clone(), node_name }
    });
    for exclusion in by_name.chain(by_id).collect::<Vec<_>>() {
        if !next.exclusions.contains(&exclusion) {
            next.exclusions.push(exclusion);
        }
    }
    if next.exclusions.len() > EXCLUSIONS_MAX {
        return Err(Refused::argument(
            "add voting config exclusions request would exceed the maximum of [10]",
        ));
    }
    Ok(())
}

/// What the client hears when it is done, with its status.
pub fn reply(change: &Change, written: Option<Written>, kept: &Kept) -> (u16, Value) {
    match change {
        Change::Put { index, id, .. } | Change::Delete { index, id } => {
            written.map_or((500, Value::Null), |written| document(change, index, id, written, kept))
        }
        Change::MakeIndex { name, .. } => {
            (200, json!({"acknowledged": true, "shards_acknowledged": true, "index": name}))
        }
        Change::Settings { persistent, transient } => {
            let part = |patch: &Patch| settings::nested(&settings::set(patch));
            let (persistent, transient) = (part(persistent), part(transient));
            (200, json!({"acknowledged": true, "persistent": persistent, "transient": transient}))
        }
        Change::DropIndex { .. } | Change::IndexSettings { .. } => (200, json!({"acknowledged": true})),
        // An empty body, as those two have.
        Change::Exclude { .. } | Change::ForgetExclusions => (200, Value::Null),
    }
}

fn document(change: &Change, index: &str, id: &str, written: Written, kept: &Kept) -> (u16, Value) {
    let deleted = matches!(change, Change::Delete { .. });
    let (status, result) = match (deleted, written.existed) {
        (false, false) => (201, "created"),
        (false, true) => (200, "updated"),
        (true, true) => (200, "deleted"),
        (true, false) => (404, "not_found"),
    };
    let copies = kept.cluster.indices.get(index).map(|there| &there.shards[shard_of(there, id)].copies);
    let successful = copies.map_or(0, |copies| copies.iter().filter(|copy| copy.active().is_some()).count());
    let shards = json!({"total": copies.map_or(0, Vec::len), "successful": successful, "failed": 0});
    let Written { version, seq, .. } = written;
    let body = json!({"_index": index, "_id": id, "_version": version, "result": result, "_shards": shards,
        "_seq_no": seq, "_primary_term": kept.at.term});
    (status, body)
}
