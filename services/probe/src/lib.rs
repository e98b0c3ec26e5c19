//! Looks at checks from one vantage and reports what it saw: changes at once, every look at a watched check, a
//! digest every five seconds (rule 22). The list of checks comes from VIEW.

mod look;
pub mod process;
mod report;

use std::{collections::BTreeMap, time::Duration};

use rand::Rng;
use regreen_bus::{
    Bus,
    tick::{self, Heard},
    view,
    writer::Writer,
};
use regreen_kit::Shutdown;
use regreen_schemas::{
    CheckName,
    id::Vantage,
    subject::FactKind,
    view::{Check, Checks},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use report::{Report, Seen};

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
    Tick(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The HTTP client.
    #[error("no HTTP client")]
    Client(#[from] reqwest::Error),
}

/// Runs a probe until it is told to end. While none of the `reference` addresses answers it is not sighted.
///
/// # Errors
/// [`Error`] when it can't start.
pub async fn run(
    bus: Bus,
    vantage: Vantage,
    reference: Vec<String>,
    mut shutdown: Shutdown,
) -> Result<(), Error> {
    let heard = tick::follow(&bus).await.map_err(|error| Error::Tick(error.into()))?;
    let mut lists = view::follow_checks(&bus);
    let looker = look::Looker::new()?;
    let sighted = look::follow_sight(reference);
    let facts = Writer::start(&bus, FactKind::Looks, vantage.as_str(), PATIENCE);
    let (queue, mut seen) = mpsc::channel::<Seen>(QUEUE_MAX);
    let mut report = Report::new(facts, regreen_bus::tickets::nonce(), heard.clone(), sighted);
    let mut tasks: BTreeMap<CheckName, (Check, JoinHandle<()>)> = BTreeMap::new();
    let mut digest = tokio::time::interval(DIGEST);
    let (mut ticks, mut connects) = (heard.clone(), bus.connects());
    loop {
        tokio::select! {
            Ok(()) = lists.changed() => {
                let list = lists.borrow_and_update().clone().unwrap_or_default();
                arrange(&mut tasks, &list, &vantage, &looker, &heard, &queue);
                report.list(&list, &vantage);
            }
            Some(first) = seen.recv() => {
                report.note(first);
                while let Ok(next) = seen.try_recv() {
                    report.note(next);
                }
            }
            _ = digest.tick() => report.digest(),
            Ok(()) = ticks.changed() => {
                let asked = ticks.borrow_and_update().as_ref().is_some_and(|heard| heard.tick.resync.contains(&vantage));
                if asked { report.all() }
            }
            Ok(()) = connects.changed() => report.all(),
            () = shutdown.wait() => break,
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
    looker: &look::Looker,
    heard: &watch::Receiver<Option<Heard>>,
    queue: &mpsc::Sender<Seen>,
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
            let (check, looker, heard, queue) = (check.clone(), looker.clone(), heard.clone(), queue.clone());
            let task = tokio::spawn(keep_looking(check.clone(), looker, heard, queue));
            tasks.insert(name.clone(), (check, task));
        }
    }
}

/// Looks at one check for ever. The first look comes within one interval, at a random moment of it.
async fn keep_looking(
    check: Check,
    looker: look::Looker,
    heard: watch::Receiver<Option<Heard>>,
    queue: mpsc::Sender<Seen>,
) {
    let part = |low: f64, high: f64| check.interval.to_std().mul_f64(rand::rng().random_range(low..high));
    tokio::time::sleep(part(0.0, 1.0)).await;
    loop {
        // The tick before the look, never after: verify must not count what was seen too early (rule 23).
        let tick = heard.borrow().as_ref().map_or(0, |heard| heard.tick.seq);
        let found = looker.look(&check).await;
        let seen = Seen { check: check.name.clone(), tick, found };
        if queue.send(seen).await.is_err() {
            return;
        }
        tokio::time::sleep(part(0.9, 1.1)).await;
    }
}
