//! VIEW: the list of checks and the verdicts, in a KV bucket. Written by the engine after its ack, read by probes
//! and people, **never read to decide**.

use async_nats::jetstream::kv;
use bytes::Bytes;
use futures::StreamExt;
use regreen_schemas::{
    subject::view_key,
    view::{Checks, Verdict},
};
use tokio::sync::watch;

use crate::connect::Bus;

/// Why VIEW could not be used.
#[derive(Debug, thiserror::Error)]
#[error("VIEW: {0}")]
pub struct Error(String);

impl Error {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

async fn bucket(bus: &Bus) -> Result<kv::Store, Error> {
    bus.js.get_key_value(bus.names.view()).await.map_err(Error::of)
}

/// Writes the list of checks.
///
/// # Errors
/// [`Error`]; the caller writes again later.
pub async fn put_checks(bus: &Bus, checks: &Checks) -> Result<(), Error> {
    put(bus, view_key::CHECKS, checks).await
}

/// Writes a verdict.
///
/// # Errors
/// [`Error`]; the caller writes again later.
pub async fn put_verdict(bus: &Bus, check: &str, verdict: &Verdict) -> Result<(), Error> {
    put(bus, &view_key::verdict(check), verdict).await
}

async fn put(bus: &Bus, key: &str, value: &impl serde::Serialize) -> Result<(), Error> {
    let bytes = Bytes::from(serde_json::to_vec(value).expect("invariant: wire types are plain data"));
    bucket(bus).await?.put(key, bytes).await.map(|_| ()).map_err(Error::of)
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
    let mut entries = bucket(bus).await?.watch_with_history(view_key::CHECKS).await.map_err(Error::of)?;
    while let Some(entry) = entries.next().await {
        let entry = entry.map_err(Error::of)?;
        match serde_json::from_slice(&entry.value) {
            Ok(checks) => drop(newest.send_replace(Some(checks))),
            Err(error) => {
                tracing::error!(%error, "the list of checks can't be read: is this probe older than the engine?");
            }
        }
    }
    Ok(())
}
