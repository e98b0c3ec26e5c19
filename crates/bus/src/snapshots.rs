//! SNAP: snapshots of the state, each a body and, last, its manifest. What can't be read whole is not there: the one
//! before is as good, only older (rule 26).

use bytes::Bytes;
use regreen_schemas::{
    hash::sha256_hex,
    snapshot::{Manifest, SNAPSHOT_FORMAT},
};

use crate::{connect::Bus, port};

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
    bus.port.sweep(bus.names.snapshots()).await.map_err(bucket)
}

/// Stores a snapshot: the body first.
///
/// # Errors
/// [`Error::Bucket`]; the snapshot is not there then.
pub async fn put(bus: &Bus, manifest: &Manifest, body: Bytes) -> Result<(), Error> {
    let text = serde_json::to_vec(manifest).expect("invariant: wire types are plain data");
    let seq = manifest.decision_seq;
    for (name, bytes) in [(body_name(seq), body), (manifest_name(seq), text.into())] {
        bus.port.put(bus.names.snapshots(), name, bytes).await.map_err(bucket)?;
    }
    Ok(())
}

/// The records that snapshots reflect, newest first.
///
/// # Errors
/// [`Error::Bucket`].
pub async fn list(bus: &Bus) -> Result<Vec<u64>, Error> {
    let names = bus.port.list(bus.names.snapshots()).await.map_err(bucket)?;
    let seqs = names.iter().filter_map(|name| name.strip_suffix(".manifest")?.parse::<u64>().ok());
    let mut found: Vec<u64> = seqs.collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// A snapshot's manifest.
///
/// # Errors
/// [`Error::Unreadable`] when it is none, or of another format.
pub async fn manifest(bus: &Bus, seq: u64) -> Result<Manifest, Error> {
    let bytes = read(bus, seq, manifest_name(seq)).await?;
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
    let bytes = read(bus, seq, body_name(seq)).await?;
    if sha256_hex(&bytes) == *manifest.sha256 {
        Ok(bytes)
    } else {
        Err(Error::Unreadable { seq, why: "its body is not what its manifest says".into() })
    }
}

async fn read(bus: &Bus, seq: u64, name: String) -> Result<Vec<u8>, Error> {
    match bus.port.get(bus.names.snapshots(), name.clone()).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(Error::Unreadable { seq, why: format!("{name} is not there") }),
        Err(error @ port::Error::Damaged(_)) => Err(Error::Unreadable { seq, why: error.to_string() }),
        Err(error) => Err(bucket(error)),
    }
}

/// Removes a snapshot: the manifest first, so that no half of it is found.
///
/// # Errors
/// [`Error::Bucket`].
pub async fn remove(bus: &Bus, seq: u64) -> Result<(), Error> {
    for name in [manifest_name(seq), body_name(seq)] {
        bus.port.delete(bus.names.snapshots(), name).await.map_err(bucket)?;
    }
    Ok(())
}
