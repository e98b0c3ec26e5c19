//! The worker that answers, and whether it has read a file as it is now.

use super::super::{place::Place, runtime::ask};
use crate::rest::Wrong;

/// `show info`, as far as it is read.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    pub pid: u32,
    /// When it began, in seconds of the epoch.
    began: i64,
}

/// Whether a worker has read what is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    Yes,
    No,
    /// File and worker are of the same second.
    Unsure,
}

/// The worker that answers.
///
/// # Errors
/// When it can't be asked.
pub async fn worker(place: &Place) -> Result<Worker, Wrong> {
    let info = ask(place, "show info").await.map_err(Wrong::of_read)?;
    let value = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.ok_or_else(|| {
            Wrong::permanent(format!("`show info` has no `{name}`: HAProxy 2.6 or newer is needed"))
        })
    };
    let number = |_| Wrong::permanent("`show info` says something that is no number");
    Ok(Worker {
        pid: value("Pid")?.parse().map_err(number)?,
        began: value("Start_time_sec")?.parse().map_err(number)?,
    })
}

impl Worker {
    /// By when the file was written, in seconds of the epoch.
    pub fn loaded(self, written: i64) -> Loaded {
        match self.began.cmp(&written) {
            std::cmp::Ordering::Greater => Loaded::Yes,
            std::cmp::Ordering::Less => Loaded::No,
            std::cmp::Ordering::Equal => Loaded::Unsure,
        }
    }
}
