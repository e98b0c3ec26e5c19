//! What flows to the shell: facts in order, and the tickets that stand for results.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use regreen_bus::{
    Bus,
    reader::{Gap, Reader, Stored},
    streams, tickets,
};
use regreen_schemas::{
    Instance, RunId,
    fact::{self, Item, Operator, Reconciled},
    subject::FactKind,
    ticket::{Holder, Stop, Ticket},
};
use tokio::sync::mpsc;

use crate::task::Owned;

/// Facts that may wait for the shell: each may be as large as a message.
const QUEUE_MAX: usize = 32;
/// Pause before FACTS is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Tickets remembered; an older one is asked of the server.
const HOLDERS_MAX: usize = 50_000;

/// Starts reading FACTS after a position.
pub fn facts(bus: &Bus, after: u64) -> mpsc::Receiver<Result<Stored, Gap>> {
    let mut reader = Reader::new(bus, bus.names.facts(), after);
    let (queue, facts) = mpsc::channel(QUEUE_MAX);
    tokio::spawn(async move {
        loop {
            let next = reader.next().await;
            let broken = next.is_err();
            if queue.send(next).await.is_err() || broken {
                return;
            }
        }
    });
    facts
}

/// Waits until a person says from where a frozen domain goes on: only what is said from now on counts. FACTS may be
/// anything by now, so nothing else in it is read.
pub async fn reconciled(bus: Bus) -> (String, Reconciled) {
    loop {
        let Ok(extent) = streams::extent(&bus, bus.names.facts()).await else {
            tokio::time::sleep(ASK_AGAIN).await;
            continue;
        };
        let mut reader = Reader::new(&bus, bus.names.facts(), extent.last);
        // A gap: FACTS was changed once more.
        while let Ok(stored) = reader.next().await {
            let Some((FactKind::Operator, by)) = bus.names.parse_fact(&stored.subject) else { continue };
            let items = fact::decode(FactKind::Operator, &stored.payload).unwrap_or_default();
            for item in items {
                if let Item::Operator(Operator::Reconciled(what)) = item {
                    return (by.to_owned(), what);
                }
            }
        }
    }
}

/// A stop switch seen in TICKETS.
#[derive(Debug)]
pub struct Pulled {
    /// Its number.
    pub stop_no: u64,
    /// Who, and why.
    pub stop: Stop,
    /// Its sequence.
    pub seq: u64,
}

/// Follows TICKETS: remembers holders, reports stops.
#[derive(Debug)]
pub struct Tickets {
    bus: Bus,
    known: Arc<Mutex<Known>>,
    // Held: the follower ends with it.
    _follower: Owned<()>,
}

#[derive(Debug, Default)]
struct Known {
    newest: u64,
    holders: HashMap<String, Holder>,
    order: VecDeque<String>,
}

impl Tickets {
    /// Starts following after a position.
    pub fn follow(bus: &Bus, after: u64) -> (Self, mpsc::Receiver<Result<Pulled, Gap>>) {
        let known = Arc::new(Mutex::new(Known { newest: after, ..Known::default() }));
        let mut reader = Reader::new(bus, bus.names.tickets(), after);
        let (queue, stops) = mpsc::channel(64);
        let (tickets, names) = (known.clone(), bus.names.clone());
        let follower = Owned::spawn(async move {
            loop {
                let stored = match reader.next().await {
                    Ok(stored) => stored,
                    Err(gap) => {
                        // The shell freezes on it; if it has ended already there is nobody to tell.
                        let _ = queue.send(Err(gap)).await;
                        return;
                    }
                };
                let pulled = match names.parse_stop(&stored.subject) {
                    None => {
                        note(&tickets, stored);
                        continue;
                    }
                    Some(stop_no) => {
                        // An unreadable stop is a stop all the same: the server refuses tickets by its presence.
                        let by = || Stop { v: 1, by: "unreadable".into(), reason: "".into() };
                        let stop = serde_json::from_slice(&stored.payload).unwrap_or_else(|_| by());
                        Pulled { stop_no, stop, seq: stored.seq }
                    }
                };
                if queue.send(Ok(pulled)).await.is_err() {
                    return;
                }
            }
        });
        (Self { bus: bus.clone(), known, _follower: follower }, stops)
    }

    /// The newest ticket that was seen.
    ///
    /// # Panics
    /// Never: nobody panics with the map in hand.
    pub fn newest(&self) -> u64 {
        self.known.lock().expect("invariant: nobody panics with the map in hand").newest
    }

    /// Who holds the ticket of an attempt: from memory, else from the server.
    ///
    /// # Errors
    /// When the server can't say.
    pub async fn holder(
        &self,
        run: &RunId,
        instance: &Instance,
        attempt: u32,
    ) -> Result<Option<Holder>, tickets::Error> {
        let subject = self.bus.names.ticket(run, instance, attempt);
        if let Some(holder) =
            self.known.lock().expect("invariant: nobody panics with the map in hand").holders.get(&subject)
        {
            return Ok(Some(holder.clone()));
        }
        let found = tickets::read(&self.bus, run, instance, attempt).await?;
        Ok(found.and_then(|(ticket, seq)| tickets::holder(ticket, seq)))
    }
}

fn note(known: &Mutex<Known>, stored: Stored) {
    known.lock().expect("invariant: nobody panics with the map in hand").newest = stored.seq;
    let holder = serde_json::from_slice::<Ticket>(&stored.payload)
        .ok()
        .and_then(|ticket| tickets::holder(ticket, stored.seq));
    let Some(holder) = holder else { return };
    let mut known = known.lock().expect("invariant: nobody panics with the map in hand");
    if known.order.len() >= HOLDERS_MAX
        && let Some(oldest) = known.order.pop_front()
    {
        known.holders.remove(&oldest);
    }
    known.order.push_back(stored.subject.clone());
    known.holders.insert(stored.subject, holder);
}
