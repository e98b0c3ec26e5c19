//! Reads DECISIONS while a drill goes on, and shows what concerns people as it comes.

use std::{collections::btree_map::Entry, time::Duration};

use anyhow::Context as _;
use regreen_bus::{Bus, reader::Reader, streams};
use regreen_schemas::{
    Timestamp,
    event::{Event, RunEvent},
    record::{self, Cause},
};

use super::{
    say,
    seen::{Noted, Seen},
    timeline,
};

/// Follows the log of one domain.
pub struct Follower {
    bus: Bus,
    reader: Reader,
    /// The last record that was read.
    at: u64,
}

impl Follower {
    /// From now on.
    pub async fn start(bus: &Bus) -> anyhow::Result<Self> {
        let last = streams::extent(bus, bus.names.decisions()).await?.last;
        Ok(Self { bus: bus.clone(), reader: Reader::new(bus, bus.names.decisions(), last), at: last })
    }

    /// Goes on over another connection: the server of the first is gone.
    pub fn go_on(&mut self, bus: &Bus) {
        self.bus = bus.clone();
        self.reader = Reader::new(bus, bus.names.decisions(), self.at);
    }

    /// The connection.
    pub const fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Reads and shows until it is enough.
    pub async fn until(
        &mut self,
        seen: &mut Seen,
        patience: Duration,
        enough: impl Fn(&Seen) -> bool,
    ) -> anyhow::Result<()> {
        let reading = async {
            while !enough(seen) {
                self.next(seen).await?;
            }
            anyhow::Ok(())
        };
        let read = tokio::time::timeout(patience, reading).await;
        read.with_context(|| format!("it did not come to that within {patience:?}"))?
    }

    /// Reads and shows for so long, whatever comes: where nothing may happen.
    pub async fn quiet(&mut self, seen: &mut Seen, length: Duration) -> anyhow::Result<()> {
        let reading = async {
            loop {
                self.next(seen).await?;
            }
        };
        tokio::time::timeout(length, reading).await.unwrap_or(Ok(()))
    }

    /// Reads and shows what is there by now.
    pub async fn catch_up(&mut self, seen: &mut Seen) -> anyhow::Result<()> {
        let last = streams::extent(&self.bus, self.bus.names.decisions()).await?.last;
        while self.at < last {
            self.next(seen).await?;
        }
        Ok(())
    }

    async fn next(&mut self, seen: &mut Seen) -> anyhow::Result<()> {
        let stored = self.reader.next().await.map_err(|gap| anyhow::anyhow!("DECISIONS: {gap}"))?;
        let record = record::decode(&stored.payload)?;
        for item in record.items {
            let fact = match item.cause {
                Cause::Fact { seq, .. } => Some(seq),
                Cause::Timer | Cause::Log => None,
            };
            for event in item.events {
                let noted = Noted { at: item.now, fact, event };
                timeline::marks(&noted).iter().for_each(show);
                seen.noted.push(noted);
            }
        }
        self.at = stored.seq;
        Ok(())
    }

    /// Looks up when FACTS stored alerts and results: the engine's own time is a little later.
    pub async fn look_up(&self, seen: &mut Seen) -> anyhow::Result<()> {
        let wanted: Vec<u64> =
            seen.noted.iter().filter(|noted| timed(&noted.event)).filter_map(|noted| noted.fact).collect();
        for seq in wanted {
            if let Entry::Vacant(unknown) = seen.stored.entry(seq) {
                unknown.insert(streams::message(&self.bus, self.bus.names.facts(), seq).await?.time);
            }
        }
        Ok(())
    }
}

/// Whether it matters to the millisecond when its fact came.
const fn timed(event: &Event) -> bool {
    matches!(
        event,
        Event::AlertDecided { .. }
            | Event::VerdictChanged { .. }
            | Event::Run { what: RunEvent::StepSucceeded { .. } | RunEvent::StepFailed { .. }, .. }
    )
}

/// One line of the live view.
fn show(mark: &timeline::Mark) {
    say(&format!(
        "  {}  {:<9} {}",
        clock(mark.at),
        mark.word,
        crate::out::plain(&mark.text.replace('\n', "; "))
    ));
}

/// The time of day, UTC.
pub fn clock(at: Timestamp) -> String {
    let at = at.to_string();
    at.split_once('T').map_or(at.clone(), |(_, clock)| clock.to_owned())
}
