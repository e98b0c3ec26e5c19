//! Virtual time: one thread, its clock moves only when nobody has anything to do.

use std::cell::Cell;

use regreen_kit::clock::{self, Clocks};
use regreen_schemas::{Span, Timestamp};
use tokio::{runtime::Builder, time::Instant};

/// Every history begins at this moment of the wall clock.
pub const BEGINNING: Timestamp = Timestamp(1_800_000_000_000);

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    static AHEAD: Cell<Span> = const { Cell::new(Span::ZERO) };
}

/// Time since the history began.
#[must_use]
pub fn elapsed() -> Span {
    let began = BEGAN.get().map_or_else(Default::default, |began| began.elapsed());
    Span(i64::try_from(began.as_millis()).unwrap_or(i64::MAX))
}

/// The true time, which no process of the history knows.
#[must_use]
pub fn truth() -> Timestamp {
    BEGINNING + elapsed()
}

/// Sets the wall clock of all processes ahead of the truth, or behind.
pub fn set_ahead(span: Span) {
    AHEAD.set(span);
}

fn clocks() -> Clocks {
    Clocks { wall: truth() + AHEAD.get(), boot: elapsed() }
}

/// Whether two histories of one seed are the same: tokio wakes those who wait for one thing in an order of its own
/// chance, and takes a seed for it only in a build with `--cfg tokio_unstable` (`make sim`).
pub const REPLAYS: bool = cfg!(tokio_unstable);

/// Runs a history on virtual time, on this thread.
///
/// # Panics
/// When the runtime can't be made.
pub fn run<F: Future>(seed: u64, history: impl FnOnce() -> F) -> F::Output {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_be_bytes()));
    #[cfg(not(tokio_unstable))]
    let _ = seed;
    builder.build().expect("a runtime").block_on(async {
        BEGAN.set(Some(Instant::now()));
        AHEAD.set(Span::ZERO);
        clock::lead(Some(clocks));
        let ended = history().await;
        clock::lead(None);
        ended
    })
}
