//! Now and then the log says what its writer's state was, so that whoever folds it can tell that it folds alike (rule
//! 9). The hash is taken on a clone, beside the loop: nobody waits for it.

use regreen_decider::State;
use regreen_kit::clock;
use regreen_schemas::{Span, record::StateHash};
use tokio::sync::oneshot;

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
    hashing: Option<oneshot::Receiver<(StateHash, Span)>>,
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
        let (done, hashing) = oneshot::channel();
        let began = clock::boot();
        (self.begun, self.hashing) = (Some((began, state.seq)), Some(hashing));
        tokio::task::spawn_blocking(move || {
            let hash = StateHash { seq: state.seq, hash: state.hash().into() };
            // The shell may have ended meanwhile.
            let _ = done.send((hash, Span(clock::boot().0 - began.0)));
        });
    }

    /// What came out, once it is there.
    pub fn take(&mut self) -> Option<StateHash> {
        let found = self.hashing.as_mut()?.try_recv();
        match found {
            Err(oneshot::error::TryRecvError::Empty) => None,
            found => {
                self.hashing = None;
                let (hash, took) = found.ok()?;
                self.took = took;
                Some(hash)
            }
        }
    }
}
