//! Looks every half minute, and after each reconnect, whether the streams still are what the log was made from
//! (rule 4) and whether the clocks agree (rule 12). A miss freezes; clocks apart make suspect.

use std::time::Duration;

use regreen_bus::{Bus, streams, writer::Writer};
use regreen_kit::clock;
use regreen_schemas::{
    Span, Timestamp, event::Streams, fact, hash::h, id::Nonce, record::Cursor, ticket::Ticket,
};

use crate::Error;

/// How often it is looked.
pub const EVERY: Duration = Duration::from_secs(30);

/// Longest time for storing `here`, for the clocks to be compared by it.
const STORE_MAX: Span = Span::seconds(5);

/// What the log says of the streams.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Up to where FACTS is decided.
    pub cursor: Cursor,
    /// H of the message there.
    pub fact_hash: std::sync::Arc<str>,
    /// Newest acknowledged record.
    pub tail: u64,
    /// When the streams were created.
    pub created: Option<Streams>,
    /// Tickets up to this one may name records that are gone.
    pub reconciled_tickets: u64,
}

/// What a fact message is recognised by.
pub fn fact_hash(payload: &[u8]) -> std::sync::Arc<str> {
    h(&[payload]).into()
}

/// Compares the streams with the log. `Ok(Some(why))`: they are not what they were.
///
/// # Errors
/// When the server does not answer: nothing is concluded from that.
pub async fn look(bus: &Bus, expected: &Expected) -> Result<Option<String>, Error> {
    let created = match streams::created(bus).await {
        Ok(created) => created,
        Err(missing @ streams::Error::Missing { .. }) => return Ok(Some(missing.to_string())),
        Err(error) => return Err(error.into()),
    };
    if let Some(wanted) = expected.created.filter(|wanted| *wanted != created) {
        return Ok(Some(format!("a stream was made anew: {created:?} is found, {wanted:?} was known")));
    }
    if let Some(why) = facts_agree(bus, expected.cursor, &expected.fact_hash).await? {
        return Ok(Some(why));
    }
    newest_ticket(bus, expected).await
}

/// Whether FACTS holds what was decided. `Ok(Some(why))`: it does not.
///
/// # Errors
/// When the server does not answer.
pub async fn facts_agree(
    bus: &Bus,
    cursor: Cursor,
    fact_hash_there: &str,
) -> Result<Option<String>, streams::Error> {
    let cursor = cursor.seq;
    let facts = streams::extent(bus, bus.names.facts()).await?;
    if facts.first > cursor + 1 || facts.last < cursor {
        let (first, last) = (facts.first, facts.last);
        return Ok(Some(format!("FACTS holds {first} to {last}, and {cursor} is decided")));
    }
    if cursor >= facts.first && cursor > 0 && !fact_hash_there.is_empty() {
        let found = fact_hash(&streams::message(bus, bus.names.facts(), cursor).await?.payload);
        if *found != *fact_hash_there {
            return Ok(Some(format!("fact {cursor} is not the one that was decided")));
        }
    }
    Ok(None)
}

/// No ticket names a decision beyond the tail: else DECISIONS was cut.
async fn newest_ticket(bus: &Bus, expected: &Expected) -> Result<Option<String>, Error> {
    let tickets = streams::extent(bus, bus.names.tickets()).await?;
    if tickets.last <= expected.reconciled_tickets || tickets.first > tickets.last {
        return Ok(None);
    }
    // A pulled stop switch stands there too: it names no decision.
    let newest = streams::message(bus, bus.names.tickets(), tickets.last).await?;
    let Ok(ticket) = serde_json::from_slice(&newest.payload) else { return Ok(None) };
    let (Ticket::Started { decision_seq, .. } | Ticket::Revoked { decision_seq, .. }) = ticket;
    // Newer records may have been acknowledged since the look began.
    let tail = expected.tail.max(streams::extent(bus, bus.names.decisions()).await?.last);
    Ok((decision_seq > tail)
        .then(|| format!("a ticket names record {decision_seq} of DECISIONS, which ends at {tail}")))
}

/// What we said of ourselves, and what the clocks said at that moment.
#[derive(Clone, Copy, Debug)]
pub struct Here {
    /// Sequence of the fact.
    pub seq: u64,
    /// When the stream stored it: T of rule 12.
    pub at: Timestamp,
    /// The same, carried forward.
    pub stream: clock::Carried,
    /// Server minus engine.
    pub skew: Span,
}

/// Says `here`, and reads back when the stream stored it.
///
/// # Errors
/// When it is not stored, or can't be read back.
pub async fn here(bus: &Bus, own: &Writer, owner: &Nonce) -> Result<Here, Error> {
    loop {
        let (wall, began) = (clock::wall(), clock::boot());
        let seq = own.store(&fact::Engine::Here { boot: owner.clone(), wall }).await?.seq;
        let took = Span(clock::boot().0 - began.0);
        let at = streams::message(bus, bus.names.facts(), seq).await?.time;
        // A store that took long says nothing about the clocks.
        if took < STORE_MAX {
            return Ok(Here { seq, at, stream: clock::Carried::from(at), skew: at - wall });
        }
    }
}
