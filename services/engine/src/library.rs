//! Sets of files: read from disk, stored as bodies, compiled once, kept while anything pins them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use regreen_bus::{
    Bus,
    bodies::{self, BODY_BYTES_MAX},
};
use regreen_decider::{Library, State};
use regreen_playbook::{Findings, Set, diagnostic::Source, load};
use regreen_schemas::{
    SetHash,
    fact::{self, SetFile},
    hash::sha256_hex,
};

/// Pause between two tries to read a body.
const BODY_PAUSE: Duration = Duration::from_millis(200);
/// Most files of a set.
const FILES_MAX: usize = 5_000;

/// A file of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path, as it is shown.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Why a set is not at hand.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder can't be read.
    #[error("{path} can't be read")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Too many.
    #[error("more than {FILES_MAX} files")]
    TooMany,
    /// A file is larger than a body may be.
    #[error("{path} has {bytes} bytes, more than the {BODY_BYTES_MAX} that a file of a set may have")]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// How many.
        bytes: usize,
    },
    /// Bodies are not stored.
    #[error("the set's files are not in BODIES")]
    Store(#[source] bodies::Error),
    /// A body is missing.
    #[error("the body of {path} is not in BODIES")]
    Body {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: bodies::Error,
    },
    /// This build refuses what an earlier one took.
    #[error("the set {hash} does not pass this release's check:\n{findings}")]
    Refused {
        /// The set.
        hash: SetHash,
        /// What was found.
        findings: String,
    },
}

/// All `.yaml`, `.yml` and `.hbs` files at these paths, folders included, in order of their paths.
///
/// # Errors
/// [`Error`] names the path.
pub fn read(paths: &[PathBuf]) -> Result<Vec<File>, Error> {
    list(paths)?
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path)
                .map_err(|source| Error::Read { path: path.clone(), source })?;
            if text.len() > BODY_BYTES_MAX {
                return Err(Error::TooLarge { path, bytes: text.len() });
            }
            Ok(File { path: path.display().to_string(), text })
        })
        .collect()
}

/// The files of a set, ordered by path.
///
/// # Errors
/// [`Error`] names the path.
pub fn list(paths: &[PathBuf]) -> Result<BTreeSet<PathBuf>, Error> {
    let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for path in paths {
        walk(path, &mut found, &mut seen)?;
    }
    Ok(found)
}

/// Each real folder is read once: a link back to one that is above it, or was given twice, leads nowhere.
fn walk(path: &Path, found: &mut BTreeSet<PathBuf>, seen: &mut BTreeSet<PathBuf>) -> Result<(), Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        found.insert(path.to_owned());
        return Ok(());
    }
    if !seen.insert(std::fs::canonicalize(path).map_err(unreadable)?) {
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?.path();
        let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && (entry.is_dir() || belongs(&entry)) {
            walk(&entry, found, seen)?;
        }
        if found.len() > FILES_MAX {
            return Err(Error::TooMany);
        }
    }
    Ok(())
}

/// Whether a file in a folder is one of the set.
fn belongs(file: &Path) -> bool {
    let known =
        file.extension().is_some_and(|extension| ["yaml", "yml", "hbs"].iter().any(|k| extension == *k));
    // Tests stand beside playbooks; they are no part of the set.
    let test = file.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with(".test"));
    known && !test
}

/// Checks files.
#[must_use]
pub fn compile(files: &[File]) -> (Option<Set>, Findings) {
    load(files.iter().map(|file| Source { path: file.path.clone(), text: file.text.clone() }).collect())
}

/// The fact that brings files in force.
#[must_use]
pub fn set_of(files: &[File]) -> fact::Set {
    let files = files.iter().map(|file| SetFile {
        path: file.path.as_str().into(),
        hash: sha256_hex(file.text.as_bytes()).into(),
    });
    fact::Set { files: files.collect() }
}

/// Stores the files' bodies; only then may a fact name them.
///
/// # Errors
/// [`Error::Store`].
pub async fn store(bus: &Bus, files: &[File]) -> Result<(), Error> {
    let bodies = files.iter().map(|file| Bytes::copy_from_slice(file.text.as_bytes()));
    bodies::put(bus, bodies.collect()).await.map_err(Error::Store)
}

/// Makes sure that a set is at hand.
///
/// # Errors
/// [`Error`]: the engine freezes rather than guess.
pub async fn bring(bus: &Bus, library: &mut Library, set: &fact::Set) -> Result<(), Error> {
    let hash = set.hash();
    if library.sets.contains_key(&hash) {
        return Ok(());
    }
    let mut files = Vec::with_capacity(set.files.len());
    for file in &set.files {
        let bytes = bodies::get(bus, &file.hash)
            .await
            .map_err(|source| Error::Body { path: file.path.to_string(), source })?;
        files.push(File { path: file.path.to_string(), text: String::from_utf8_lossy(&bytes).into_owned() });
    }
    let (compiled, findings) = compile(&files);
    let compiled =
        compiled.ok_or_else(|| Error::Refused { hash: hash.clone(), findings: findings.render(false) })?;
    library.sets.insert(hash, Arc::new(compiled));
    Ok(())
}

/// As [`bring`]; waits while the server does not answer, for that says nothing about the set.
///
/// # Errors
/// [`Error`], when it is sure.
pub async fn bring_in_time(bus: &Bus, library: &mut Library, set: &fact::Set) -> Result<(), Error> {
    loop {
        match bring(bus, library, set).await {
            Err(Error::Body { path, source: source @ bodies::Error::Bucket(_) }) => {
                tracing::warn!(path, error = %source, "a body can't be read yet");
                tokio::time::sleep(BODY_PAUSE).await;
            }
            brought => return brought,
        }
    }
}

/// Lets go of sets that neither are in force nor pinned.
pub fn prune(library: &mut Library, state: &State) {
    if library.sets.len() <= 1 {
        return;
    }
    let pinned = pinned(state);
    library.sets.retain(|hash, _| pinned.contains(hash));
}

/// The sets that are in force or that an open run pins.
#[must_use]
pub fn pinned(state: &State) -> BTreeSet<SetHash> {
    let runs = state.runs.values().map(|run| run.set.clone());
    runs.chain(state.set.iter().map(|(hash, _)| hash.clone())).collect()
}
