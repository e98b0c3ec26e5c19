//! The documents of a node: every member has all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::At;

/// A document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Counts its changes.
    pub version: u64,
    /// Counts the changes of its index.
    pub seq: u64,
    /// Of the master who took it.
    pub term: u64,
    pub source: Value,
}

/// What happens to a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    pub index: String,
    pub id: String,
    /// None: it is deleted.
    pub source: Option<Value>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub version: u64,
    pub seq: u64,
    /// Whether there was one before.
    pub existed: bool,
}

/// All documents, by index and id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Documents {
    indices: BTreeMap<String, Held>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Held {
    next: u64,
    documents: BTreeMap<String, Document>,
}

impl Documents {
    /// Lets it happen.
    pub fn apply(&mut self, operation: Operation, at: At) -> Written {
        let held = self.indices.entry(operation.index).or_default();
        let seq = held.next;
        held.next += 1;
        let before = held.documents.get(&operation.id).map(|document| document.version);
        let version = before.unwrap_or(0) + 1;
        match operation.source {
            Some(source) => {
                held.documents.insert(operation.id, Document { version, seq, term: at.term, source });
            }
            None => {
                held.documents.remove(&operation.id);
            }
        }
        Written { version, seq, existed: before.is_some() }
    }

    /// One document.
    pub fn get(&self, index: &str, id: &str) -> Option<&Document> {
        self.indices.get(index)?.documents.get(id)
    }

    /// Those of an index, by id.
    pub fn of(&self, index: &str) -> impl Iterator<Item = (&String, &Document)> {
        self.indices.get(index).into_iter().flat_map(|held| &held.documents)
    }

    /// How many changes an index has seen.
    pub fn changes(&self, index: &str) -> u64 {
        self.indices.get(index).map_or(0, |held| held.next)
    }

    /// Forgets indices that are no more.
    pub fn keep(&mut self, there: impl Fn(&str) -> bool) {
        self.indices.retain(|name, _| there(name));
    }
}
