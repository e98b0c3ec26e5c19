//! Becoming the active engine: the log read to its end, the turn waited for, `Takeover` written (rules 11 and 12).

use regreen_bus::{Bus, log::Log, rights, streams, tickets, writer::Writer};
use regreen_decider::{Input, suspicion};
use regreen_kit::{clock, errors::chain, health::Health};
use regreen_schemas::{
    event::Event,
    record::{Cause, Cursor},
    subject::FactKind,
};
use tokio::sync::watch;

use super::{PATIENCE, STORE_PAUSE, Shell};
use crate::{
    Error, Options, Status,
    effects::Effects,
    feed::{self, Pulled, Tickets},
    guard,
    hashes::Hashes,
    janitor::Janitor,
    library,
    metrics::{Metrics, Stand},
    recover::{self, Recovered},
    snapshot::Snapshots,
    standby,
    task::Owned,
};

impl Shell {
    /// Reads the log, waits for its turn, and writes `Takeover` (rules 11 and 12).
    pub async fn take_over(
        bus: Bus,
        options: &Options,
        alone: bool,
        metrics: Metrics,
        health: Health,
        status: watch::Sender<Status>,
    ) -> Result<Self, Error> {
        streams::present(&bus).await?;
        let owner = tickets::nonce(&bus);
        let mut recovered = recover::recover(&bus).await?;
        let own = Writer::start(&bus, FactKind::Engine, owner.as_str(), PATIENCE);
        let here = standby::wait(&bus, &mut recovered, &own, &owner, alone, |standing| {
            health.say("engine", Ok(()));
            metrics.standing.is(Stand::Standby, standing.stopped.is_some());
            status.send_replace(standing);
        })
        .await?;
        let suspect =
            if recovered.tail.seq > 1 { suspicion(here.at - recovered.state.now, here.skew) } else { None };
        let mut library = recovered.library(&bus).await?;
        let mut files = options.files.clone();
        let newest = files.borrow_and_update().clone();
        if let Some(files) = &newest {
            library::store(&bus, files).await?;
            library::bring(&bus, &mut library, &library::set_of(files)).await?;
        }
        let Recovered { state, tail, stories, ended, sets, .. } = recovered;
        let seq = tail.seq;
        let streams = match state.streams {
            Some(_) => None,
            None => Some(streams::created(&bus).await?),
        };
        let effects = Effects::new(&bus, own.clone(), stories, metrics.clone());
        // What was trimmed can't be read from the beginning; older tickets are asked of the server one by one.
        let (tickets, stops) = Tickets::follow(&bus, streams::extent(&bus, bus.names.tickets()).await?.last);
        let pulled =
            tickets::pulled(&bus, state.stop_no).await.map_err(|error| Error::Nats(chain(&error)))?;
        let mut shell = Self {
            facts: feed::facts(&bus, read(state.cursor)),
            n: tail.seq,
            acked: tail.seq,
            prev_hash: tail.hash.clone(),
            log: Some(Log::new(&bus, tail)),
            flight: None,
            fact_hash: state.fact_hash.clone(),
            base: state.clone(),
            state,
            library,
            owner,
            items: Vec::new(),
            bytes: 0,
            clock: None,
            until: here.stream,
            thawing: None,
            looking: None,
            files,
            bringing: None,
            look_again: false,
            tickets,
            stops,
            own,
            effects,
            health,
            metrics,
            status,
            hashes: Hashes::default(),
            snapshots: Snapshots::new(
                &bus,
                options.snapshots,
                options.janitor.clone().map(Janitor::new),
                seq,
            ),
            sets,
            last_write: clock::boot(),
            stood_by: clock::boot(),
            resend: false,
            suspect: suspect.as_ref().map(|suspicion| format!("{suspicion:?}")),
            bus,
        };
        shell.effects.remember(ended);
        shell.effects.fill();
        shell.effects.inherit(&shell.state);
        shell.state.seq = shell.n + 1;
        shell.base = shell.state.clone();
        let takeover = Event::Takeover { here: here.seq, until: here.at, suspect, streams };
        shell.decide(&Input::Log(Box::new(takeover)), Cause::Log, shell.state.now);
        shell.write();
        // Nothing else is decided before the log is ours.
        shell.landed().await?;
        if let Some(why) = guard::look(&shell.bus, &shell.expected()).await? {
            shell.freeze(why);
        }
        if let Some((stop, seq)) = pulled {
            shell.stop(Pulled { stop_no: shell.state.stop_no, stop, seq });
        }
        shell.bring_own(newest);
        Ok(shell)
    }

    /// This engine's own files, at its takeover. What a person applied stays until the files change.
    fn bring_own(&mut self, files: Option<Vec<library::File>>) {
        match &self.state.applied_by {
            Some(by) => {
                tracing::info!(%by, "the set in force was applied: this engine's files wait for an edit");
            }
            None => self.bring_in_force(files),
        }
    }

    /// A set that differs from the one in force comes as a fact like any other, after its bodies.
    pub(super) fn bring_in_force(&mut self, files: Option<Vec<library::File>>) {
        let Some(files) = files else { return };
        // The one before may still be on its way, and is not wanted any more.
        self.bringing = None;
        let wanted = library::set_of(&files);
        if self.state.set.as_ref().is_some_and(|(hash, _)| *hash == wanted.hash()) {
            return;
        }
        let bus = self.bus.clone();
        self.bringing = Some(Owned::spawn(async move {
            while let Err(error) = library::store(&bus, &files).await {
                tracing::warn!(%error, "the set's files can't be stored yet");
                tokio::time::sleep(STORE_PAUSE).await;
            }
            let loader = Writer::start(&bus, FactKind::Set, rights::LOADER, PATIENCE);
            if let Err(error) = loader.store(&wanted).await {
                tracing::error!(%error, "the set of playbooks is not in force");
            }
        }));
    }
}

/// The last message of FACTS that is decided whole.
fn read(cursor: Cursor) -> u64 {
    if cursor.item == Cursor::WHOLE { cursor.seq } else { cursor.seq.saturating_sub(1) }
}
