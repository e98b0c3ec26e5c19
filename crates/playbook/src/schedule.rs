//! Times: cron in a zone, with what becomes of those that were missed. Pure: `now` is given.

use std::{str::FromStr as _, sync::Arc};

use chrono::{DateTime, TimeZone as _};
use chrono_tz::Tz;
use croner::Cron;
use regreen_schemas::{Span, Timestamp};

/// Times at which something is due.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// As written, for people.
    pub text: Arc<str>,
    cron: Box<Cron>,
    zone: Tz,
    /// Whether one that was missed is made up for.
    pub once: bool,
}

impl Schedule {
    /// Reads five fields of cron (POSIX crontab, with names, steps, `L` and `#` as of Vixie and Quartz) in a zone of
    /// the IANA time zone database.
    ///
    /// # Errors
    /// Says which of the two can't be read, and why.
    pub fn parse(cron: &str, zone: &str, once: bool) -> Result<Self, Unreadable> {
        let zone: Tz = zone.parse().map_err(|_| Unreadable::Zone)?;
        let parsed = Cron::from_str(cron).map_err(|error| Unreadable::Cron(error.to_string()))?;
        let schedule = Self { text: format!("{cron} {zone}").into(), cron: Box::new(parsed), zone, once };
        // A day that never comes, such as 30 February, would be looked for in vain at run time.
        schedule.after(Timestamp(0)).map(|_| schedule).ok_or(Unreadable::Never)
    }

    /// The first time that is later.
    #[must_use]
    pub fn after(&self, now: Timestamp) -> Option<Timestamp> {
        let from: DateTime<Tz> = self.zone.timestamp_millis_opt(now.0).single()?;
        let next = self.cron.find_next_occurrence(&from, false).ok()?;
        Some(Timestamp(next.timestamp_millis()))
    }

    /// The end of the window that is open now, where each time opens one that lasts so long.
    #[must_use]
    pub fn open_until(&self, now: Timestamp, lasts: Span) -> Option<Timestamp> {
        let opened = self.after(Timestamp(now.0 - lasts.0))?;
        (opened <= now).then(|| opened + lasts)
    }
}

/// Why times can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// No cron expression.
    Cron(String),
    /// No such zone.
    Zone,
    /// It never comes.
    Never,
}
