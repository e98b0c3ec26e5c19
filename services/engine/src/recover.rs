//! Recovery: the newest snapshot that is whole, and the log folded from there; nothing is decided a second time.
//! Explaining a moment is the same, stopped earlier.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use regreen_bus::{
    Bus,
    log::Tail,
    port::Info,
    reader::{Gap, Reader, Stored},
    snapshots, streams,
};
use regreen_decider::{Illegal, Library, State, Stories, fold};
use regreen_schemas::{
    SetHash,
    event::{Event, Streams},
    fact,
    hash::sha256_hex,
    record::{self, Record},
    snapshot::Manifest,
};

use crate::{library, snapshot::Kept};

/// Why the log can't be used. Each of these is for a human: stop, never skip (rule 27).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The streams.
    #[error(transparent)]
    Streams(#[from] streams::Error),
    /// Records are missing.
    #[error(transparent)]
    Gap(#[from] Gap),
    /// The server gives no record.
    #[error("record {seq} of DECISIONS does not come: NATS is away, or this user may not follow DECISIONS")]
    Silent {
        /// Which.
        seq: u64,
    },
    /// A record can't be read.
    #[error("record {seq} of DECISIONS")]
    Unreadable {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: record::Unreadable,
    },
    /// A record does not follow the one before.
    #[error("record {seq} of DECISIONS does not follow record {}: the chain of hashes is broken (rule 9)", seq - 1)]
    Chain {
        /// Which.
        seq: u64,
    },
    /// A record can't follow the state.
    #[error("record {seq} of DECISIONS")]
    Illegal {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: Illegal,
    },
    /// This build folds the log to another state than the engine that wrote it.
    #[error(
        "the state after record {seq} of DECISIONS is not the one that its writer had (rule 9): run the release that wrote it"
    )]
    Diverged {
        /// Which.
        seq: u64,
    },
    /// Snapshots can't be read.
    #[error(transparent)]
    Snapshots(#[from] snapshots::Error),
    /// The log lost its end.
    #[error(
        "DECISIONS ends at {last}, and a snapshot reflects record {seq} of it: the stream was restored or cut. Restore all of the domain's streams from one moment, or find out who changed it"
    )]
    Cut {
        /// What the snapshot reflects.
        seq: u64,
        /// Newest record.
        last: u64,
    },
    /// There is nothing to fold from.
    #[error(
        "DECISIONS was trimmed, and no snapshot that this build can read reflects its first records: run the release that wrote them, or restore SNAP"
    )]
    NoBase,
    /// A set is not at hand.
    #[error(transparent)]
    Library(#[from] library::Error),
}

/// What the log says.
#[derive(Debug)]
pub struct Recovered {
    /// The fold of all records.
    pub state: State,
    /// Its end.
    pub tail: Tail,
    /// Stories of open runs.
    pub stories: Stories,
    /// Stories of the newest ended runs, to fill gaps of the projection.
    pub ended: Vec<regreen_schemas::story::Story>,
    /// Every set that the log named.
    pub sets: BTreeMap<SetHash, fact::Set>,
    /// The newest state whose hash the log will say.
    marked: Option<State>,
    /// That state, once the log has said its hash.
    proof: Option<(State, Arc<str>)>,
}

/// Longest wait for a record that must be there.
const ANSWER_MAX: std::time::Duration = std::time::Duration::from_secs(30);
/// Stories of ended runs that are kept to fill the projection again.
pub(crate) const ENDED_MAX: usize = 1000;

impl From<Kept> for Recovered {
    fn from(Kept { state, stories, ended, sets }: Kept) -> Self {
        let tail = Tail { seq: 0, hash: String::new() };
        Self { state, tail, stories, ended, sets, marked: None, proof: None }
    }
}

impl Recovered {
    fn new() -> Self {
        Kept::default().into()
    }

    /// Folds what follows in the log, up to its present end. `visit` sees each record before it is folded and may
    /// stop there.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn fold_on(
        &mut self,
        bus: &Bus,
        mut visit: impl FnMut(&State, &Record, u64) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let extent = streams::extent(bus, bus.names.decisions()).await?;
        let mut reader = Reader::new(bus, bus.names.decisions(), self.tail.seq);
        while self.tail.seq < extent.last {
            let Ok(stored) = tokio::time::timeout(ANSWER_MAX, reader.next()).await else {
                return Err(Error::Silent { seq: self.tail.seq + 1 });
            };
            let stored = stored?;
            let record = self.read(&stored)?;
            if visit(&self.state, &record, stored.seq).is_break() {
                return Ok(());
            }
            self.fold(&record, &stored)?;
        }
        self.prove()
    }

    /// The record in a stored message, which must follow the one before.
    ///
    /// # Errors
    /// [`Error::Unreadable`] and [`Error::Chain`].
    pub fn read(&self, stored: &Stored) -> Result<Record, Error> {
        let seq = stored.seq;
        let record = record::decode(&stored.payload).map_err(|source| Error::Unreadable { seq, source })?;
        if *record.prev_hash == *self.tail.hash { Ok(record) } else { Err(Error::Chain { seq }) }
    }

    /// Folds a record.
    ///
    /// # Errors
    /// [`Error::Illegal`].
    pub fn fold(&mut self, record: &Record, stored: &Stored) -> Result<(), Error> {
        let seq = stored.seq;
        fold(&mut self.state, record, seq).map_err(|source| Error::Illegal { seq, source })?;
        if let Some(said) = &record.state_hash
            && let Some(state) = self.marked.take_if(|state| state.seq == said.seq)
        {
            // A newer proof covers what came before it.
            self.proof = Some((state, said.hash.clone()));
        }
        if record.hashed {
            self.marked = Some(self.state.clone());
        }
        let told = self.stories.fold(record, seq);
        self.ended.extend(told.into_iter().filter(|story| story.result.is_some()));
        let surplus = self.ended.len().saturating_sub(ENDED_MAX);
        self.ended.drain(..surplus);
        for event in record.items.iter().flat_map(|item| &item.events) {
            if let Event::SetAccepted { set, hash, .. } = event {
                self.sets.insert(hash.clone(), set.clone());
            }
        }
        self.tail = Tail { seq, hash: sha256_hex(&stored.payload) };
        Ok(())
    }

    /// Compares the newest state whose hash the log has said (rule 9).
    ///
    /// # Errors
    /// [`Error::Diverged`].
    pub fn prove(&mut self) -> Result<(), Error> {
        match self.proof.take() {
            Some((state, said)) if *state.hash() != *said => Err(Error::Diverged { seq: state.seq }),
            _ => Ok(()),
        }
    }

    /// The sets that the state needs, compiled.
    ///
    /// # Errors
    /// [`Error::Library`].
    pub async fn library(&self, bus: &Bus) -> Result<Library, Error> {
        let mut library = Library::default();
        let wanted =
            self.state.runs.values().map(|run| &run.set).chain(self.state.set.iter().map(|(hash, _)| hash));
        for hash in wanted {
            if let Some(set) = self.sets.get(hash) {
                library::bring(bus, &mut library, set).await?;
            }
        }
        Ok(library)
    }
}

