//! What every service stands on: clocks, configuration, secrets, telemetry, health and metrics, and an orderly end.

pub mod aside;
pub mod channels;
pub mod child;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod errors;
pub mod health;
pub mod loopback;
pub mod ready;
pub mod secrets;
pub mod shutdown;
pub mod telemetry;
pub mod trace;

pub use shutdown::Shutdown;

/// Chooses the process's one TLS implementation. Call it first; a second call changes nothing.
pub fn init_tls() {
    // An error says that it is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
