//! A model of JetStream on virtual time, so that thousands of histories with faults run in the time that one takes
//! with real processes. It does what was measured of the real server (docs/reliability.md), the harmful part above
//! all: writes in doubt land late, answers get lost, asynchronous streams lose their tail and acknowledgements with
//! it, consumers break and skip, reads of keys are stale. `tests/honest.rs` holds it against nats-server.

mod client;
pub mod cloud;
pub mod history;
pub mod oracle;
mod server;
pub mod time;
pub mod world;

pub use client::{Client, Net};
pub use server::{Kept, Server};
