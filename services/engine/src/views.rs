//! What VIEW shall show, written beside the loop: the newest of each key, so that what waits is bounded by the number
//! of checks, and nobody waits for a projection.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use regreen_bus::{Bus, view};
use regreen_schemas::{
    CheckName,
    view::{Checks, Services, Verdict},
};
use tokio::sync::Notify;

use crate::task::Owned;

/// Pause after a write that failed.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Pending {
    checks: Option<Checks>,
    services: Option<Services>,
    verdicts: BTreeMap<CheckName, Verdict>,
}

/// The writer's end in the loop.
pub struct Views {
    pending: Arc<Mutex<Pending>>,
    bell: Arc<Notify>,
    // Held: the writer ends with it.
    _writer: Owned<()>,
}

impl Views {
    pub fn start(bus: &Bus) -> Self {
        let (pending, bell) = (Arc::<Mutex<Pending>>::default(), Arc::<Notify>::default());
        let writer = Owned::spawn(write(bus.clone(), pending.clone(), bell.clone()));
        Self { pending, bell, _writer: writer }
    }

    pub fn checks(&self, checks: Checks) {
        self.change(|pending| pending.checks = Some(checks));
    }

    pub fn services(&self, services: Services) {
        self.change(|pending| pending.services = Some(services));
    }

    pub fn verdict(&self, check: &CheckName, verdict: Verdict) {
        self.change(|pending| drop(pending.verdicts.insert(check.clone(), verdict)));
    }

    fn change(&self, change: impl FnOnce(&mut Pending)) {
        change(&mut self.pending.lock().expect("invariant: nobody panics with the map in hand"));
        self.bell.notify_one();
    }
}

async fn write(bus: Bus, pending: Arc<Mutex<Pending>>, bell: Arc<Notify>) {
    loop {
        bell.notified().await;
        loop {
            let Pending { checks, services, verdicts } =
                std::mem::take(&mut *pending.lock().expect("invariant: nobody panics with the map in hand"));
            if checks.is_none() && services.is_none() && verdicts.is_empty() {
                break;
            }
            let mut failed = Pending::default();
            if let Some(checks) = checks
                && let Err(error) = view::put_checks(&bus, &checks).await
            {
                tracing::debug!(%error, "the list of checks is not shown yet");
                failed.checks = Some(checks);
            }
            if let Some(services) = services
                && let Err(error) = view::put_services(&bus, &services).await
            {
                tracing::debug!(%error, "the services are not shown yet");
                failed.services = Some(services);
            }
            for (check, verdict) in verdicts {
                if let Err(error) = view::put_verdict(&bus, check.as_str(), &verdict).await {
                    tracing::debug!(%error, %check, "a verdict is not shown yet");
                    failed.verdicts.insert(check, verdict);
                }
            }
            if failed.checks.is_none() && failed.services.is_none() && failed.verdicts.is_empty() {
                continue;
            }
            // What has come meanwhile is newer.
            {
                let mut pending = pending.lock().expect("invariant: nobody panics with the map in hand");
                pending.checks = pending.checks.take().or(failed.checks);
                pending.services = pending.services.take().or(failed.services);
                for (check, verdict) in failed.verdicts {
                    pending.verdicts.entry(check).or_insert(verdict);
                }
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}
