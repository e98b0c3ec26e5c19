//! The configuration of a balancer: read as HAProxy reads it, line by line, and changed nowhere but where that is asked.

mod address;
mod change;
mod check;
mod edit;
mod file;
mod kept;
mod master;
mod save;
mod text;
mod worker;

pub use self::{
    change::{put, remove},
    save::prepare as save,
};
