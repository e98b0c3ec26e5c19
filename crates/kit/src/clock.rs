//! The only place that reads clocks. Wall time is for people and for the skew; what decides runs by the boot-time
//! clock, which goes on during suspend and never goes back (rule 12).

use std::{
    cell::Cell,
    time::{SystemTime, UNIX_EPOCH},
};

use regreen_schemas::{Span, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// The wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn wall() -> Timestamp {
    if let Some(led) = led() {
        return led.wall;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Milliseconds since boot, suspend included.
#[must_use]
pub fn boot() -> Span {
    if let Some(led) = led() {
        return led.boot;
    }
    let now = clock_gettime(ClockId::Boottime);
    Span(now.tv_sec * 1000 + now.tv_nsec / 1_000_000)
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// The wall clock.
    pub wall: Timestamp,
    /// Time since boot.
    pub boot: Span,
}

thread_local!(static LEADER: Cell<Option<fn() -> Clocks>> = const { Cell::new(None) });

/// Lets somebody else say what the clocks of this thread show: a simulation, on its virtual time.
pub fn lead(leader: Option<fn() -> Clocks>) {
    LEADER.set(leader);
}

fn led() -> Option<Clocks> {
    LEADER.get().map(|leader| leader())
}

/// A moment carried forward by the boot-time clock.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    at: Timestamp,
    boot: Span,
}

impl Carried {
    /// From this moment on.
    #[must_use]
    pub fn from(at: Timestamp) -> Self {
        Self { at, boot: boot() }
    }

    /// The moment now.
    #[must_use]
    pub fn now(self) -> Timestamp {
        self.at + Span(boot().0 - self.boot.0)
    }
}
