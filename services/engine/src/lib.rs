//! The shell round the decider: reads facts, lets it decide, commits, and only then lets anything out (rule 6).
//! One engine writes; the others stand by, and step down again when another has taken over.

mod effects;
mod feed;
pub mod guard;
mod hashes;
mod janitor;
pub mod library;
pub mod loader;
mod metrics;
pub mod process;
pub mod recover;
mod shell;
mod snapshot;
mod standby;
mod task;
mod views;

use regreen_bus::{Bus, log};
use regreen_kit::{Shutdown, config::Keep, health::Health};
use tokio::sync::watch;

use shell::Shell;

pub use metrics::Metrics;

/// What an engine needs.
#[derive(Debug)]
pub struct Options {
    /// The server is our own child: nobody else can be the active engine, so no silence is waited for.
    pub own_server: bool,
    /// The files to bring in force, and what becomes of them; none: what the log has in force stays.
    pub files: watch::Receiver<Option<Vec<library::File>>>,
    /// How often the state is kept, and how long the past.
    pub snapshots: Keep,
    /// A connection with the rights to trim; without it nothing is ever trimmed.
    pub janitor: Option<Bus>,
}

/// What the engine says of itself.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// `standby`, `catching up`, `live`, `suspect: …`, `frozen: …`.
    pub phase: String,
    /// Sequence of its takeover.
    pub epoch: u64,
    /// Newest acknowledged record.
    pub seq: u64,
    /// Open runs.
    pub runs: usize,
    /// Whether the stop switch is on.
    pub stopped: Option<String>,
}

/// Why an engine ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The streams are not as they must be.
    #[error(transparent)]
    Streams(#[from] regreen_bus::streams::Error),
    /// The log can't be read.
    #[error("the decision log can't be recovered")]
    Recover(#[from] recover::Error),
    /// The log took no record: another engine is active, or the stream was changed.
    #[error("the engine stops")]
    Log(#[from] log::Error),
    /// A record was acknowledged too late to be acted upon (rule 11).
    #[error("record {seq} was acknowledged late")]
    Late {
        /// Its sequence.
        seq: u64,
    },
    /// A person thawed the domain: everything is read anew.
    #[error("reconciled")]
    Reconciled,
    /// A fact could not be stored.
    #[error("the engine can't announce itself")]
    Announce(#[from] regreen_bus::writer::NotStored),
    /// FACTS lacks messages.
    #[error("FACTS can't be followed")]
    Gap(#[from] regreen_bus::reader::Gap),
    /// A set's body is not at hand.
    #[error("a set of playbooks is not at hand")]
    Library(#[from] library::Error),
    /// A projection or subscription could not be opened.
    #[error("NATS: {0}")]
    Nats(String),
}

/// Runs an engine, active or standing by, until it is told to end, or must.
///
/// # Errors
/// [`Error`] when it can't go on; a supervisor may start it again.
pub async fn run(
    bus: Bus,
    options: Options,
    health: Health,
    status: watch::Sender<Status>,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let metrics = Metrics::default();
    health.metrics(|registry| metrics.register(registry));
    let mut alone = options.own_server;
    loop {
        health.say("engine", Err("taking over".into()));
        // Whoever stands by knows nothing of its own.
        metrics.forget_set();
        metrics.standing.is(metrics::Stand::TakingOver, false);
        let (bus, metrics, health, status) = (bus.clone(), metrics.clone(), health.clone(), status.clone());
        let turn = async {
            let taking = Shell::take_over(bus, &options, alone, metrics, health, status);
            let mut told = shutdown.clone();
            tokio::select! {
                biased;
                () = told.wait() => Ok(()),
                shell = taking => Box::pin(shell?.run(shutdown.clone())).await,
            }
        };
        let ended = Box::pin(turn).await;
        match ended {
            Err(Error::Log(log::Error::Superseded { seq })) => {
                tracing::warn!(seq, "another engine has taken over; standing by");
                alone = false;
            }
            Err(Error::Late { seq }) => {
                tracing::warn!(seq, "a record was acknowledged late; taking over anew");
                alone = options.own_server;
            }
            Err(Error::Reconciled) => {
                tracing::warn!("the domain was reconciled; everything is read anew");
                alone = true;
            }
            ended => return ended,
        }
    }
}
