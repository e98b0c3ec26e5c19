//! The words of Regreen: the types of everything that crosses a process, the names of subjects and
//! streams, and the declarations of actions. It has no behaviour beyond naming, hashing and parsing, so that
//! every other crate can depend on it.

pub mod action;
pub mod alert;
pub mod check;
pub mod command;
pub mod event;
pub mod fact;
pub mod hash;
pub mod id;
pub mod message;
pub mod mutation;
pub mod rate;
pub mod record;
pub mod roster;
pub mod run;
pub mod snapshot;
pub mod story;
pub mod subject;
pub mod ticket;
pub mod time;
pub mod view;

pub use id::{CheckName, Domain, Fingerprint, Instance, PlaybookName, RunId, SetHash, Zone};
pub use time::{Span, Timestamp};

/// Version that every message on the wire carries in `v`. A reader refuses any other.
pub const WIRE_VERSION: u32 = 1;
