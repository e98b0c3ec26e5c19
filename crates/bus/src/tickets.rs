//! Tickets and the stop switch: write-once subjects, decided by the server (rules 15 to 17). Whoever's message is
//! the first and only one on the subject has won; everybody else reads who that was.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use regreen_schemas::{
    Instance, RunId, WIRE_VERSION,
    id::Nonce,
    ticket::{Holder, Stop, Ticket},
};

use crate::{
    connect::Bus,
    port,
    publish::{self, header},
};

/// Pause between two tries of a write in doubt.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Tries to write a stop whose number keeps moving; each move is a resume by somebody else.
const STOP_TRIES: u32 = 20;

/// How a race for a ticket ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// Our message is the one.
    Won {
        /// Its sequence in TICKETS.
        seq: u64,
    },
    /// Somebody else's is.
    Lost(Ticket, u64),
    /// The stop switch is on: nobody has it.
    Stopped,
}

/// Why a ticket's state is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refuses for a reason of its own.
    #[error("TICKETS refuses the write")]
    Refused(#[source] publish::Error),
    /// The message on the subject is not a ticket.
    #[error("what stands on the ticket's subject is not a ticket")]
    NotATicket(#[source] serde_json::Error),
    /// The stream does not answer.
    #[error("TICKETS can't be read")]
    Unreadable(#[source] port::Error),
    /// The stop number moved at every try.
    #[error("the stop switch was released again each time it was pulled; try once more")]
    Moving,
}

/// Tries to take a ticket, for ever until the server has answered. With `stop_no` the server refuses it once the
/// stop switch of that number has been pulled (rule 16); class *tell* goes without.
///
/// # Errors
/// [`Error`] when the server refuses for another reason than the race or the switch.
pub async fn take(
    bus: &Bus,
    (run, instance, attempt): (&RunId, &Instance, u32),
    ticket: &Ticket,
    stop_no: Option<u64>,
) -> Result<Taken, Error> {
    let subject = bus.names.ticket(run, instance, attempt);
    let bytes = Bytes::from(serde_json::to_vec(ticket).expect("invariant: wire types are plain data"));
    let mut headers = HeaderMap::new();
    if let Some(stop_no) = stop_no {
        headers.insert(header::LAST_SUBJECT_SEQ, "0");
        headers.insert(header::LAST_SUBJECT, bus.names.stop(stop_no));
    }
    loop {
        match bus.port.publish(subject.clone(), headers.clone(), bytes.clone()).await {
            Ok(ack) => return Ok(Taken::Won { seq: ack.seq }),
            Err(
                publish::Error::InDoubt(_) | publish::Error::Refused { code: publish::CONCURRENT_GUARD, .. },
            ) => {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            // Either refusal may hide that an earlier copy of ours has landed: the subject itself tells.
            Err(publish::Error::Refused { code, text }) => {
                return match read(bus, run, instance, attempt).await? {
                    Some((found, seq)) if found == *ticket => Ok(Taken::Won { seq }),
                    Some((found, seq)) => Ok(Taken::Lost(found, seq)),
                    None if code == publish::WRONG_LAST_SEQUENCE => Ok(Taken::Stopped),
                    None => Err(Error::Refused(publish::Error::Refused { code, text })),
                };
            }
            Err(error) => return Err(Error::Refused(error)),
        }
    }
}

/// The engine gives an attempt up, if nobody has begun it (rule 17).
///
/// # Errors
/// As [`take`].
pub async fn revoke(
    bus: &Bus,
    attempt: (&RunId, &Instance, u32),
    epoch: u64,
    decision_seq: u64,
) -> Result<Taken, Error> {
    take(bus, attempt, &Ticket::Revoked { v: WIRE_VERSION, epoch, decision_seq }, None).await
}

/// The ticket of an attempt with its sequence, asked of the leader.
///
/// # Errors
/// [`Error`] when it can't be read.
pub async fn read(
    bus: &Bus,
    run: &RunId,
    instance: &Instance,
    attempt: u32,
) -> Result<Option<(Ticket, u64)>, Error> {
    match last(bus, &bus.names.ticket(run, instance, attempt)).await? {
        None => Ok(None),
        Some((bytes, seq)) => Ok(Some((serde_json::from_slice(&bytes).map_err(Error::NotATicket)?, seq))),
    }
}

/// Who holds the ticket, as it is written beside a result. A revoked or missing one has no holder.
#[must_use]
pub fn holder(ticket: Ticket, seq: u64) -> Option<Holder> {
    match ticket {
        Ticket::Started { runner, nonce, pre_state, .. } => Some(Holder { seq, runner, nonce, pre_state }),
        Ticket::Revoked { .. } => None,
    }
}

/// Pulls the stop switch: writes the current number's subject, reads the number again and repeats if it moved.
/// Returns the number once no ticket under it can be won any more.
///
/// # Errors
/// [`Error`] when TICKETS does not take it.
pub async fn stop<F>(bus: &Bus, stop: &Stop, mut current: F) -> Result<u64, Error>
where
    F: AsyncFnMut() -> u64,
{
    let bytes = Bytes::from(serde_json::to_vec(stop).expect("invariant: wire types are plain data"));
    for _ in 0..STOP_TRIES {
        let stop_no = current().await;
        loop {
            match bus.port.publish(bus.names.stop(stop_no), HeaderMap::new(), bytes.clone()).await {
                Ok(_) => break,
                Err(publish::Error::InDoubt(_)) => tokio::time::sleep(RETRY_PAUSE).await,
                Err(_) if stopped(bus, stop_no).await?.is_some() => break,
                Err(error) => return Err(Error::Refused(error)),
            }
        }
        if current().await == stop_no {
            return Ok(stop_no);
        }
    }
    Err(Error::Moving)
}

/// Whether the switch of this number is on, and who pulled it.
///
/// # Errors
/// [`Error`] when TICKETS can't be read.
pub async fn stopped(bus: &Bus, stop_no: u64) -> Result<Option<Stop>, Error> {
    Ok(pulled(bus, stop_no).await?.map(|(stop, _)| stop))
}

/// As [`stopped`], with the switch's sequence.
///
/// # Errors
/// [`Error`] when TICKETS can't be read.
pub async fn pulled(bus: &Bus, stop_no: u64) -> Result<Option<(Stop, u64)>, Error> {
    match last(bus, &bus.names.stop(stop_no)).await? {
        None => Ok(None),
        Some((bytes, seq)) => Ok(Some((serde_json::from_slice(&bytes).map_err(Error::NotATicket)?, seq))),
    }
}

/// A random id for one process.
#[must_use]
pub fn nonce(bus: &Bus) -> Nonce {
    Nonce::from(format!("{:016x}", bus.port.random()))
}

async fn last(bus: &Bus, subject: &str) -> Result<Option<(Bytes, u64)>, Error> {
    let found = bus.port.last(bus.names.tickets(), subject.into()).await.map_err(Error::Unreadable)?;
    Ok(found.map(|message| (message.payload, message.seq)))
}
