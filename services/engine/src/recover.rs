//! Recovery: the log is read from its beginning and folded; nothing is decided a second time. Explaining a moment
//! is the same, stopped earlier.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use regreen_bus::{
    Bus,
    log::Tail,
    reader::{Gap, Reader, Stored},
    streams,
};
use regreen_decider::{Illegal, Library, State, Stories, fold};
use regreen_schemas::{
    SetHash,
    event::Event,
    fact,
    hash::sha256_hex,
    record::{self, Record},
};

use crate::library;

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

impl Recovered {
    fn new() -> Self {
        let tail = Tail { seq: 0, hash: String::new() };
        Self {
            state: State::default(),
            tail,
            stories: Stories::default(),
            ended: Vec::new(),
            sets: BTreeMap::new(),
            marked: None,
            proof: None,
        }
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
            if let Event::SetAccepted { set, hash } = event {
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

/// Reads the whole log.
///
/// # Errors
/// [`Error`].
pub async fn recover(bus: &Bus) -> Result<Recovered, Error> {
    let mut recovered = Recovered::new();
    recovered.fold_on(bus, |_, _, _| ControlFlow::Continue(())).await?;
    Ok(recovered)
}

/// Reads the log up to where `visit` stops it.
///
/// # Errors
/// [`Error`].
pub async fn recover_until(
    bus: &Bus,
    visit: impl FnMut(&State, &Record, u64) -> ControlFlow<()>,
) -> Result<Recovered, Error> {
    let mut recovered = Recovered::new();
    recovered.fold_on(bus, visit).await?;
    Ok(recovered)
}
