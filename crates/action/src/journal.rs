//! The result journal: an outcome stays here until FACTS has it (rule 18). It outlives the process, not the power:
//! after a power loss the outcome is unknown and is looked up, which is right but slower.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Seek as _, Write as _},
    path::Path,
    sync::{Arc, Mutex},
};

use regreen_schemas::fact::Outcome;
use serde::{Deserialize, Serialize};

/// Size beyond which a journal without open outcomes is emptied.
const EMPTY_AT: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Outcome(u64, Outcome),
    Stored(u64),
}

/// An open journal.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    next: u64,
    open: u64,
}

impl Journal {
    /// Opens the journal; returns what an earlier process could not store.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn open(path: &Path) -> std::io::Result<(Self, Vec<Outcome>)> {
        let mut file = File::options().create(true).read(true).append(true).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let mut open = BTreeMap::new();
        for line in text.lines() {
            match serde_json::from_str(line) {
                Ok(Line::Outcome(n, outcome)) => drop(open.insert(n, outcome)),
                Ok(Line::Stored(n)) => drop(open.remove(&n)),
                // The process died in the middle of its last line: that outcome is unknown, and will be looked up.
                Err(error) => tracing::warn!(%error, "a line of the journal is torn"),
            }
        }
        file.set_len(0)?;
        let this = Self { inner: Arc::new(Mutex::new(Inner { file, next: 0, open: 0 })) };
        Ok((this, open.into_values().collect()))
    }

    /// Keeps an outcome.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn keep(&self, outcome: &Outcome) -> std::io::Result<u64> {
        let mut inner = self.inner.lock().expect("invariant: nobody panics with the file in hand");
        inner.next += 1;
        let n = inner.next;
        inner.line(&Line::Outcome(n, outcome.clone()))?;
        inner.open += 1;
        Ok(n)
    }

    /// FACTS has it.
    pub fn stored(&self, n: u64) {
        let mut inner = self.inner.lock().expect("invariant: nobody panics with the file in hand");
        inner.open -= 1;
        let empty = inner.open == 0 && inner.file.stream_position().is_ok_and(|size| size > EMPTY_AT);
        let done = if empty { inner.file.set_len(0) } else { inner.line(&Line::Stored(n)) };
        if let Err(error) = done {
            // The outcome would be stored twice after a restart, which readers stand.
            tracing::warn!(%error, "the journal can't be written");
        }
    }
}

impl Inner {
    fn line(&mut self, line: &Line) -> std::io::Result<()> {
        let mut bytes = serde_json::to_vec(line).expect("invariant: wire types are plain data");
        bytes.push(b'\n');
        self.file.write_all(&bytes)
    }
}
