//! Looks at checks from one vantage and reports what it saw: changes at once, every look at a watched check, a
//! digest every five seconds (rule 22). The list of checks comes from VIEW.

pub mod expose;
mod look;
pub mod process;
mod report;
mod sight;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use regreen_bus::{
    Bus, port,
    tick::{self, Heard},
    view,
    writer::Writer,
};
use regreen_kit::Shutdown;
use regreen_schemas::{
    CheckName,
    check::Status,
    id::Vantage,
    subject::FactKind,
    view::{Check, Checks},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

pub use look::{Eye, Found, Looker};
use report::{Report, Seen};
pub use sight::Sight;

/// How often the digest goes out.
const DIGEST: Duration = Duration::from_secs(5);
/// Patience of one try to store a report; the next one says all.
const PATIENCE: Duration = Duration::from_secs(5);
/// Looks that may wait for the reporter.
const QUEUE_MAX: usize = 4096;

/// Why a probe can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tick can't be heard.
    #[error("the tick can't be followed")]
    Tick(#[from] port::Error),
}

/// Runs a probe until it is told to end. While none of the `reference` addresses answers it is not sighted. `own` is
/// told what it sees, for [`expose`].
///
/// # Errors
/// [`Error`] when it can't start.
pub async fn run(
    bus: Bus,
    vantage: Vantage,
    reference: Vec<String>,
    looker: Looker,
    own: watch::Sender<expose::Own>,
    shutdown: Shutdown,
) -> Result<(), Error> {
    see(bus, vantage, Arc::new(looker), Sight::follow(reference), own, shutdown).await
}

/// As [`run`], with an eye and a sight of its own.
///
/// # Errors
/// [`Error::Tick`].
pub async fn see(
    bus: Bus,
    vantage: Vantage,
    eye: Arc<dyn Eye>,
    sight: Sight,
    own: watch::Sender<expose::Own>,
    mut shutdown: Shutdown,
) -> Result<(), Error> {
    let heard = tick::follow(&bus).await?;
    let mut lists = view::follow_checks(&bus);
    let facts = Writer::start(&bus, FactKind::Looks, vantage.as_str(), PATIENCE);
    let (queue, mut seen) = mpsc::channel::<Seen>(QUEUE_MAX);
    let mut report = Report::new(facts, regreen_bus::tickets::nonce(&bus), heard.clone(), sight.clone(), own);
    let looking = Looking { bus: bus.clone(), eye, sight, heard: heard.clone(), queue };
    let mut tasks: BTreeMap<CheckName, (Check, JoinHandle<()>)> = BTreeMap::new();
    let mut digest = tokio::time::interval(DIGEST);
    let (mut ticks, mut connects) = (heard.clone(), bus.connects());
    loop {
        tokio::select! {
            biased;
            () = shutdown.wait() => break,
            _ = digest.tick() => report.digest(),
            Ok(()) = ticks.changed() => {
                let asked = ticks.borrow_and_update().as_ref().is_some_and(|heard| heard.tick.resync.contains(&vantage));
                if asked { report.all() }
            }
            Ok(()) = connects.changed() => report.all(),
            Ok(()) = lists.changed() => {
                let list = lists.borrow_and_update().clone().unwrap_or_default();
                arrange(&mut tasks, &list, &vantage, &looking);
                report.list(&list, &vantage);
            }
            Some(first) = seen.recv() => {
                report.note(first);
                while let Ok(next) = seen.try_recv() {
                    report.note(next);
                }
            }
        }
        report.send().await;
    }
    for (_, (_, task)) in tasks {
        task.abort();
    }
    Ok(())
}

/// Starts and ends the tasks that look, so that they are the list's.
fn arrange(
    tasks: &mut BTreeMap<CheckName, (Check, JoinHandle<()>)>,
    list: &Checks,
    vantage: &Vantage,
    looking: &Looking,
) {
    let mine: BTreeMap<&CheckName, &Check> = list
        .checks
        .iter()
        .filter(|check| check.vantages.contains(vantage))
        .map(|check| (&check.name, check))
        .collect();
    tasks.retain(|name, (check, task)| {
        let stays = mine.get(name) == Some(&&*check);
        if !stays {
            task.abort();
        }
        stays
    });
    for (name, check) in mine {
        if !tasks.contains_key(name) {
            let task = tokio::spawn(looking.clone().keep(check.clone()));
            tasks.insert(name.clone(), (check.clone(), task));
        }
    }
}

/// What a task that looks needs.
#[derive(Clone)]
struct Looking {
    bus: Bus,
    eye: Arc<dyn Eye>,
    sight: Sight,
    heard: watch::Receiver<Option<Heard>>,
    queue: mpsc::Sender<Seen>,
}

impl Looking {
    /// Looks at one check for ever. The first look comes within one interval, at a random moment of it.
    async fn keep(mut self, check: Check) {
        tokio::time::sleep(self.part(&check, 0.0, 1.0)).await;
        loop {
            // The tick before the look, never after: verify must not count what was seen too early (rule 23).
            let tick = self.heard.borrow().as_ref().map_or(0, |heard| heard.tick.seq);
            let found = self.eye.look(&check).await;
            let fails = matches!(found.status, Status::Degraded | Status::Down);
            let found = if fails && !self.sight.confirm().await {
                Found::unknown("none of the reference addresses answers")
            } else {
                found
            };
            let seen = Seen { check: check.name.clone(), tick, found };
            if self.queue.send(seen).await.is_err() {
                return;
            }
            tokio::time::sleep(self.part(&check, 0.9, 1.1)).await;
        }
    }

    /// A random part of the check's interval.
    fn part(&self, check: &Check, low: f64, high: f64) -> Duration {
        let random = SmallRng::seed_from_u64(self.bus.port.random()).random_range(low..high);
        check.interval.to_std().mul_f64(random)
    }
}