/// Where folding can begin: a snapshot, or the log's own beginning.
#[derive(Clone, Debug)]
pub enum Base {
    /// Before the first record.
    Beginning,
    /// After the record that this snapshot reflects.
    Snapshot(Box<Manifest>),
}

/// Every place from which the log can be folded to its end, newest first, each read when it is asked for: a domain keeps
/// dozens of snapshots, and the first one usually does.
#[derive(Debug)]
pub struct Bases {
    bus: Bus,
    kept: std::vec::IntoIter<u64>,
    extent: Info,
    created: Streams,
    beginning: bool,
}

impl Bases {
    /// What there is to look at.
    ///
    /// # Errors
    /// [`Error::Streams`] and [`Error::Snapshots`].
    pub async fn of(bus: &Bus) -> Result<Self, Error> {
        // Snapshots first: the active engine may write a record and keep the state after it while we ask.
        let kept = snapshots::list(bus).await?;
        let extent = streams::extent(bus, bus.names.decisions()).await?;
        let created = streams::created(bus).await?;
        let beginning = extent.first <= 1;
        Ok(Self { bus: bus.clone(), kept: kept.into_iter(), extent, created, beginning })
    }

    /// The next one. A snapshot of other streams, or one whose record is another in the log, is none of ours.
    ///
    /// # Errors
    /// [`Error::Cut`] when the log ends before a snapshot of it; [`Error::Snapshots`].
    pub async fn next(&mut self) -> Result<Option<Base>, Error> {
        for seq in self.kept.by_ref() {
            let manifest = match snapshots::manifest(&self.bus, seq).await {
                Ok(manifest) => manifest,
                Err(snapshots::Error::Unreadable { seq, why }) => {
                    tracing::warn!(seq, why, "a snapshot can't be used; the one before is looked at");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if manifest.streams.is_some_and(|streams| streams.decisions != self.created.decisions) {
                continue;
            }
            if seq > self.extent.last {
                return Err(Error::Cut { seq, last: self.extent.last });
            }
            if seq + 1 >= self.extent.first {
                return Ok(Some(Base::Snapshot(Box::new(manifest))));
            }
        }
        Ok(std::mem::take(&mut self.beginning).then_some(Base::Beginning))
    }
}

/// What a base says; nothing is folded on it yet. `None`: it is not whole, and the one before is as good.
///
/// # Errors
/// [`Error::Snapshots`] when it can't be read now.
pub async fn whole(bus: &Bus, base: &Base) -> Result<Option<Recovered>, Error> {
    match start(bus, base).await {
        Err(Error::Snapshots(snapshots::Error::Unreadable { seq, why })) => {
            tracing::warn!(seq, why, "a snapshot can't be used; the one before is looked at");
            Ok(None)
        }
        started => started.map(Some),
    }
}

/// What a base says; nothing is folded on it yet.
///
/// # Errors
/// [`Error::Snapshots`] when it is not whole.
pub async fn start(bus: &Bus, base: &Base) -> Result<Recovered, Error> {
    match base {
        Base::Beginning => Ok(Recovered::new()),
        Base::Snapshot(manifest) => {
            let body = snapshots::body(bus, manifest).await?;
            Ok(Recovered { tail: tail(manifest), ..Kept::read(&body, manifest)?.into() })
        }
    }
}

fn tail(manifest: &Manifest) -> Tail {
    Tail { seq: manifest.decision_seq, hash: manifest.chain_hash.to_string() }
}

/// The state at the end of the log.
///
/// # Errors
/// [`Error`]; [`Error::NoBase`] when neither a snapshot nor the log's beginning is there.
pub async fn recover(bus: &Bus) -> Result<Recovered, Error> {
    let mut first = 0;
    loop {
        let mut bases = Bases::of(bus).await?;
        let moved = bases.extent.first != first;
        first = bases.extent.first;
        while let Some(base) = bases.next().await? {
            let Some(mut recovered) = whole(bus, &base).await? else { continue };
            tracing::info!(seq = recovered.tail.seq, "the log is folded from here");
            recovered.fold_on(bus, |_, _, _| ControlFlow::Continue(())).await?;
            return Ok(recovered);
        }
        // The janitor may have trimmed between our questions: only an answer that stays the same is one.
        if !moved {
            return Err(Error::NoBase);
        }
    }
}
