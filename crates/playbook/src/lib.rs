//! The playbook language, pure: text in, a checked [`Set`] or all findings out. No I/O, no clock, no randomness:
//! the engine, `regreen check` and every later tool see the same.

pub mod action;
pub mod agree;
pub mod cases;
pub mod cel;
pub mod check;
pub mod codes;
pub mod diagnostic;
mod expand;
pub mod hasten;
pub mod inventory;
pub mod keys;
pub mod matcher;
pub mod model;
pub mod names;
mod read;
pub mod reference;
pub mod report;
mod roster;
pub mod schedule;
pub mod schema;
pub mod set;
pub mod template;
pub mod tree;
pub mod value;
mod walk;

pub use diagnostic::{Finding, Findings, Severity};
pub use set::{Set, load};
