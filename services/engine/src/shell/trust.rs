//! Whether the engine may still be trusted: what the streams are, what the clocks say, and what it says of itself
//! (rules 4, 12 and 14).

use regreen_bus::streams;
use regreen_decider::{Input, Phase, State, suspicion};
use regreen_schemas::{
    Span,
    event::Event,
    fact,
    record::{Cause, Trouble},
};

use super::Shell;
use crate::{
    Error, Status,
    guard::{self, Expected, Here},
    metrics::Stand,
    task::Owned,
};

impl Shell {
    /// What the log says of the streams now.
    pub(super) fn expected(&self) -> Expected {
        // As of what is acknowledged or on its way: a cursor never runs ahead of FACTS.
        let State { cursor, fact_hash, streams, reconciled_tickets, .. } = &self.base;
        Expected {
            cursor: *cursor,
            fact_hash: fact_hash.clone(),
            tail: self.acked,
            created: *streams,
            reconciled_tickets: *reconciled_tickets,
        }
    }

    /// Begins a look at streams and clocks, after the one under way, unless there is nothing left to lose.
    pub(super) fn look(&mut self) {
        if self.state.phase == Phase::Frozen {
            return;
        }
        if self.looking.is_some() {
            // What is under way may have begun before what made us look.
            self.look_again = true;
            return;
        }
        let (bus, own, owner, expected) =
            (self.bus.clone(), self.own.clone(), self.owner.clone(), self.expected());
        self.looking = Some(Owned::spawn(async move {
            let wrong = guard::look(&bus, &expected).await?;
            // Only counted: whatever is wrong with DEAD, the domain goes on.
            let dead = streams::extent(&bus, bus.names.dead()).await.ok();
            // Of a stream that never had a message both are 0.
            let dead = dead.map(|dead| (dead.last + 1).saturating_sub(dead.first.max(1)));
            Ok((wrong, dead, guard::here(&bus, &own, &owner).await?))
        }));
    }

    pub(super) fn looked(&mut self, looked: Result<(Option<String>, Option<u64>, Here), Error>) {
        let (wrong, dead, here) = match looked {
            Ok(found) => found,
            // No answer proves nothing; the next look comes.
            Err(error) => return tracing::warn!(%error, "streams and clocks can't be compared now"),
        };
        if let Some(letters) = dead {
            self.metrics.standing.dead(letters);
        }
        if let Some(why) = wrong {
            return self.freeze(why);
        }
        self.until = here.stream;
        match suspicion(Span::ZERO, here.skew) {
            Some(why) if self.state.phase == Phase::Live => {
                self.suspect = Some(format!("{why:?}"));
                let now = self.now();
                self.decide(&Input::Log(Box::new(Event::Suspected { why })), Cause::Log, now);
                self.report();
            }
            // Live, `now` runs by our own clock alone: a server whose clock is set ahead brings no deadline nearer.
            Some(_) | None => {}
        }
    }

    /// Whether the set in force lets somebody operate.
    pub(super) fn operates(&self, by: &str) -> bool {
        let set = self.state.set.as_ref().and_then(|(hash, _)| self.library.sets.get(hash));
        set.is_none_or(|set| set.operates(by))
    }

    /// A person says from where to go on: it is put on record, and everything is read anew from there.
    pub(super) async fn reconcile(mut self, by: String, what: fact::Reconciled) -> Result<(), Error> {
        while self.flight.is_some() {
            match self.landed().await {
                // Nothing is let out while frozen, and the word of a person is not said twice.
                Err(Error::Late { .. }) => {}
                landed => landed?,
            }
        }
        let now = self.now();
        self.decide(&Input::Log(Box::new(Event::Reconciled { by: by.into(), what })), Cause::Log, now);
        self.write();
        self.landed().await?;
        Err(Error::Reconciled)
    }

    pub(super) fn freeze(&mut self, reason: String) {
        if self.state.phase == Phase::Frozen {
            return;
        }
        let now = self.now();
        self.decide(&Input::Log(Box::new(Event::Frozen { reason: reason.into() })), Cause::Log, now);
        self.report();
    }

    /// Why nothing is done: the dead man reads it from every record.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        match self.state.phase {
            Phase::Frozen => Some(Trouble::Frozen { reason: self.state.frozen.clone().unwrap_or_default() }),
            Phase::Suspect => Some(Trouble::Suspect),
            Phase::CatchingUp { .. } | Phase::Live => None,
        }
    }

    pub(super) fn report(&mut self) {
        let phase = match self.state.phase {
            Phase::CatchingUp { .. } => "catching up".to_owned(),
            Phase::Live => "live".to_owned(),
            Phase::Suspect => format!(
                "suspect: {}; look at `regreen status`, then `regreen resume --suspect`",
                self.suspect.clone().unwrap_or_default()
            ),
            Phase::Frozen => format!(
                "frozen: {}; look at `regreen status`, then `regreen reconcile`",
                self.state.frozen.as_deref().unwrap_or_default()
            ),
        };
        self.metrics.standing.is(Stand::from(&self.state.phase), self.state.stopped.is_some());
        self.health.say("engine", if self.state.phase == Phase::Live { Ok(()) } else { Err(phase.clone()) });
        self.status.send_replace(Status {
            phase,
            epoch: self.state.epoch,
            seq: self.acked,
            runs: self.state.runs.len(),
            stopped: self.state.stopped.as_ref().map(ToString::to_string),
        });
    }
}
