//! Waiting for one's turn (rule 11): a standby folds every record as it comes, so that it can go on at once, and takes
//! over when the log has been silent. The log is the lease; the fence of the write that takes over settles every race.

use std::ops::ControlFlow;

use regreen_bus::{Bus, reader::Reader, writer::Writer};
use regreen_kit::clock;
use regreen_schemas::{Span, id::Nonce};

use crate::{
    Error, Status,
    guard::{self, Here},
    recover::Recovered,
};

/// A log silent for this long has no active engine.
pub const SILENCE: Span = Span::seconds(5);

/// Returns when the log has been silent and is folded to its end, with what the stream said of us there.
///
/// # Errors
/// When the log can't be followed, or folds to another state here than where it was written: then this engine may not
/// take over (rule 9).
pub async fn wait(
    bus: &Bus,
    recovered: &mut Recovered,
    own: &Writer,
    owner: &Nonce,
    alone: bool,
    mut said: impl FnMut(Status),
) -> Result<Here, Error> {
    loop {
        if !alone {
            silence(bus, recovered, &mut said).await?;
        }
        let here = guard::here(bus, own, owner).await?;
        let before = recovered.tail.seq;
        recovered.fold_on(bus, |_, _, _| ControlFlow::Continue(())).await?;
        if recovered.tail.seq == before {
            return Ok(here);
        }
    }
}

/// Folds what comes until nothing has come for [`SILENCE`]. A connection that was away says nothing about the log.
async fn silence(bus: &Bus, recovered: &mut Recovered, said: &mut impl FnMut(Status)) -> Result<(), Error> {
    let mut reader = Reader::new(bus, bus.names.decisions(), recovered.tail.seq);
    let mut connects = bus.connects();
    let mut heard = false;
    loop {
        let next = tokio::select! {
            biased;
            next = reader.next() => next?,
            Ok(()) = connects.changed() => continue,
            () = tokio::time::sleep(SILENCE.to_std()) => {
                if bus.is_connected() {
                    return Ok(());
                }
                continue;
            }
        };
        let record = recovered.read(&next)?;
        recovered.fold(&record, &next)?;
        recovered.prove()?;
        if !heard {
            heard = true;
            tracing::info!(owner = %record.owner, "another engine is active; standing by");
        }
        said(Status {
            phase: "standby".into(),
            epoch: record.epoch,
            seq: next.seq,
            runs: recovered.state.runs.len(),
            stopped: recovered.state.stopped.as_ref().map(ToString::to_string),
        });
    }
}

/// How old the newest acknowledgement may be while commands still go out: below [`SILENCE`], after which a successor
/// may have taken over without our knowing (rule 11).
const LEASE: Span = Span(SILENCE.0 - 1000);

/// Whether a record that was sent then, in boot time, may still let commands out now.
pub fn holds(sent: Span) -> bool {
    clock::boot().0 - sent.0 < LEASE.0
}
