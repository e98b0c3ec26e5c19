//! The loop that performs commands. For each: may it still begin (rule 19)? is the ticket ours (rules 15, 16, 18)?
//! then the call, bounded twice, and its outcome into the journal and FACTS.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use regreen_bus::{
    Bus, commands,
    port::{self, Delivery},
    tick::{self, Heard},
    tickets::{self, Taken},
    writer::Writer,
};
use regreen_kit::{Shutdown, clock, trace};
use regreen_schemas::{
    Instance, RunId, Span, Timestamp, WIRE_VERSION, Zone,
    action::Effect,
    command::{Command, Kind},
    fact::{NotCalled, Outcome, Serves, Timing, Verb},
    id::{Nonce, RunnerName},
    mutation::{self, Mutation},
    subject::FactKind,
    ticket::Ticket,
};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::{Action, Call, Metrics, alarm::Alarm, journal::Journal};

/// Longest time between the ticket and the call (rule 18).
const CALL_WINDOW: Span = Span::seconds(5);
/// Longest time for the look before a call. With the connection's it is below the redelivery of a command.
const BEFORE_MAX: Duration = Duration::from_secs(3);
/// Longest time for a call's connection.
const OPENING_MAX: Duration = Duration::from_secs(5);
/// Patience of one try to store an outcome; there is always another.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
/// Pause before a consumer that broke is opened again.
const REOPEN_PAUSE: Duration = Duration::from_millis(300);
/// Attempts remembered before those that are over are first looked for.
const BEGUN_MAX: usize = 10_000;
/// How much longer than its call may take.
const BEGUN_MARGIN: Span = Span::minutes(1);
/// Largest result that is stored (rule 28).
const RESULT_BYTES_MAX: usize = 16 * 1024;

/// How a host runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name: configured, survives restarts.
    pub name: RunnerName,
    /// Where it stands.
    pub zone: Zone,
    /// Where its journal is kept.
    pub journal: PathBuf,
    /// Calls at the same time.
    pub at_once: usize,
    /// Whether the hard deadline may end the process: only where the host is alone in it.
    pub ends_process: bool,
    /// Where its calls are counted.
    pub metrics: Metrics,
}

/// A host of actions.
pub struct Host {
    bus: Bus,
    options: Options,
    nonce: Nonce,
    actions: BTreeMap<&'static str, Box<dyn Action>>,
    heard: watch::Receiver<Option<Heard>>,
    outcomes: Writer,
    journal: Journal,
    alarm: Alarm,
    begun: Mutex<Begun>,
}

/// Attempts that this process has seen, until they are over.
struct Begun {
    over: HashMap<(RunId, Instance, u32), Timestamp>,
    /// As many as this, those that are over are looked for: then twice as many as were left, so that each command pays
    /// for a few of them and not for all.
    look_at: usize,
}

impl Default for Begun {
    fn default() -> Self {
        Self { over: HashMap::new(), look_at: BEGUN_MAX }
    }
}

impl Begun {
    fn first(&mut self, key: (RunId, Instance, u32), over: Timestamp, now: Option<Timestamp>) -> bool {
        if self.over.len() >= self.look_at
            && let Some(now) = now
        {
            self.over.retain(|_, over| *over >= now);
            self.look_at = BEGUN_MAX.max(self.over.len() * 2);
        }
        self.over.insert(key, over).is_none()
    }
}

