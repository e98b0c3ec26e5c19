//! The runner: the only service that changes the world. It holds credentials and stands near what it touches.

mod connection;
pub mod process;
pub mod providers;

use regreen_action::{Action, Options};
use regreen_bus::Bus;
use regreen_kit::{Shutdown, secrets::Secrets};

/// Why a runner can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// TLS.
    #[error("no HTTP client")]
    Tls(#[from] rustls::Error),
    /// The host.
    #[error(transparent)]
    Host(#[from] regreen_action::Error),
}

/// Runs a runner with every action that it knows until it is told to end.
///
/// # Errors
/// [`Error`] when it can't start.
pub async fn run(bus: Bus, options: Options, secrets: Secrets, shutdown: Shutdown) -> Result<(), Error> {
    let actions: Vec<Box<dyn Action>> = vec![Box::new(providers::http::Request::new(secrets)?)];
    Ok(regreen_action::run(bus, options, actions, shutdown).await?)
}
