//! Snapshots: what recovery begins with, so that the log need not be folded from its beginning, nor kept for ever
//! (rule 26). Made beside the loop; nobody waits for one.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    sync::Arc,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use regreen_bus::{Bus, snapshots};
use regreen_decider::{State, Stories};
use regreen_kit::{aside, clock, config::Keep};
use regreen_schemas::{
    SetHash, Span, WIRE_VERSION, fact,
    hash::sha256_hex,
    snapshot::{Manifest, SNAPSHOT_FORMAT},
    story::Story,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::janitor::Janitor;

/// A snapshot's body: JSON, packed with gzip (RFC 1952), for it repeats itself much.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    /// The state after the record.
    pub state: State,
    /// Stories of open runs.
    pub stories: Stories,
    /// Stories of the newest ended runs.
    pub ended: Vec<Story>,
    /// The sets that the state needs.
    pub sets: BTreeMap<SetHash, fact::Set>,
}

impl Kept {
    /// Reads a body and compares it with its manifest.
    ///
    /// # Errors
    /// [`snapshots::Error::Unreadable`].
    pub fn read(body: &[u8], manifest: &Manifest) -> Result<Self, snapshots::Error> {
        let unreadable = |why: String| snapshots::Error::Unreadable { seq: manifest.decision_seq, why };
        let mut text = Vec::new();
        GzDecoder::new(body).read_to_end(&mut text).map_err(|error| unreadable(error.to_string()))?;
        let kept: Self = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if kept.state.hash() == *manifest.state_hash {
            Ok(kept)
        } else {
            Err(unreadable("its state is not the one that its manifest says".into()))
        }
    }
}

/// Records after which a snapshot is made sooner.
const RECORDS: u64 = 20_000;

/// A busy domain makes snapshots this many times less long than it rests from them.
const SHARE: i64 = 20;
/// Least time between two, however many records there are.
const LEAST: Span = Span::minutes(1);

/// Snapshots of one engine.
pub struct Snapshots {
    bus: Bus,
    keep: Keep,
    janitor: Option<Arc<Janitor>>,
    /// The newest: when it was begun, and with which record.
    begun: (Span, u64),
    took: Span,
    making: Option<JoinHandle<Span>>,
}

impl Snapshots {
    pub fn new(bus: &Bus, keep: Keep, janitor: Option<Janitor>, seq: u64) -> Self {
        let begun = (clock::boot(), seq);
        Self { bus: bus.clone(), keep, janitor: janitor.map(Arc::new), begun, took: Span::ZERO, making: None }
    }

    /// Whether one shall be made after this record.
    pub async fn due(&mut self, seq: u64) -> bool {
        if let Some(making) = self.making.take_if(|making| making.is_finished()) {
            self.took = making.await.unwrap_or_default();
        }
        let since = Span(clock::boot().0 - self.begun.0.0);
        let busy = seq - self.begun.1 >= RECORDS && since >= LEAST && since.0 >= self.took.0 * SHARE;
        self.making.is_none() && seq > self.begun.1 && (since >= self.keep.every || busy)
    }

    /// Makes one beside everything else. `manifest` lacks the hashes.
    pub fn begin(&mut self, kept: Kept, manifest: Manifest) {
        let began = clock::boot();
        self.begun = (began, manifest.decision_seq);
        let (bus, janitor) = (self.bus.clone(), self.janitor.clone());
        let audit = self.keep.audit;
        self.making = Some(tokio::spawn(async move {
            let oldest_run = kept.state.runs.values().map(|run| run.started).min();
            let (now, streams) = (kept.state.now, kept.state.streams);
            let made = make(&bus, kept, manifest).await;
            // Also when none was made: it may be the room that is missing.
            if let Some(janitor) = janitor
                && let Err(error) = janitor.tidy(now, audit, oldest_run, streams).await
            {
                tracing::warn!(%error, "nothing was trimmed; it is tried after the next snapshot");
            }
            if let Err(error) = made {
                tracing::warn!(%error, "no snapshot was made; the next one comes");
            }
            Span(clock::boot().0 - began.0)
        }));
    }
}

async fn make(bus: &Bus, kept: Kept, mut manifest: Manifest) -> Result<(), snapshots::Error> {
    let seq = manifest.decision_seq;
    let packed = aside::run(move || {
        let text = serde_json::to_vec(&kept).expect("invariant: the state is plain data");
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        let body = packed.write_all(&text).and_then(|()| packed.finish());
        let body = body.expect("invariant: memory takes what is written");
        manifest.state_hash = kept.state.hash().into();
        manifest.sha256 = sha256_hex(&body).into();
        (body, manifest)
    });
    let (body, manifest) = packed.await;
    let bytes = body.len();
    snapshots::put(bus, &manifest, body.into()).await?;
    tracing::info!(seq, bytes, "a snapshot is made");
    Ok(())
}

/// A manifest without its hashes.
pub fn manifest(state: &State, chain_hash: &str, tickets: u64) -> Manifest {
    Manifest {
        v: WIRE_VERSION,
        format: SNAPSHOT_FORMAT,
        decision_seq: state.seq,
        chain_hash: chain_hash.into(),
        cursor: state.cursor,
        state_hash: "".into(),
        sha256: "".into(),
        at: state.now,
        tickets,
        streams: state.streams,
    }
}
