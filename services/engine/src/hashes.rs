//! Now and then the log says what its writer's state was, so that whoever folds it can tell that it folds alike (rule
//! 9). The hash is taken on a clone, beside the loop: nobody waits for it.

use futures::FutureExt as _;
use regreen_decider::State;
use regreen_kit::{aside, clock};
use regreen_schemas::{Span, record::StateHash};

use crate::task::Owned;

/// Records between two hashes (rule 9).
const RECORDS: u64 = 1000;
/// Time between two hashes, when there are fewer records.
const EVERY: Span = Span::minutes(1);
/// A state of many thousands of runs takes a good part of a second: no more than this part of one core goes into
/// hashes, even when a thousand records are a moment's work.
const SHARE: i64 = 20;

/// Hashes under way.
#[derive(Default)]
pub struct Hashes {
    /// The newest: when it was begun, and with which record.
    begun: Option<(Span, u64)>,
    /// How long it took.
    took: Span,
    hashing: Option<Owned<(StateHash, Span)>>,
}

impl Hashes {
    /// Whether the state after this record, the next one, shall be hashed.
    pub fn due(&self, n: u64) -> bool {
        self.hashing.is_none()
            && self.begun.is_none_or(|(at, record)| {
                let since = clock::boot().0 - at.0;
                since >= EVERY.0 || (n - record >= RECORDS && since >= self.took.0 * SHARE)
            })
    }

    /// Hashes this state, beside everything else.
    pub fn begin(&mut self, state: State) {
        let began = clock::boot();
        self.begun = Some((began, state.seq));
        self.hashing = Some(Owned::spawn(aside::run(move || {
            let hash = StateHash { seq: state.seq, hash: state.hash().into() };
            (hash, Span(clock::boot().0 - began.0))
        })));
    }

    /// What came out, once it is there.
    pub fn take(&mut self) -> Option<StateHash> {
        let (hash, took) = self.hashing.as_mut()?.join().now_or_never()?;
        self.hashing = None;
        self.took = took;
        Some(hash)
    }
}