/// Why a host can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal.
    #[error("the journal {path} can't be used")]
    Journal {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The tick can't be heard.
    #[error("the tick can't be followed")]
    Tick(#[from] port::Error),
    /// What it serves can't be said.
    #[error("what this host serves is not stored")]
    Serves(#[from] regreen_bus::writer::NotStored),
}

/// Runs a host until it is told to end; calls under way are finished first.
///
/// # Errors
/// [`Error`] when it can't start.
pub async fn run(
    bus: Bus,
    options: Options,
    actions: Vec<Box<dyn Action>>,
    mut shutdown: Shutdown,
) -> Result<(), Error> {
    let path = options.journal.clone();
    let (journal, left) = Journal::open(&path).map_err(|source| Error::Journal { path, source })?;
    let nonce = tickets::nonce(&bus);
    let serves = Serves {
        nonce: nonce.clone(),
        zone: options.zone.clone(),
        actions: actions
            .iter()
            .map(|action| (action.declaration().name.into(), action.declaration().hash().into()))
            .collect(),
        credentials: actions
            .iter()
            .filter_map(|action| Some((action.declaration().provider().into(), action.credential()?)))
            .collect(),
    };
    actions.iter().for_each(|action| options.metrics.serves(action.declaration().name));
    let host = Arc::new(Host {
        heard: tick::follow(&bus).await?,
        outcomes: Writer::start(&bus, FactKind::Result, options.name.as_str(), STORE_PATIENCE),
        alarm: Alarm::new(options.ends_process),
        actions: actions.into_iter().map(|action| (action.declaration().name, action)).collect(),
        bus,
        options,
        nonce,
        journal,
        begun: Mutex::default(),
    });
    for outcome in left {
        let host = host.clone();
        tokio::spawn(async move { host.store(outcome).await });
    }
    Writer::start(&host.bus, FactKind::Serves, host.options.name.as_str(), Duration::from_secs(60))
        .store(&serves)
        .await?;
    let hands = Arc::new(Semaphore::new(host.options.at_once));
    let providers: std::collections::BTreeSet<&str> =
        host.actions.values().map(|action| action.declaration().provider()).collect();
    let mut consumers = tokio::task::JoinSet::new();
    for provider in providers {
        consumers.spawn(host.clone().consume(provider, hands.clone()));
    }
    shutdown.wait().await;
    consumers.shutdown().await;
    // Every hand comes back when its call is settled and stored.
    let all = u32::try_from(host.options.at_once).unwrap_or(u32::MAX);
    drop(hands.acquire_many(all).await);
    Ok(())
}

impl Host {
    /// Takes commands of one provider, through every disconnect.
    async fn consume(self: Arc<Self>, provider: &'static str, hands: Arc<Semaphore>) {
        let mut connects = self.bus.connects();
        loop {
            connects.mark_unchanged();
            let mut messages = match commands::take(&self.bus, &self.options.zone, provider).await {
                Ok(messages) => messages,
                Err(error) => {
                    tracing::debug!(%error, provider, "commands can't be taken yet");
                    tokio::time::sleep(REOPEN_PAUSE).await;
                    continue;
                }
            };
            loop {
                let next = tokio::select! {
                    biased;
                    next = messages.next() => next,
                    _ = connects.changed() => None,
                };
                let Some(Ok(message)) = next else { break };
                let Ok(hand) = hands.clone().acquire_owned().await else { return };
                let host = self.clone();
                tokio::spawn(async move {
                    host.command(message).await;
                    drop(hand);
                });
            }
        }
    }

    async fn command(&self, message: Delivery) {
        let command: Command = match serde_json::from_slice(&message.payload) {
            Ok(command) => command,
            Err(error) => {
                tracing::error!(%error, "a command that can't be read is dropped; its deadline will find it");
                ack(message).await;
                return;
            }
        };
        if let Some(outcome) = self.perform(&command, message).await {
            if let Some(action) = self.actions.get(command.task.action.as_ref()) {
                self.options.metrics.ended(action.declaration().name, &outcome.outcome);
            }
            self.store(outcome).await;
        }
    }

    fn outcome(&self, command: &Command, outcome: Verb, timing: Option<Timing>) -> Outcome {
        let Command { run, instance, attempt, .. } = command.clone();
        Outcome { run, instance, attempt, nonce: self.nonce.clone(), outcome, timing, rate: None }
    }

    /// `claim_by` is in the engine's time, heard by the tick; in silence nothing begins. The engine's time, when there
    /// is some left.
    fn in_time(&self, command: &Command) -> Option<Timestamp> {
        let now = self.heard.borrow().as_ref().and_then(Heard::now);
        now.filter(|now| *now <= command.task.claim_by)
    }

    fn late(&self, command: &Command, detail: &str) -> Outcome {
        self.outcome(command, Verb::NotCalled { reason: NotCalled::Late, detail: detail.into() }, None)
    }

    /// Everything between a command and its outcome; `None` when the attempt is another's.
    async fn perform(&self, command: &Command, message: Delivery) -> Option<Outcome> {
        let not_called = |reason, detail: String| {
            Some(self.outcome(command, Verb::NotCalled { reason, detail: detail.into() }, None))
        };
        // Whatever is said of a second copy would be taken for word of the first, which may be calling.
        if command.task.kind == Kind::Perform && !self.first_copy(command) {
            ack(message).await;
            return None;
        }
        let prepared = match self.actions.get(command.task.action.as_ref()) {
            _ if command.v != WIRE_VERSION => {
                Err((NotCalled::Refused, format!("wire version {}", command.v)))
            }
            None => Err((NotCalled::Refused, format!("{} is not served here", command.task.action))),
            Some(action) => action.prepare(command).map_err(|refusal| (refusal.reason, refusal.detail)),
        };
        let mut call = match prepared {
            Ok(call) => call,
            Err((reason, detail)) => {
                ack(message).await;
                return not_called(reason, detail);
            }
        };
        if self.in_time(command).is_none() {
            ack(message).await;
            return Some(self.late(command, "claim_by has passed, or the engine is silent"));
        }
        let outcome = self.called(command, call.as_mut(), message).await?;
        Some(Outcome { rate: call.rate(), ..outcome })
    }

    /// A call that is ready, as its effect class wants it.
    async fn called(&self, command: &Command, call: &mut dyn Call, message: Delivery) -> Option<Outcome> {
        match (command.task.kind, command.task.effect) {
            (Kind::Observe(look), _) => {
                ack(message).await;
                Some(self.observe(command, call, look).await)
            }
            (Kind::Perform, Effect::Idempotent) if mutation::is(Mutation::NoTicket) => {
                ack(message).await;
                Some(self.call(command, call).await)
            }
            (Kind::Perform, Effect::Read) => {
                ack(message).await;
                Some(self.call(command, call).await)
            }
            (Kind::Perform, _) => self.with_ticket(command, call, message).await,
        }
    }

    /// Whether this process sees the attempt for the first time. Remembered for longer than the first may be calling:
    /// a copy that comes after `claim_by` must not speak for it either.
    fn first_copy(&self, command: &Command) -> bool {
        let now = self.heard.borrow().as_ref().and_then(Heard::now);
        let over = command.task.claim_by + CALL_WINDOW + command.task.timeout + BEGUN_MARGIN;
        let key = (command.run.clone(), command.instance.clone(), command.attempt);
        self.begun.lock().expect("invariant: nobody panics with the map in hand").first(key, over, now)
    }

    /// Wins the ticket, then calls; the ticket decides the command.
    async fn with_ticket(
        &self,
        command: &Command,
        call: &mut dyn Call,
        message: Delivery,
    ) -> Option<Outcome> {
        // A service that hangs must still be repaired: what can't be seen before the call is not seen.
        let pre_state = tokio::time::timeout(BEFORE_MAX, call.before()).await.ok().flatten().filter(small);
        if tokio::time::timeout(OPENING_MAX, call.open()).await.is_err() {
            ack(message).await;
            return Some(self.late(command, "the connection took too long"));
        }
        // Meanwhile its time may have passed.
        if self.in_time(command).is_none() {
            ack(message).await;
            return Some(self.late(command, "claim_by has passed, or the engine is silent"));
        }
        let ticket = Ticket::Started {
            v: WIRE_VERSION,
            runner: self.options.name.clone(),
            nonce: self.nonce.clone(),
            decision_seq: command.decision_seq,
            pre_state,
        };
        // Class *tell* goes without the stop's guard: a stopped system must still be able to say so.
        let guard = (command.task.effect != Effect::Tell && !mutation::is(Mutation::NoStopGuard))
            .then_some(command.stop_no);
        let sent = clock::boot();
        let taken =
            tickets::take(&self.bus, (&command.run, &command.instance, command.attempt), &ticket, guard)
                .await;
        ack(message).await;
        match taken {
            // A ticket that reads as ours is ours only in this process: a twin has another nonce.
            Ok(Taken::Won { .. }) if clock::boot().0 - sent.0 < CALL_WINDOW.0 => {
                Some(self.call(command, call).await)
            }
            Ok(Taken::Won { .. }) => {
                Some(self.late(command, "the call window had closed when the ticket was won"))
            }
            Ok(Taken::Lost(..)) => None,
            Ok(Taken::Stopped) => {
                let detail = format!("stop switch {} is on", command.stop_no).into();
                Some(self.outcome(command, Verb::NotCalled { reason: NotCalled::Stopped, detail }, None))
            }
            Err(error) => {
                tracing::error!(%error, run = %command.run, "no ticket; the attempt is left to its deadline");
                None
            }
        }
    }

    /// The call, bounded by its timeout, and by the process's end beyond that.
    async fn call(&self, command: &Command, call: &mut dyn Call) -> Outcome {
        let armed = self.alarm.arm(command.task.timeout);
        let _span = trace::span(&format!("call {}", command.task.action), command.trace.as_deref());
        let began = clock::wall();
        let verb = tokio::time::timeout(command.task.timeout.to_std(), call.perform()).await;
        drop(armed);
        let verb = verb.unwrap_or_else(|_| Verb::Unknown {
            reason: format!("no answer within {}", command.task.timeout).into(),
        });
        tracing::debug!(run = %command.run, instance = %command.instance, attempt = command.attempt, action = %command.task.action, "called");
        self.outcome(command, bounded(verb), Some(Timing { began, ended: clock::wall() }))
    }

    async fn observe(&self, command: &Command, call: &dyn Call, look: u8) -> Outcome {
        let before = match tickets::read(&self.bus, &command.run, &command.instance, command.attempt).await {
            Ok(Some((Ticket::Started { pre_state, .. }, _))) => pre_state,
            _ => None,
        };
        let looked = tokio::time::timeout(command.task.timeout.to_std(), call.observe(look, before)).await;
        let verb =
            looked.unwrap_or_else(|_| Verb::Unknown { reason: "the look had no answer in time".into() });
        self.outcome(command, verb, None)
    }

    /// Keeps the outcome until FACTS has it.
    async fn store(&self, outcome: Outcome) {
        self.options.metrics.waits();
        let kept = self.journal.keep(&outcome);
        if let Err(error) = &kept {
            tracing::error!(%error, "an outcome is not in the journal; if this process ends now it is unknown");
        }
        while let Err(error) = self.outcomes.store(&outcome).await {
            tracing::warn!(%error, run = %outcome.run, "an outcome is not stored yet");
        }
        self.options.metrics.stored();
        if let Ok(n) = kept {
            self.journal.stored(n);
        }
    }
}

fn small(value: &Value) -> bool {
    serde_json::to_vec(value).is_ok_and(|bytes| bytes.len() <= RESULT_BYTES_MAX)
}

/// A result that is too large is not stored: the step is done all the same.
fn bounded(verb: Verb) -> Verb {
    match verb {
        Verb::Ok { result } if !small(&result) => {
            let mut small = serde_json::json!({"cut": format!("a result larger than {RESULT_BYTES_MAX} bytes is not kept")});
            if let Some(status) = result.get("status") {
                small["status"] = status.clone();
            }
            Verb::Ok { result: small }
        }
        Verb::Ok { result: Value::Null } => Verb::Ok { result: serde_json::json!({}) },
        other => other,
    }
}

async fn ack(message: Delivery) {
    // A lost ack brings the command again, and its ticket stands in the way.
    if let Err(error) = message.done.await {
        tracing::debug!(%error, "a command is not acknowledged");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_forgotten_and_nothing_else() {
        let mut begun = Begun::default();
        let first = |begun: &mut Begun, n: usize, over: i64, now: i64| {
            let key = (RunId::from(format!("run{n}")), Instance::from("step"), 1);
            begun.first(key, Timestamp(over), Some(Timestamp(now)))
        };
        assert!((0..BEGUN_MAX).all(|n| first(&mut begun, n, if n % 2 == 0 { 10 } else { 99 }, 5)));
        assert!(first(&mut begun, BEGUN_MAX, 99, 11));
        assert_eq!(begun.over.len(), BEGUN_MAX / 2 + 1, "half of them are over");
        assert!(!first(&mut begun, 1, 99, 11), "it may still be calling");
        assert!(first(&mut begun, 0, 99, 11));
    }
}
