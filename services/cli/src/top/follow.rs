//! What `top` looks at, as it changes. The log is folded once and then followed record by record, as a standby does;
//! nothing is folded a second time unless it can't be followed any more.

use std::{convert::Infallible, sync::Arc, time::Duration};

use regreen_bus::{Bus, reader::Reader, tick, tickets, view};
use regreen_decider::State;
use regreen_engine::recover::{self, Recovered};
use regreen_kit::{clock, errors::chain};
use regreen_schemas::{PlaybookName, RunId, Span, Timestamp, run::RunResult, story::Story, view::Checks};
use tokio::{sync::watch, time::Instant};

use super::board::{Board, Inputs};
use crate::wrong::Engine;

/// Ended runs that are shown.
const ENDED_MAX: usize = 20;
/// Pause before a log that can't be followed is folded again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often the stop switch is asked for: without an engine nobody writes into the log that it was pulled.
const STOP_EVERY: Duration = Duration::from_secs(2);

/// The log as of its newest record.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its fold.
    pub state: State,
    /// Runs that ended lately, oldest first.
    pub ended: Vec<Ended>,
    /// Why it is not as of the newest record.
    pub trouble: Option<String>,
}

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The run.
    pub run: RunId,
    /// Its playbook.
    pub playbook: PlaybookName,
    /// Its target's name.
    pub target: Option<Arc<str>>,
    /// How it ended.
    pub result: RunResult,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

impl Seen {
    /// What is folded now.
    pub fn of(recovered: &Recovered) -> Self {
        let newest = recovered.ended.len().saturating_sub(ENDED_MAX);
        let ended = recovered.ended[newest..].iter().filter_map(ended).collect();
        Self { state: recovered.state.clone(), ended, trouble: None }
    }
}

fn ended(story: &Story) -> Option<Ended> {
    Some(Ended {
        run: story.run.clone(),
        playbook: story.playbook.clone(),
        target: story.target.clone(),
        result: story.result?,
        started: story.started,
        ended: story.ended?,
    })
}

/// Everything that a board is made of, each followed in the background through every disconnect.
pub struct Feeds {
    bus: Bus,
    /// The log.
    pub seen: watch::Receiver<Seen>,
    ticks: watch::Receiver<Option<tick::Heard>>,
    checks: watch::Receiver<Option<Checks>>,
    stopped: watch::Receiver<Option<Arc<str>>>,
    opened: Instant,
}

impl Feeds {
    /// Folds the log and follows it from there.
    ///
    /// # Errors
    /// When the log can't be folded, or the tick not be heard.
    pub async fn open(bus: &Bus) -> anyhow::Result<Self> {
        let recovered = recover::recover(bus).await?;
        let seen = follow(bus, recovered);
        let (ticks, checks) = (tick::follow(bus).await?, view::follow_checks(bus));
        let stopped = follow_stop(bus, seen.clone());
        Ok(Self { bus: bus.clone(), seen, ticks, checks, stopped, opened: Instant::now() })
    }

    /// The board of this moment.
    pub fn board(&self) -> Board {
        // Cloned, not borrowed: whoever folds shall not wait for whoever draws.
        let (mut seen, checks) = (self.seen.borrow().clone(), self.checks.borrow().clone());
        let (tick, stopped) = (self.ticks.borrow().clone(), self.stopped.borrow().clone());
        if !self.bus.is_connected() {
            seen.trouble.get_or_insert_with(|| "no connection to NATS".to_owned());
        }
        // Ages are told by the engine's clock, as far as it is heard.
        let now = tick.as_ref().and_then(tick::Heard::now).unwrap_or_else(clock::wall);
        let inputs = Inputs {
            seen: &seen,
            checks: checks.as_ref(),
            stopped: stopped.as_deref(),
            engine: self.engine(tick.as_ref(), now - seen.state.now),
            tick: tick.as_ref().map(super::age),
        };
        Board::new(&inputs, now)
    }

    /// Who has only just begun to listen can't tell yet.
    fn engine(&self, tick: Option<&tick::Heard>, silence: Span) -> Engine {
        let quiet = tick.map_or_else(|| self.opened.elapsed(), tick::Heard::age);
        if quiet < tick::SILENCE_MAX { Engine::Heard } else { Engine::Silent(silence) }
    }
}

fn follow(bus: &Bus, mut recovered: Recovered) -> watch::Receiver<Seen> {
    let (newest, seen) = watch::channel(Seen::of(&recovered));
    let bus = bus.clone();
    tokio::spawn(async move {
        loop {
            let Err(error) = fold_on(&bus, &mut recovered, &newest).await;
            newest.send_modify(|seen| seen.trouble = Some(chain(&error)));
            recovered = anew(&bus, &newest).await;
            newest.send_replace(Seen::of(&recovered));
        }
    });
    seen
}

/// Folds each record as it comes, until that is no longer possible.
async fn fold_on(
    bus: &Bus,
    recovered: &mut Recovered,
    newest: &watch::Sender<Seen>,
) -> Result<Infallible, recover::Error> {
    let mut reader = Reader::new(bus, bus.names.decisions(), recovered.tail.seq);
    loop {
        let stored = reader.next().await?;
        let record = recovered.read(&stored)?;
        recovered.fold(&record, &stored)?;
        recovered.prove()?;
        newest.send_replace(Seen::of(recovered));
    }
}

/// The log from its newest snapshot, as soon as it can be had.
async fn anew(bus: &Bus, newest: &watch::Sender<Seen>) -> Recovered {
    loop {
        tokio::time::sleep(AGAIN).await;
        match recover::recover(bus).await {
            Ok(recovered) => return recovered,
            Err(error) => newest.send_modify(|seen| seen.trouble = Some(chain(&error))),
        }
    }
}

/// Who pulled the switch that is on. While it can't be asked for, what was known stands.
fn follow_stop(bus: &Bus, seen: watch::Receiver<Seen>) -> watch::Receiver<Option<Arc<str>>> {
    let (newest, stopped) = watch::channel(None);
    let bus = bus.clone();
    tokio::spawn(async move {
        while !newest.is_closed() {
            let stop_no = seen.borrow().state.stop_no;
            if let Ok(stop) = tickets::stopped(&bus, stop_no).await {
                newest.send_replace(stop.map(|stop| stop.by));
            }
            tokio::time::sleep(STOP_EVERY).await;
        }
    });
    stopped
}
