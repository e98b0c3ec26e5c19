//! The runner: the only service that changes the world. It holds credentials and stands near what it touches.

mod connection;
pub mod process;
pub mod providers;
mod rest;

use regreen_action::Options;
use regreen_bus::Bus;
use regreen_kit::{Shutdown, secrets::Secrets};

/// Why a runner can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// TLS.
    #[error("no HTTP client")]
    Tls(#[from] rustls::Error),
    /// Elasticsearch.
    #[error(transparent)]
    Elasticsearch(#[from] providers::elasticsearch::Error),
    /// The machine.
    #[error(transparent)]
    Machine(#[from] providers::host::Error),
    /// The host.
    #[error(transparent)]
    Host(#[from] regreen_action::Error),
}

/// Runs a runner with the actions of every provider that it has until it is told to end.
///
/// # Errors
/// [`Error`] when it can't start.
pub async fn run(
    bus: Bus,
    options: Options,
    providers: &providers::Options,
    secrets: &Secrets,
    shutdown: Shutdown,
) -> Result<(), Error> {
    Ok(regreen_action::run(bus, options, providers.actions(secrets)?, shutdown).await?)
}
