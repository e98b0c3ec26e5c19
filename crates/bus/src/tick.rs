//! The tick: the engine says after every commit, and at least each second, how far the log is and what time it
//! is. Runners judge `claim_by` by it, probes mark their looks with it; nothing is decided by it alone.

use std::time::Duration;

use futures::StreamExt;
use regreen_schemas::{Span, Timestamp, record::Tick};
use tokio::{sync::watch, time::Instant};

use crate::{connect::Bus, port, publish::Headers};

/// With no tick for this long a runner begins nothing (wire.md).
pub const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The newest tick, with the moment it was heard.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The tick.
    pub tick: Tick,
    at: Instant,
}

impl Heard {
    /// How long ago it was heard, by this process's clock.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.at.elapsed()
    }

    /// The engine's `now`, carried forward by this process's clock; `None` when the engine has been silent for
    /// longer than [`SILENCE_MAX`].
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        let age = self.at.elapsed();
        (age < SILENCE_MAX).then(|| self.tick.now + Span(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Publishes a tick; one that is lost is followed by another.
pub async fn send(bus: &Bus, tick: &Tick) {
    let bytes = serde_json::to_vec(tick).expect("invariant: wire types are plain data");
    if let Err(error) = bus.port.send(bus.names.tick(), Headers::new(), bytes.into()).await {
        tracing::debug!(%error, "tick not sent");
    }
}

/// Follows the tick in the background; the value is `None` until the first one.
///
/// # Errors
/// When the subscription is refused.
pub async fn follow(bus: &Bus) -> Result<watch::Receiver<Option<Heard>>, port::Error> {
    let mut subscription = bus.port.subscribe(bus.names.tick()).await?;
    let (newest, heard) = watch::channel(None::<Heard>);
    tokio::spawn(async move {
        while let Some(message) = subscription.next().await {
            match serde_json::from_slice::<Tick>(&message) {
                Ok(tick) => {
                    // A superseded engine may still speak: a lower epoch is not heard.
                    let older = newest.borrow().as_ref().is_some_and(|heard| heard.tick.epoch > tick.epoch);
                    if !older {
                        newest.send_replace(Some(Heard { tick, at: Instant::now() }));
                    }
                }
                Err(error) => tracing::warn!(%error, "a tick that can't be read"),
            }
        }
    });
    Ok(heard)
}
