//! The connection: for ever, with back-off and jitter, to a server that is new enough. Everybody who follows a
//! stream learns of a reconnect here and reopens from its position.

use std::{sync::Arc, time::Duration};

use async_nats::{ConnectOptions, Event, ServerAddr, jetstream};
use rand::Rng;
use regreen_schemas::{Domain, subject::Names};
use tokio::sync::watch;

use crate::{nats::Nats, port::Port, rights::Role};

/// Oldest server that has what the streams need: `persist_mode`, guarded writes on another subject.
pub const SERVER_MIN: (u64, u64) = (2, 12);
/// First pause before a reconnect.
const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(50);
/// Longest pause between two reconnects.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);
/// How long the first connection may take before `connect` gives up.
pub const FIRST_CONNECT_MAX: Duration = Duration::from_secs(10);

/// Where and as whom to connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// `nats://host:port`, or several with commas.
    pub url: String,
    /// The domain.
    pub domain: Domain,
    /// Name shown by the server; also the prefix of this user's inbox, which its rights name.
    pub user: String,
    /// Seed of the user's nkey. Absent: no authentication (a foreign server without users).
    pub seed: Option<String>,
}

impl Options {
    /// As this role.
    #[must_use]
    pub fn of(role: &Role, url: String, domain: Domain, seed: Option<String>) -> Self {
        Self { url, domain, user: role.user(), seed }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a token.
    #[error("domain `{0}` must match [a-z0-9_-]{{1,40}}")]
    Domain(Domain),
    /// Not an address.
    #[error("`{url}` is not a NATS address")]
    Address {
        /// As given.
        url: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nobody answers, or it refuses.
    #[error("no connection to NATS at {url}")]
    Connect {
        /// As given.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// Too old.
    #[error(
        "NATS at {url} is version {found}; Regreen needs {}.{} or newer (persist_mode and guarded writes): upgrade the server, or let `regreen up` start its own",
        SERVER_MIN.0, SERVER_MIN.1
    )]
    TooOld {
        /// As given.
        url: String,
        /// Its version.
        found: String,
    },
    /// No JetStream.
    #[error("NATS at {url} runs without JetStream: start it with `-js`, or let `regreen up` start its own")]
    NoJetStream {
        /// As given.
        url: String,
    },
}

/// JetStream with the names of a domain.
#[derive(Clone, Debug)]
pub struct Bus {
    /// What it is asked for.
    pub port: Arc<dyn Port>,
    /// Names of the domain.
    pub names: Names,
    nats: Option<Nats>,
}

impl Bus {
    /// Connects, and stays connected for ever.
    ///
    /// # Errors
    /// [`Error`] when the first connection does not come about or the server is unfit.
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let names = Names::new(&options.domain).ok_or_else(|| Error::Domain(options.domain.clone()))?;
        let url = options.url.clone();
        let addresses = url
            .split(',')
            .map(|part| part.trim().parse::<ServerAddr>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| Error::Address { url: url.clone(), source })?;
        let (count, connects) = watch::channel(0);
        let base = match &options.seed {
            Some(seed) => ConnectOptions::with_nkey(seed.clone()),
            None => ConnectOptions::new(),
        };
        let client = base
            .name(&options.user)
            .custom_inbox_prefix(inbox_prefix(&options.user))
            .connection_timeout(FIRST_CONNECT_MAX)
            .request_timeout(Some(Duration::from_secs(2)))
            .ping_interval(Duration::from_secs(5))
            .max_reconnects(None)
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                note(&event, &count);
                std::future::ready(())
            })
            .connect(addresses)
            .await
            .map_err(|source| Error::Connect { url: url.clone(), source })?;
        let info = client.server_info();
        if !new_enough(&info.version) {
            return Err(Error::TooOld { url, found: info.version });
        }
        if !info.jetstream {
            return Err(Error::NoJetStream { url });
        }
        let mut js = jetstream::new(client.clone());
        js.set_timeout(Duration::from_secs(2));
        let nats = Nats { client, js, connects };
        Ok(Self { port: Arc::new(nats.clone()), names, nats: Some(nats) })
    }

    /// Over another port than a real server.
    #[must_use]
    pub fn over(port: Arc<dyn Port>, names: Names) -> Self {
        Self { port, names, nats: None }
    }

    /// The client, for what is no part of the protocols: making and comparing streams.
    ///
    /// # Panics
    /// When there is no real server behind it.
    #[must_use]
    pub fn nats(&self) -> &Nats {
        self.nats.as_ref().expect("invariant: only real servers are administered")
    }

    /// Connects, and waits for a server that is not there yet, as in a stack whose parts start together. What waiting
    /// can't mend is an error at once.
    ///
    /// # Errors
    /// [`Error`] when the server refuses this user or is unfit.
    pub async fn connect_in_time(options: &Options) -> Result<Self, Error> {
        let mut attempt = 0;
        loop {
            match Self::connect(options).await {
                Err(Error::Connect { url, source }) if !refused(&source) => {
                    attempt += 1;
                    tracing::warn!(url, error = %source, "NATS is not there yet; trying again");
                    tokio::time::sleep(reconnect_delay(attempt)).await;
                }
                connected => return connected,
            }
        }
    }

    /// Changes with every (re)connect: followers of streams reopen then.
    #[must_use]
    pub fn connects(&self) -> watch::Receiver<u64> {
        self.port.connects()
    }

    /// Whether the connection stands now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.port.is_connected()
    }
}

/// Whether the server was there and said no.
fn refused(error: &async_nats::ConnectError) -> bool {
    use async_nats::ConnectErrorKind as Kind;
    matches!(error.kind(), Kind::Authentication | Kind::AuthorizationViolation | Kind::ServerParse)
}

/// Prefix of a user's inboxes: rights allow each user its own and no other.
#[must_use]
pub fn inbox_prefix(user: &str) -> String {
    format!("_INBOX_{user}")
}

fn note(event: &Event, count: &watch::Sender<u64>) {
    match event {
        Event::Connected => {
            count.send_modify(|n| *n += 1);
            tracing::info!("connected to NATS");
        }
        Event::Disconnected => tracing::warn!("connection to NATS lost; reconnecting"),
        Event::Closed | Event::Draining => tracing::debug!("connection to NATS closed"),
        other => tracing::warn!(event = %other, "NATS"),
    }
}

/// Doubles from [`RECONNECT_DELAY_MIN`] to [`RECONNECT_DELAY_MAX`], half of it random.
fn reconnect_delay(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1).min(10)).unwrap_or(10);
    let full = (RECONNECT_DELAY_MIN * 2u32.pow(doublings)).min(RECONNECT_DELAY_MAX);
    full.mul_f64(rand::rng().random_range(0.5..1.0))
}

fn new_enough(version: &str) -> bool {
    let mut parts = version.split(['.', '-']).map(|part| part.parse::<u64>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    found >= SERVER_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for good in ["2.12.0", "2.15.1", "3.0.0", "2.12.0-RC.1"] {
            assert!(new_enough(good), "{good}");
        }
        for old in ["2.9.10", "2.11.9", "1.99.0", ""] {
            assert!(!new_enough(old), "{old}");
        }
    }

    #[test]
    fn the_pause_grows_and_is_bounded() {
        assert!(reconnect_delay(1) <= RECONNECT_DELAY_MIN);
        for attempt in [10, 1000, usize::MAX] {
            let delay = reconnect_delay(attempt);
            assert!(delay <= RECONNECT_DELAY_MAX && delay >= RECONNECT_DELAY_MAX / 2, "{delay:?}");
        }
    }
}
