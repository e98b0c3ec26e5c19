//! Now and then the log says what its writer's state was, so that whoever folds it can tell that it folds alike (rule
//! 9). The hash is taken on a clone, beside the loop: nobody waits for it.

use regreen_decider::State;
use regreen_kit::clock;
use regreen_schemas::{Span, record::StateHash};
use tokio::sync::oneshot;

/// Time between two hashes. A state of many thousands of runs takes a good part of a second.
const EVERY: Span = Span::minutes(1);

/// Hashes under way.
#[derive(Default)]
pub struct Hashes {
    begun: Option<Span>,
    hashing: Option<oneshot::Receiver<StateHash>>,
}

impl Hashes {
    /// Whether the state after the next record shall be hashed.
    pub fn due(&self) -> bool {
        self.hashing.is_none() && self.begun.is_none_or(|at| clock::boot().0 - at.0 >= EVERY.0)
    }

    /// Hashes this state, beside everything else.
    pub fn begin(&mut self, state: State) {
        let (done, hashing) = oneshot::channel();
        (self.begun, self.hashing) = (Some(clock::boot()), Some(hashing));
        tokio::task::spawn_blocking(move || {
            // The shell may have ended meanwhile.
            let _ = done.send(StateHash { seq: state.seq, hash: state.hash().into() });
        });
    }

    /// What came out, once it is there.
    pub fn take(&mut self) -> Option<StateHash> {
        let found = self.hashing.as_mut()?.try_recv();
        match found {
            Err(oneshot::error::TryRecvError::Empty) => None,
            found => {
                self.hashing = None;
                found.ok()
            }
        }
    }
}
