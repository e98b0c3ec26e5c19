//! The effect log: what was really done, a line of JSON each, in the order in which it was done. Drills are judged by it.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;
use regreen_kit::clock;
use serde_json::json;

/// The log.
pub struct Effects(Mutex<File>);

impl Effects {
    /// Goes on with the file, or begins it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(path);
        Ok(Self(Mutex::new(file.with_context(|| format!("can't write {}", path.display()))?)))
    }

    /// Writes what happens to a droplet, before it does. `by`: the request that wanted it. Without its log the
    /// simulation proves nothing: it ends.
    pub fn happen(&self, what: &str, droplet: u64, name: &str, by: Option<&str>) {
        let line = json!({"at": clock::wall(), "what": what, "droplet": droplet, "name": name, "by": by});
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writeln!(file, "{line}") {
            tracing::error!("the effect log can't be written: {error}");
            std::process::exit(1);
        }
    }
}
