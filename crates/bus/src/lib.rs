//! JetStream, and nothing of what Regreen decides: streams, the group-commit writer, the fact reader, the
//! decision log with its fence, tickets and the stop switch, projections. Each file can be held against the
//! numbered rule of docs/reliability.md that it names.

pub mod bodies;
pub mod commands;
pub mod connect;
pub mod log;
pub mod nats;
pub mod port;
pub mod publish;
pub mod reader;
pub mod rights;
pub mod snapshots;
pub mod stories;
pub mod streams;
pub mod tick;
pub mod tickets;
pub mod view;
pub mod writer;

pub use connect::Bus;
