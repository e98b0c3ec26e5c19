//! `haproxy.config.put_server` and `remove_server`: the line of a server is edited, HAProxy is asked whether it would take
//! that, the file is replaced, and a new worker begins with what was set at runtime. Until the new one serves, the file of
//! before is at hand, and goes back when the old worker stays.

use std::{path::Path, time::Duration};

use futures::future::BoxFuture;
use regreen_action::{Call, Refusal, params};
use regreen_kit::clock;
use regreen_schemas::{
    command::Command,
    fact::{Answer, Verb},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        Balancer,
        options::Loader,
        params::{Server, server},
        place::Place,
        state,
    },
    address::Address,
    check::check,
    edit::{Wish, edit},
    file::{New, Old, aside},
    kept, master,
    save::save,
    text::Text,
    worker::{Loaded, worker},
};
use crate::{
    providers::turn::Turn,
    rest::{Class, Wrong},
};

/// Shortest time in which it can be done: less might end between the replaced file and the new worker.
const TIMEOUT_MIN: Duration = Duration::from_secs(15);
/// So much before the host would give up, we do, the last look included.
const MARGIN: Duration = Duration::from_secs(4);
/// Between two looks whether the new worker answers.
const PAUSE: Duration = Duration::from_millis(100);

/// A change of one balancer's configuration.
struct Change {
    place: Place,
    loader: Loader,
    server: Server,
    wish: Wish,
    turn: Turn,
    patience: Duration,
}

#[derive(Deserialize)]
struct Put {
    address: String,
    options: Option<String>,
}

pub fn put(balancer: &Balancer, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    let Put { address, options } = params(command)?;
    let address = Address::try_from(address)
        .map_err(|address| Refusal::refused(format!("`{address}` is no address of a server: host:port")))?;
    if options.as_deref().is_some_and(|options| options.contains(|c: char| c.is_control() || c == '#')) {
        return Err(Refusal::refused("`options` stand in one line, without a comment"));
    }
    let options = options.map(|options| options.trim().to_owned());
    change(balancer, command, Wish::There { address, options })
}

pub fn remove(balancer: &Balancer, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    change(balancer, command, Wish::Gone)
}

fn change(balancer: &Balancer, command: &Command, wish: Wish) -> Result<Box<dyn Call>, Refusal> {
    let timeout = command.task.timeout.to_std();
    if timeout < TIMEOUT_MIN {
        return Err(Refusal::refused(format!(
            "{timeout:?} is too short for a reload: {TIMEOUT_MIN:?} at least"
        )));
    }
    let loader = balancer.loader()?;
    Ok(Box::new(Change {
        turn: Turn::at(&loader.config.to_string_lossy()),
        place: balancer.socket.clone(),
        loader,
        server: server(command)?,
        wish,
        patience: timeout.saturating_sub(MARGIN),
    }))
}

impl Change {
    async fn change(&self) -> Result<(), Wrong> {
        let end = Instant::now() + self.patience;
        let old = self.old().await?;
        let text = self.edited(&old)?;
        let written = text.written();
        let changed = written != old.text;
        match (changed, worker(&self.place).await?.loaded(old.written)) {
            (false, Loaded::Yes) => return Ok(()),
            // Ours would put somebody else's unfinished work in force.
            (true, Loaded::No) => return Err(unfinished(&old.path)),
            _ => {}
        }
        let before = master::processes(&self.loader.master).await?;
        let over = old.path.clone();
        let new = aside(move || New::write(&over, &written)).await?;
        check(&self.loader.binary, new.path()).await?;
        if !changed {
            // An attempt before has come so far, and no further: half of it is no failure.
            let loaded = self.load(&text, old.written, before, end).await;
            return loaded.map_err(|wrong| {
                Wrong::unknown(format!(
                    "{}; the file says so already, and no worker has read it",
                    wrong.reason
                ))
            });
        }
        let (swapped, at) = aside(move || old.swap(new)).await?;
        match self.load(&text, at, before, end).await {
            Err(wrong) if wrong.class != Class::Unknown => {
                aside(move || swapped.back()).await?;
                let reason = format!("{}; the configuration of before is back", wrong.reason);
                Err(Wrong { reason, ..wrong })
            }
            other => other,
        }
    }

    /// The file as it is, wherever a link leads.
    async fn old(&self) -> Result<Old, Wrong> {
        let path = self.loader.config.clone();
        aside(move || Old::read(&path)).await
    }

    fn edited(&self, old: &Old) -> Result<Text, Wrong> {
        let mut text = Text::read(&old.text);
        kept::file(&text)?;
        edit(&mut text, &self.server, &self.wish)?;
        Ok(text)
    }

    /// Begins a new worker with the file that is there now. Unless it is unknown, the old one serves on.
    async fn load(&self, text: &Text, at: i64, before: master::Processes, end: Instant) -> Result<(), Wrong> {
        let next = (at + 1) * 1000 - clock::wall().0;
        // When a worker began is told in seconds: of the same one nobody could say later what it has read.
        sleep(Duration::from_millis(next.clamp(0, 1000).unsigned_abs())).await;
        let moved = match &self.wish {
            Wish::There { address, .. } => Some((&self.server, address)),
            Wish::Gone => None,
        };
        save(&self.place, text, moved).await.map_err(Wrong::of_read)?;
        let new = master::reload(&self.loader.master, before, end).await?;
        self.serves(new, end).await
    }

    /// Waits until the new worker answers, and has read what it should have.
    async fn serves(&self, new: u32, end: Instant) -> Result<(), Wrong> {
        loop {
            let last = match worker(&self.place).await {
                Ok(worker) if worker.pid == new => break,
                Ok(worker) => format!("worker {} still answers", worker.pid),
                Err(wrong) => wrong.reason,
            };
            if Instant::now() + PAUSE >= end {
                return Err(Wrong::unknown(format!("worker {new} is begun, and does not answer: {last}")));
            }
            sleep(PAUSE).await;
        }
        let there = state::there(&self.place, &self.server).await;
        match there.map_err(|wrong| format!("it can't be read back: {}", wrong.reason)) {
            Ok(there) if there == matches!(self.wish, Wish::There { .. }) => Ok(()),
            Ok(there) => Err(Wrong::unknown(format!(
                "worker {new} serves, and {} is {}there: does HAProxy read {}?",
                self.server,
                if there { "" } else { "not " },
                self.loader.config.display()
            ))),
            Err(why) => Err(Wrong::unknown(format!("worker {new} serves; {why}"))),
        }
    }

    async fn look(&self) -> Result<bool, Wrong> {
        let old = self.old().await?;
        let same = self.edited(&old)?.written() == old.text;
        Ok(same && worker(&self.place).await?.loaded(old.written) == Loaded::Yes)
    }
}

fn unfinished(path: &Path) -> Wrong {
    Wrong::permanent(format!(
        "{} was changed since HAProxy read it, by somebody who may not be done: reload it by hand, or put it back",
        path.display()
    ))
}

impl Call for Change {
    fn open(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.turn.take())
    }

    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            if !self.turn.taken() {
                return Wrong::not_yet("another change of this balancer by this runner is under way").verb();
            }
            self.change().await.map_or_else(Wrong::verb, |()| Verb::Ok { result: json!({}) })
        })
    }

    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        Box::pin(async move {
            match self.look().await {
                Ok(true) => Verb::Observed { look, answer: Answer::Done { result: json!({}) } },
                Ok(false) => Verb::Observed { look, answer: Answer::NotDone },
                Err(wrong) => wrong.of_read().verb(),
            }
        })
    }
}
