//! `systemd.get`, `start`, `stop`, `restart`: a job of the manager, waited for, and believed only when the unit has been
//! seen to stay as it shall be. A restart is proven by a new invocation: a unit that merely runs may be the old one.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::BoxFuture;
use regreen_action::{Call, Refusal, params};
use regreen_schemas::{
    Span,
    command::Command,
    fact::{Answer, Verb},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    Options,
    options::unit,
    show::{Invocation, Shown, Unit},
};
use crate::rest::{Class, Patience, Question, Wrong, asking};

/// A unit must stay as it shall be for so long: many fail a moment after they were started.
const HOLD: Duration = Duration::from_secs(2);
/// Shorter than this there is no time for the job itself.
const TIMEOUT_MIN: Duration = HOLD.saturating_add(Duration::from_secs(1));
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(250);
/// So much before the host would give up, we do: with what was seen last.
const MARGIN: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct Params {
    unit: String,
}

/// The unit of a command, if the list has it.
fn allowed(options: &Options, command: &Command) -> Result<Unit, Refusal> {
    let Params { unit: given } = params(command)?;
    let name = unit(&given).map_err(Refusal::refused)?;
    if !options.units.iter().any(|own| unit(own).as_ref() == Ok(&name)) {
        return Err(Refusal::refused(format!(
            "`{name}` is not among `providers.host.units` of this runner: add it there, if it may be touched"
        )));
    }
    Ok(Unit { systemctl: options.systemctl.clone(), name })
}

pub fn get(options: Arc<Options>, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    Ok(asking(Get(allowed(&options, command)?)))
}

pub fn start(options: Arc<Options>, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    job(&options, command, Wish::Up)
}

pub fn stop(options: Arc<Options>, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    job(&options, command, Wish::Down)
}

pub fn restart(options: Arc<Options>, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    job(&options, command, Wish::Anew)
}

struct Get(Unit);

impl Question for Get {
    async fn answer(&self) -> Result<Value, Wrong> {
        let shown = self.0.show().await?;
        if shown.is_there() { Ok(shown.json()) } else { Err(not_there(&self.0, &shown)) }
    }
}

fn not_there(unit: &Unit, shown: &Shown) -> Wrong {
    Wrong::permanent(format!("{} is {}: look at its file on this machine", unit.name, shown.load))
}

/// How the unit shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Up,
    Down,
    /// Up, and not the one that ran before.
    Anew,
}

impl Wish {
    fn verb(self) -> &'static str {
        match self {
            Self::Up => "start",
            Self::Down => "stop",
            Self::Anew => "restart",
        }
    }

    fn is(self, shown: &Shown, before: &Invocation) -> bool {
        match self {
            Self::Up => shown.is_active(),
            Self::Down => shown.is_down(),
            Self::Anew => shown.is_active() && shown.invocation != *before,
        }
    }
}

/// What the ticket keeps.
#[derive(Deserialize, Serialize)]
struct Before {
    invocation: Invocation,
}

struct Job {
    unit: Unit,
    wish: Wish,
    timeout: Span,
    before: OnceLock<Result<Shown, Wrong>>,
}

fn job(options: &Options, command: &Command, wish: Wish) -> Result<Box<dyn Call>, Refusal> {
    let (unit, timeout) = (allowed(options, command)?, command.task.timeout);
    if timeout.to_std() <= TIMEOUT_MIN {
        return Err(Refusal::refused(format!(
            "a timeout of {timeout} is too short: a unit is watched for {HOLD:?} after its job"
        )));
    }
    Ok(Box::new(Job { unit, wish, timeout, before: OnceLock::new() }))
}

impl Job {
    /// Asks for it, and watches until it is proven.
    async fn done(&self) -> Result<Shown, Wrong> {
        let until = Instant::now() + self.timeout.to_std().saturating_sub(MARGIN);
        let unseen = || Wrong::not_yet(format!("{} was not looked at in time", self.unit.name));
        let before = self.before.get().cloned().unwrap_or_else(|| Err(unseen()))?;
        if !before.is_there() {
            return Err(not_there(&self.unit, &before));
        }
        let left = until.saturating_duration_since(Instant::now());
        self.unit.job(self.wish.verb(), left.saturating_sub(HOLD)).await?;
        self.held(&before.invocation, until).await
    }

    /// Whether it stays as it shall be. What was asked for is done: whatever else is seen, it is no sure failure.
    async fn held(&self, before: &Invocation, until: Instant) -> Result<Shown, Wrong> {
        let mut since: Option<(Instant, Shown)> = None;
        loop {
            let shown = self.unit.show().await.map_err(|wrong| Wrong::unknown(wrong.reason))?;
            since = match since {
                _ if !self.wish.is(&shown, before) => None,
                Some((at, first)) if first.invocation == shown.invocation => Some((at, shown.clone())),
                _ => Some((Instant::now(), shown.clone())),
            };
            if since.as_ref().is_some_and(|(at, _)| at.elapsed() >= HOLD) {
                return Ok(shown);
            }
            let over = since.is_none() && !shown.moves();
            if over || Instant::now() + PAUSE >= until {
                let (verb, name) = (self.wish.verb(), &self.unit.name);
                return Err(Wrong::unknown(format!("{verb} of {name} is over, and it is {}", shown.told())));
            }
            sleep(PAUSE).await;
        }
    }

    async fn look(&self, before: Option<Value>) -> Result<Answer, Wrong> {
        let Some(Before { invocation }) = before.and_then(|before| serde_json::from_value(before).ok())
        else {
            let state = format!("which invocation of {} ran before is not known", self.unit.name).into();
            return Ok(Answer::CannotTell { state });
        };
        let mut patience = Patience::new(self.timeout);
        loop {
            let shown = self.unit.show().await?;
            let is = self.wish.is(&shown, &invocation);
            if is && !shown.job {
                return Ok(Answer::Done { result: shown.json() });
            }
            // What was asked for may only just be on its way.
            let began = shown.invocation != invocation || patience.would_be_seen();
            if !shown.moves() && began {
                return Ok(Answer::NotDone);
            }
            if let Err(late) = patience.next(None).await {
                return Err(Wrong::not_yet(format!("{} is {}: {late}", self.unit.name, shown.told())));
            }
        }
    }
}

impl Call for Job {
    fn before(&self) -> BoxFuture<'_, Option<Value>> {
        Box::pin(async {
            let shown = self.unit.show().await;
            let kept =
                shown.as_ref().ok().map(|shown| json!(Before { invocation: shown.invocation.clone() }));
            // Looked at once: this is the only place.
            drop(self.before.set(shown));
            kept
        })
    }

    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            match self.done().await {
                Ok(shown) => shown.done(),
                Err(wrong) => wrong.verb(),
            }
        })
    }

    fn observe(&self, look: u8, before: Option<Value>) -> BoxFuture<'_, Verb> {
        Box::pin(async move {
            match self.look(before).await {
                Ok(answer) => Verb::Observed { look, answer },
                Err(wrong) => Wrong { class: Class::Transient, ..wrong }.verb(),
            }
        })
    }
}
