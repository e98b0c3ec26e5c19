//! SNAP: snapshots of the state, each a body and, last, its manifest. What can't be read whole is not there: the one
//! before is as good, only older (rule 26).

use std::collections::BTreeSet;

use async_nats::jetstream::object_store::{GetErrorKind, ObjectStore};
use futures::StreamExt;
use regreen_schemas::{
    hash::sha256_hex,
    snapshot::{Manifest, SNAPSHOT_FORMAT},
};
use tokio::io::AsyncReadExt;

use crate::connect::Bus;

/// Why a snapshot is not at hand.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket does not answer.
    #[error("SNAP: {0}")]
    Bucket(String),
    /// It is not whole, or not of this build.
    #[error("snapshot {seq}: {why}")]
    Unreadable {
        /// The record that it reflects.
        seq: u64,
        /// Why.
        why: String,
    },
}

fn bucket(error: impl std::fmt::Display) -> Error {
    Error::Bucket(error.to_string())
}

async fn store(bus: &Bus) -> Result<ObjectStore, Error> {
    bus.js.get_object_store(bus.names.snapshots()).await.map_err(bucket)
}

fn body_name(seq: u64) -> String {
    format!("{seq:020}.state")
}

fn manifest_name(seq: u64) -> String {
    format!("{seq:020}.manifest")
}

/// Chunks of objects that are no more, or never were whole, are removed: a put that fails leaves its own behind.
///
/// # Errors
/// [`Error::Bucket`].
pub async fn sweep(bus: &Bus) -> Result<(), Error> {
    let mut objects = store(bus).await?.list().await.map_err(bucket)?;
    let mut known = BTreeSet::new();
    while let Some(info) = objects.next().await {
        known.insert(info.map_err(bucket)?.nuid);
    }
    let prefix = format!("$O.{}.C.", bus.names.snapshots());
    let name = format!("OBJ_{}", bus.names.snapshots());
    let stream = bus.js.get_stream_no_info(&name).await.map_err(bucket)?;
    let mut subjects = stream.info_with_subjects(format!("{prefix}>")).await.map_err(bucket)?;
    while let Some(subject) = subjects.next().await {
        let (subject, _) = subject.map_err(bucket)?;
        if subject.strip_prefix(&prefix).is_some_and(|nuid| !known.contains(nuid)) {
            stream.purge().filter(&subject).await.map_err(bucket)?;
        }
    }
    Ok(())
}

/// Stores a snapshot: the body first.
///
/// # Errors
/// [`Error::Bucket`]; the snapshot is not there then.
pub async fn put(bus: &Bus, manifest: &Manifest, body: &[u8]) -> Result<(), Error> {
    let store = store(bus).await?;
    let text = serde_json::to_vec(manifest).expect("invariant: wire types are plain data");
    for (name, mut bytes) in
        [(body_name(manifest.decision_seq), body), (manifest_name(manifest.decision_seq), text.as_slice())]
    {
        store.put(name.as_str(), &mut bytes).await.map_err(bucket)?;
    }
    Ok(())
}

/// The records that snapshots reflect, newest first.
///
/// # Errors
/// [`Error::Bucket`].
pub async fn list(bus: &Bus) -> Result<Vec<u64>, Error> {
    let mut names = store(bus).await?.list().await.map_err(bucket)?;
    let mut found = Vec::new();
    while let Some(info) = names.next().await {
        let name = info.map_err(bucket)?.name;
        found.extend(name.strip_suffix(".manifest").and_then(|seq| seq.parse::<u64>().ok()));
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// A snapshot's manifest.
///
/// # Errors
/// [`Error::Unreadable`] when it is none, or of another format.
pub async fn manifest(bus: &Bus, seq: u64) -> Result<Manifest, Error> {
    let bytes = read(&store(bus).await?, seq, &manifest_name(seq)).await?;
    let unreadable = |why: String| Error::Unreadable { seq, why };
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if manifest.format != SNAPSHOT_FORMAT || manifest.decision_seq != seq {
        return Err(unreadable(format!(
            "it has format {} and reflects record {}; this build reads format {SNAPSHOT_FORMAT}",
            manifest.format, manifest.decision_seq
        )));
    }
    Ok(manifest)
}

/// A snapshot's body, as its manifest says.
///
/// # Errors
/// [`Error::Unreadable`] when it is another.
pub async fn body(bus: &Bus, manifest: &Manifest) -> Result<Vec<u8>, Error> {
    let seq = manifest.decision_seq;
    let bytes = read(&store(bus).await?, seq, &body_name(seq)).await?;
    if sha256_hex(&bytes) == *manifest.sha256 {
        Ok(bytes)
    } else {
        Err(Error::Unreadable { seq, why: "its body is not what its manifest says".into() })
    }
}

async fn read(store: &ObjectStore, seq: u64, name: &str) -> Result<Vec<u8>, Error> {
    let mut object = store.get(name).await.map_err(|error| match error.kind() {
        GetErrorKind::NotFound => Error::Unreadable { seq, why: format!("{name} is not there") },
        _ => bucket(error),
    })?;
    let mut bytes = Vec::new();
    // Its own digest is checked while it is read.
    let unreadable = |error: std::io::Error| Error::Unreadable { seq, why: error.to_string() };
    object.read_to_end(&mut bytes).await.map_err(unreadable)?;
    Ok(bytes)
}

/// Removes a snapshot: the manifest first, so that no half of it is found.
///
/// # Errors
/// [`Error::Bucket`].
pub async fn remove(bus: &Bus, seq: u64) -> Result<(), Error> {
    let store = store(bus).await?;
    for name in [manifest_name(seq), body_name(seq)] {
        store.delete(&name).await.map_err(bucket)?;
    }
    Ok(())
}
