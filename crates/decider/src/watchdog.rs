//! The alert that always fires. While it comes, the way from Prometheus to here is open; when it stays away, nobody
//! would hear of anything, and people are told.

use regreen_schemas::{Span, Timestamp, alert::Alert, event::Event};
use serde::{Deserialize, Serialize};

use crate::{
    decide::Decider,
    state::{Illegal, State, TimerKey},
};

/// What is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// How often it comes at least.
    pub within: Span,
    /// When it came last, or was first expected.
    pub heard: Timestamp,
    /// Whether it was said that it stays away.
    pub silent: bool,
}

impl Decider<'_> {
    /// A set came in force: it may expect a watchdog.
    pub(crate) fn expect_watchdog(&mut self) -> Result<(), Illegal> {
        let within = self.set().and_then(|set| set.watchdog.as_ref().map(|watchdog| watchdog.within));
        if within == self.s.watchdog.map(|watchdog| watchdog.within) {
            return Ok(());
        }
        self.emit(Event::WatchdogExpected { within })
    }

    pub(crate) fn heard_watchdog(&mut self, alert: &Alert) -> Result<(), Illegal> {
        if !self.set().is_some_and(|set| set.watchdog.as_ref().is_some_and(|watchdog| watchdog.is(alert))) {
            return Ok(());
        }
        let silent = self.s.watchdog.is_some_and(|watchdog| watchdog.silent);
        self.emit(Event::WatchdogHeard)?;
        if silent { self.tell_system("watchdog/heard", "the watchdog alert comes again") } else { Ok(()) }
    }

    pub(crate) fn watchdog_due(&mut self) -> Result<(), Illegal> {
        self.emit(Event::WatchdogSilent)?;
        let Some(watchdog) = self.s.watchdog else { return Ok(()) };
        let text = format!(
            "the watchdog alert has not come for {}: look whether Prometheus runs, Alertmanager sends, and ingest takes in",
            watchdog.within
        );
        self.tell_system("watchdog", &text)
    }
}

impl State {
    /// Folds what happened to it.
    pub(crate) fn apply_watchdog(&mut self, event: &Event) {
        let heard = self.now;
        match (event, &mut self.watchdog) {
            (Event::WatchdogExpected { within }, known) => {
                let before = known.map_or((heard, false), |known| (known.heard, known.silent));
                *known = within.map(|within| Watchdog { within, heard: before.0, silent: before.1 });
            }
            (Event::WatchdogHeard, Some(known)) => (known.heard, known.silent) = (heard, false),
            (Event::WatchdogSilent, Some(known)) => known.silent = true,
            _ => {}
        }
        self.arm_watchdog();
    }

    /// Our absence proves nothing (rule 13).
    pub(crate) fn shift_watchdog(&mut self, away: Span) {
        if let Some(known) = &mut self.watchdog {
            known.heard = known.heard + away;
        }
        self.arm_watchdog();
    }

    fn arm_watchdog(&mut self) {
        let at = self.watchdog.filter(|known| !known.silent).map(|known| known.heard + known.within);
        self.arm(TimerKey::Watchdog, at);
    }
}
