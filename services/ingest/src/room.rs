//! Whether FACTS has room for what comes from outside: beyond a bound results and operators alone get in (rule 25).

use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use regreen_bus::{Bus, streams};
use regreen_kit::health::Health;
use tokio::sync::watch;

/// Beyond this FACTS takes no alerts and no events, so that results and operators still get in.
const FULL_PERCENT: u64 = 80;
/// How often FACTS is asked how full it is.
const ROOM_EVERY: Duration = Duration::from_secs(2);
/// What senders are told while there is no room.
pub const FULL: &str = "FACTS is nearly full: trim it or make it larger";

/// How full FACTS is, as it was seconds ago.
#[derive(Clone)]
pub struct Room {
    full: watch::Receiver<bool>,
}

impl Room {
    /// Asks again and again, until nobody wants to know.
    pub fn follow(bus: &Bus, health: &Health) -> Self {
        let (tell, full) = watch::channel(false);
        let filled = Gauge::default();
        health.metrics(|registry| {
            registry.register("facts_filled_percent", "How much of its bound FACTS fills", filled.clone());
        });
        tokio::spawn(ask(bus.clone(), filled, tell));
        Self { full }
    }

    /// Whether only results and operators get in.
    pub fn is_full(&self) -> bool {
        *self.full.borrow()
    }
}

async fn ask(bus: Bus, filled: Gauge, tell: watch::Sender<bool>) {
    while !tell.is_closed() {
        match streams::filled_percent(&bus, bus.names.facts()).await {
            Ok(percent) => {
                filled.set(i64::try_from(percent).unwrap_or(i64::MAX));
                if tell.send_replace(percent > FULL_PERCENT) != (percent > FULL_PERCENT) {
                    tracing::warn!(
                        percent,
                        "FACTS fills up: alerts and events are taken in up to {FULL_PERCENT}"
                    );
                }
            }
            // A write would fail as well, and says so.
            Err(error) => tracing::debug!(%error, "FACTS can't be asked how full it is"),
        }
        tokio::time::sleep(ROOM_EVERY).await;
    }
}
