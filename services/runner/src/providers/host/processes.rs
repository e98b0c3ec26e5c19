//! Which process a name of the list means now, held by a handle: a number may be another's a moment later.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::options::Process;

/// What the kernel adds to a program that was replaced on disk since it was started, by an upgrade most likely.
const DELETED: &str = " (deleted)";

/// A process that was found to be the one.
#[derive(Debug)]
pub struct Found {
    pub id: i32,
    handle: OwnedFd,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// None runs the program.
    #[error("no process runs {0}: it is not there, or this runner may not look at it")]
    None(PathBuf),
    /// More than one does, none of them the parent of the others.
    #[error("{count} processes run {program} ({ids:?}): name its `pidfile` in the list")]
    Several {
        /// The program.
        program: PathBuf,
        /// How many.
        count: usize,
        /// Some of them.
        ids: Vec<i32>,
    },
    /// The file.
    #[error("{path} can't be read")]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What stands in the file.
    #[error("{path} holds no process id")]
    NoId {
        /// Its path.
        path: PathBuf,
    },
    /// The number is another's.
    #[error("process {id} of {path} does not run {program}: the file is of one that has ended")]
    Other {
        /// The number.
        id: i32,
        /// Where it stands.
        path: PathBuf,
        /// What should run.
        program: PathBuf,
    },
    /// The kernel.
    #[error("the processes of this machine can't be listed")]
    List(#[source] io::Error),
}

/// The process that an entry of the list means.
pub fn find(entry: &Process) -> Result<Found, NotFound> {
    let Some(path) = &entry.pidfile else { return by_program(&entry.executable) };
    let text = fs::read_to_string(path).map_err(|source| NotFound::File { path: path.clone(), source })?;
    let id = text.trim().parse().ok().filter(|id| *id > 0);
    let id = id.ok_or_else(|| NotFound::NoId { path: path.clone() })?;
    let other = || NotFound::Other { id, path: path.clone(), program: entry.executable.clone() };
    hold(id, &entry.executable).ok_or_else(other)
}

/// The one that runs a program; of a family the eldest, which is whom daemons with workers want signals sent to.
fn by_program(program: &Path) -> Result<Found, NotFound> {
    let listed = fs::read_dir("/proc").map_err(NotFound::List)?;
    let ids = listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let same: Vec<i32> = ids.filter(|id| runs(*id, program)).collect();
    let eldest: Vec<i32> =
        same.iter().copied().filter(|id| !parent(*id).is_some_and(|parent| same.contains(&parent))).collect();
    match eldest[..] {
        [id] => hold(id, program).ok_or_else(|| NotFound::None(program.to_owned())),
        [] => Err(NotFound::None(program.to_owned())),
        _ => Err(NotFound::Several {
            program: program.to_owned(),
            count: eldest.len(),
            ids: eldest.into_iter().take(8).collect(),
        }),
    }
}

/// Takes the process by a handle, and only then looks what it is: what is held can't become another.
fn hold(id: i32, program: &Path) -> Option<Found> {
    let handle = pidfd_open(Pid::from_raw(id)?, PidfdFlags::empty()).ok()?;
    runs(id, program).then_some(Found { id, handle })
}

fn runs(id: i32, program: &Path) -> bool {
    let Ok(found) = fs::read_link(format!("/proc/{id}/exe")) else { return false };
    found == program || found.to_str().and_then(|found| found.strip_suffix(DELETED)) == program.to_str()
}

fn parent(id: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in brackets, and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

impl Found {
    /// Whether it does something of its own on this signal: else the kernel would end it.
    pub fn catches(&self, signal: Signal) -> Option<bool> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
        Some(mask & (1 << (signal.as_raw() - 1)) != 0)
    }

    /// Sends it.
    pub fn send(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.handle, signal)?)
    }
}
