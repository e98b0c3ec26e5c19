//! One stored message after the other: read, put aside when it can't be, decided item by item.

use std::time::Duration;

use regreen_bus::{reader::Stored, rights};
use regreen_decider::{Input, Phase};
use regreen_kit::{clock, errors::chain};
use regreen_schemas::{
    Span,
    event::Event,
    fact::{self, Item},
    record::{BYTES_MAX, Cause, Cursor, ITEMS_MAX},
    ticket::Holder,
};

use super::Shell;
use crate::{Error, effects::dead, feed::Pulled, guard, library};

/// Older facts than this are the past: nothing is dispatched before it is read (rule 13).
const BEHIND: Span = Span::seconds(5);

/// Longest reason for which a fact is put aside; DEAD has all of it.
const REASON_MAX: usize = 4 * 1024;

impl Shell {
    pub(super) fn stop(&mut self, pulled: Pulled) {
        if pulled.stop_no < self.state.stop_no {
            return;
        }
        let (own, stop) = (
            self.own.clone(),
            fact::Engine::Stopped { stop_no: pulled.stop_no, by: pulled.stop.by, seq: pulled.seq },
        );
        tokio::spawn(async move {
            while let Err(error) = own.store(&stop).await {
                tracing::error!(%error, "the stop is in force at the server, but not in the log yet");
            }
        });
    }

    /// Decides the items of one stored message.
    pub(super) async fn fact(&mut self, stored: Stored) -> Result<(), Error> {
        if self.clock.is_none() {
            // Catching up: what fell due before this fact comes before it.
            let until = self.state.now.max(stored.time);
            self.fire(until);
        }
        self.metrics.standing.behind(stored.pending);
        self.behind(&stored);
        self.fact_hash = guard::fact_hash(&stored.payload);
        let kind = self.bus.names.parse_fact(&stored.subject).map(|(kind, source)| (kind, source.to_owned()));
        let decoded = kind.map(|(kind, source)| (fact::decode(kind, &stored.payload), source));
        let (items, source) = match decoded {
            Some((Ok(items), source)) => (items, source),
            Some((Err(error @ fact::Unreadable::Version(_)), _)) => {
                self.freeze(format!("fact {}: {error}", stored.seq));
                return Ok(());
            }
            Some((Err(error), _)) => {
                self.reject(&stored, &chain(&error));
                return Ok(());
            }
            None => {
                self.reject(&stored, "its subject is no fact's");
                return Ok(());
            }
        };
        let count = items.len();
        for (index, item) in (0_u32..).zip(items) {
            let before = Cursor { seq: stored.seq, item: index + 1 };
            if self.state.cursor >= before {
                continue;
            }
            if let Item::Set(set) = &item
                && (source == rights::LOADER || self.operates(&source))
                && let Err(error) = library::bring_in_time(&self.bus, &mut self.library, set).await
            {
                // What was in force stays, and is at hand.
                self.reject(&stored, &chain(&error));
                return Ok(());
            }
            let ticket = match &item {
                Item::Result(outcome) => self.holder(outcome).await,
                _ => None,
            };
            let last = index as usize + 1 == count;
            let cause = Cause::Fact { seq: stored.seq, item: index, last, ticket: ticket.clone() };
            let now = if self.clock.is_some() { self.now() } else { self.state.now.max(stored.time) };
            let input =
                Input::Fact { source: &source, seq: stored.seq, item: &item, ticket: ticket.as_ref() };
            self.decide(&input, cause, now);
            while self.items.len() >= ITEMS_MAX || self.bytes >= BYTES_MAX / 2 {
                self.write();
                self.landed().await?;
            }
        }
        self.caught_up();
        Ok(())
    }

    /// What happened long ago and was not read yet may be over by now: the rest is read first (rule 13).
    pub(super) fn behind(&mut self, stored: &Stored) {
        let waits = self.clock.is_some() && stored.pending > 0 && self.until.now() - stored.time > BEHIND;
        if waits && matches!(self.state.phase, Phase::Live | Phase::Suspect) {
            let here = stored.seq + stored.pending;
            tracing::warn!(
                pending = stored.pending,
                "facts are more than {BEHIND} old; nothing is dispatched before all are read"
            );
            let now = self.now();
            self.decide(&Input::Log(Box::new(Event::FellBehind { here })), Cause::Log, now);
            self.report();
        }
    }

    /// The ticket that stands for a result. The server must answer: a guess would be wrong either way.
    pub(super) async fn holder(&self, outcome: &fact::Outcome) -> Option<Holder> {
        if matches!(outcome.outcome, fact::Verb::Observed { .. }) {
            return None;
        }
        loop {
            match self.tickets.holder(&outcome.run, &outcome.instance, outcome.attempt).await {
                Ok(holder) => return holder,
                Err(error) => {
                    tracing::warn!(%error, "a ticket can't be read yet");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    pub(super) fn caught_up(&mut self) {
        if self.clock.is_none() && !matches!(self.state.phase, Phase::CatchingUp { .. }) {
            self.clock = Some(clock::Carried::from(self.state.now.max(self.until.now())));
        }
    }

    pub(super) fn reject(&mut self, stored: &Stored, reason: &str) {
        dead(&self.bus, reason, &stored.payload);
        let reason = &reason[..reason.floor_char_boundary(REASON_MAX)];
        let cause = Cause::Fact { seq: stored.seq, item: 0, last: true, ticket: None };
        let now = self.now();
        self.decide(&Input::Log(Box::new(Event::FactRejected { reason: reason.into() })), cause, now);
        self.caught_up();
    }
}
