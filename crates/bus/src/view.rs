//! VIEW: the list of checks and the verdicts, in a KV bucket. Written by the engine after its ack, read by probes
//! and people, **never read to decide**.

use bytes::Bytes;
use futures::StreamExt;
use regreen_schemas::{
    id::Genesis,
    subject::view_key,
    view::{Checks, Verdict},
};
use serde::Deserialize;
use tokio::sync::watch;

use crate::{connect::Bus, port::Updated};

/// Why VIEW could not be used.
#[derive(Debug, thiserror::Error)]
#[error("VIEW: {0}")]
pub struct Error(String);

impl Error {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Tries to put something while others write the same key.
const TRIES_MAX: u32 = 5;

/// Writes the list of checks, unless what is there reflects a newer record.
///
/// # Errors
/// [`Error`]; the caller writes again later.
pub async fn put_checks(bus: &Bus, checks: &Checks) -> Result<(), Error> {
    put(bus, view_key::CHECKS, (&checks.genesis, checks.seq), checks).await
}

/// Writes a verdict, unless what is there reflects a newer record.
///
/// # Errors
/// [`Error`]; the caller writes again later.
pub async fn put_verdict(bus: &Bus, check: &str, verdict: &Verdict) -> Result<(), Error> {
    put(bus, &view_key::verdict(check), (&verdict.genesis, verdict.seq), verdict).await
}

/// The newest verdict of a check.
///
/// # Errors
/// [`Error`] when VIEW can't be read.
pub async fn verdict(bus: &Bus, check: &str) -> Result<Option<Verdict>, Error> {
    let found = bus.port.entry(bus.names.view(), view_key::verdict(check)).await.map_err(Error::of)?;
    found.map(|(_, bytes)| serde_json::from_slice(&bytes).map_err(Error::of)).transpose()
}

#[derive(Deserialize)]
struct Reflected {
    #[serde(default)]
    genesis: Genesis,
    #[serde(default)]
    seq: u64,
}

/// By revision: an engine that was superseded, or a task that was slow, never wins over what is newer.
async fn put(
    bus: &Bus,
    key: &str,
    (genesis, seq): (&Genesis, u64),
    value: &impl serde::Serialize,
) -> Result<(), Error> {
    let bytes = Bytes::from(serde_json::to_vec(value).expect("invariant: wire types are plain data"));
    for _ in 0..TRIES_MAX {
        let held = bus.port.entry(bus.names.view(), key.into()).await.map_err(Error::of)?;
        let newer = held.as_ref().is_some_and(|(_, held)| {
            serde_json::from_slice::<Reflected>(held)
                .is_ok_and(|held| held.genesis == *genesis && held.seq > seq)
        });
        if newer {
            return Ok(());
        }
        let revision = held.map_or(0, |(revision, _)| revision);
        let updated = bus.port.update(bus.names.view(), key.into(), bytes.clone(), revision).await;
        if updated.map_err(Error::of)? == Updated::Written {
            return Ok(());
        }
    }
    Err(Error(format!("others write {key} all the time")))
}

/// Follows the list of checks in the background, through every disconnect.
#[must_use]
pub fn follow_checks(bus: &Bus) -> watch::Receiver<Option<Checks>> {
    let (newest, checks) = watch::channel(None);
    let bus = bus.clone();
    tokio::spawn(async move {
        let mut connects = bus.connects();
        while !newest.is_closed() {
            connects.mark_unchanged();
            tokio::select! {
                biased;
                result = watch_checks(&bus, &newest) => if let Err(error) = result {
                    tracing::debug!(%error, "the list of checks can't be followed; trying again");
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                },
                _ = connects.changed() => {}
                () = newest.closed() => {}
            }
        }
    });
    checks
}

async fn watch_checks(bus: &Bus, newest: &watch::Sender<Option<Checks>>) -> Result<(), Error> {
    let mut entries = bus.port.watch(bus.names.view(), view_key::CHECKS.into()).await.map_err(Error::of)?;
    while let Some(entry) = entries.next().await {
        match serde_json::from_slice(&entry.map_err(Error::of)?) {
            Ok(checks) => drop(newest.send_replace(Some(checks))),
            Err(error) => {
                tracing::error!(%error, "the list of checks can't be read: is this probe older than the engine?");
            }
        }
    }
    Ok(())
}
