//! VIEW: the list of checks and the verdicts, in a KV bucket. Written by the engine after its ack, read by probes
//! and people, **never read to decide**.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::StreamExt;
use regreen_schemas::{
    CheckName,
    id::Genesis,
    subject::view_key,
    view::{Checks, Services, Verdict},
};
use serde::{Deserialize, de::DeserializeOwned};
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

/// Pause before VIEW is followed again.
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);
/// Tries to put something while others write the same key.
const TRIES_MAX: u32 = 5;

/// Writes the list of checks, unless what is there reflects a newer record.
///
/// # Errors
/// [`Error`]; the caller writes again later.
pub async fn put_checks(bus: &Bus, checks: &Checks) -> Result<(), Error> {
    put(bus, view_key::CHECKS, (&checks.genesis, checks.seq), checks).await
}

/// Writes the services of the inventory, unless what is there reflects a newer record.
///
/// # Errors
/// [`Error`]; the caller writes again later.
pub async fn put_services(bus: &Bus, services: &Services) -> Result<(), Error> {
    put(bus, view_key::SERVICES, (&services.genesis, services.seq), services).await
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

/// The newest verdict of every check that ever had one, also of checks that have left the list.
///
/// # Errors
/// [`Error`] when VIEW can't be read.
pub async fn all_verdicts(bus: &Bus) -> Result<BTreeMap<CheckName, Verdict>, Error> {
    // A bucket is a stream, and a key a subject of it (NATS ADR-8).
    let bucket = bus.names.view();
    let prefix = format!("$KV.{bucket}.{}", view_key::verdict(""));
    let found = bus.port.newest(format!("KV_{bucket}"), format!("{prefix}>")).await.map_err(Error::of)?;
    let mut verdicts = BTreeMap::new();
    for stored in &found {
        let Some(check) = stored.subject.strip_prefix(&prefix) else { continue };
        let verdict = serde_json::from_slice(&stored.payload).map_err(Error::of)?;
        verdicts.insert(CheckName::from(check), verdict);
    }
    Ok(verdicts)
}

/// The list of checks, as it stands now.
///
/// # Errors
/// [`Error`] when VIEW can't be read.
pub async fn checks(bus: &Bus) -> Result<Option<Checks>, Error> {
    let found = bus.port.entry(bus.names.view(), view_key::CHECKS.into()).await.map_err(Error::of)?;
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
    follow(bus, view_key::CHECKS.into(), |newest, _, checks| *newest = Some(checks))
}

/// Follows the services of the inventory, as [`follow_checks`] the list.
#[must_use]
pub fn follow_services(bus: &Bus) -> watch::Receiver<Option<Services>> {
    follow(bus, view_key::SERVICES.into(), |newest, _, services| *newest = Some(services))
}

/// Follows every verdict, as [`follow_checks`] the list.
#[must_use]
pub fn follow_verdicts(bus: &Bus) -> watch::Receiver<BTreeMap<CheckName, Verdict>> {
    let prefix = view_key::verdict("");
    follow(bus, format!("{prefix}>"), move |newest: &mut BTreeMap<_, _>, key, verdict| {
        newest.insert(CheckName::from(key.strip_prefix(&prefix).unwrap_or(key)), verdict);
    })
}

/// Folds the values of keys into one, and goes on from the beginning after a disconnect.
fn follow<F, V>(
    bus: &Bus,
    keys: String,
    fold: impl Fn(&mut F, &str, V) + Send + Sync + 'static,
) -> watch::Receiver<F>
where
    F: Default + Send + Sync + 'static,
    V: DeserializeOwned + Send,
{
    let (newest, followed) = watch::channel(F::default());
    let bus = bus.clone();
    tokio::spawn(async move {
        let mut connects = bus.connects();
        while !newest.is_closed() {
            connects.mark_unchanged();
            tokio::select! {
                biased;
                result = fold_keys(&bus, &keys, &newest, &fold) => if let Err(error) = result {
                    tracing::debug!(%error, keys, "VIEW can't be followed; trying again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                },
                _ = connects.changed() => {}
                () = newest.closed() => {}
            }
        }
    });
    followed
}

async fn fold_keys<F, V: DeserializeOwned>(
    bus: &Bus,
    keys: &str,
    newest: &watch::Sender<F>,
    fold: &(impl Fn(&mut F, &str, V) + Sync),
) -> Result<(), Error> {
    let mut entries = bus.port.watch(bus.names.view(), keys.into()).await.map_err(Error::of)?;
    while let Some(entry) = entries.next().await {
        let (key, bytes) = entry.map_err(Error::of)?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => newest.send_modify(|newest| fold(newest, &key, value)),
            Err(error) => {
                tracing::error!(%error, key, "VIEW can't be read: is this service older than the engine?");
            }
        }
    }
    Ok(())
}
