//! Real parts for tests: nats-server, Alertmanager, an HTTP sink with an effect log, a proxy that cuts; and contracts
//! that what has no real part here is held against. Everything
//! runs on loopback, on free ports, and ends with the test. A part that is missing fails loudly; no test passes
//! because something was not there.

pub mod alertmanager;
pub mod contract;
pub mod nats;
pub mod process;
pub mod proxy;
pub mod sink;
pub mod tools;
pub mod wait;

pub use alertmanager::Alertmanager;
pub use contract::Contract;
pub use nats::Nats;
pub use proxy::Proxy;
pub use sink::Sink;
pub use wait::wait_for;

/// Chooses the process's TLS implementation, as every binary of ours does at its start.
pub fn init_tls() {
    // An error says that it is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
