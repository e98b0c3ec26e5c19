//! The hard deadline: a timer of the kernel that ends the process when a call has outlived its time, even one that
//! was stopped and continued in the meantime (rule 18, measured: SIGALRM strikes before anything else at SIGCONT).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use regreen_kit::clock;
use regreen_schemas::Span;

/// Time beyond a call's own timeout before the process is ended.
const MARGIN: Span = Span::seconds(2);

/// The earliest deadline of all calls under way is armed in the kernel.
#[derive(Clone, Debug)]
pub struct Alarm {
    /// Calls under way by deadline; `None` where another part of the process must not be ended.
    calls: Option<Arc<Mutex<BTreeMap<i64, u32>>>>,
}

impl Alarm {
    /// An alarm that ends this process, or one that does nothing.
    pub fn new(ends_process: bool) -> Self {
        Self { calls: ends_process.then(Arc::default) }
    }

    /// Arms the deadline of a call; it is disarmed when the guard goes.
    pub fn arm(&self, timeout: Span) -> Armed {
        let at = clock::boot().0 + timeout.0 + MARGIN.0;
        if let Some(calls) = &self.calls {
            let mut calls = calls.lock().expect("invariant: nobody panics with the map in hand");
            *calls.entry(at).or_default() += 1;
            set(&calls);
        }
        Armed { alarm: self.clone(), at }
    }
}

/// A call under way.
#[derive(Debug)]
pub struct Armed {
    alarm: Alarm,
    at: i64,
}

impl Drop for Armed {
    fn drop(&mut self) {
        let Some(calls) = &self.alarm.calls else { return };
        let mut calls = calls.lock().expect("invariant: nobody panics with the map in hand");
        if let Some(count) = calls.get_mut(&self.at) {
            *count -= 1;
            if *count == 0 {
                calls.remove(&self.at);
            }
        }
        set(&calls);
    }
}

/// Sets the kernel's timer to the earliest deadline, in whole seconds, never too early.
fn set(calls: &BTreeMap<i64, u32>) {
    match calls.first_key_value() {
        None => drop(nix::unistd::alarm::cancel()),
        Some((at, _)) => {
            let left = (at - clock::boot().0).max(1);
            let seconds = u32::try_from(left.unsigned_abs().div_ceil(1000)).unwrap_or(u32::MAX);
            nix::unistd::alarm::set(seconds);
        }
    }
}
