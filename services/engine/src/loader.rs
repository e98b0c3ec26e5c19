//! The files of the set, followed: when they change on disk, or at SIGHUP, they are read again. What passes the check is
//! brought in force; what does not is refused, loudly, and what was in force stays.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use prometheus_client::metrics::gauge::Gauge;
use regreen_kit::{aside, errors::chain, health::Health};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::library::{self, Error, File};

/// How often the files are looked at. An edit counts once it has stood still for as long.
const EVERY: Duration = Duration::from_secs(1);

/// What tells an edit: path, length and time of every file.
type Stamp = Vec<(PathBuf, u64, SystemTime)>;

/// What SIGHUP means to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The files are read again, as daemons do.
    Reload,
    /// Its terminal is gone: what happens then is not the loader's business.
    Ends,
}

/// Reads the files at these paths, and follows them from now on. The first ones are taken as they are: whoever starts
/// an engine has checked them.
///
/// # Errors
/// [`Error`] when they can't be read now.
pub fn follow(
    paths: Vec<PathBuf>,
    hangup: Hangup,
    health: &Health,
) -> Result<watch::Receiver<Vec<File>>, Error> {
    let seen = Some(stamp(&paths)?);
    let (newest, files) = watch::channel(library::read(&paths)?);
    let good = Gauge::<i64>::default();
    good.set(1);
    health.metrics(|registry| {
        registry.register(
            "set_reload_successful",
            "1 when the newest read of the set's files was good",
            good.clone(),
        );
    });
    tokio::spawn(Loader { paths, hangup, seen, newest, good }.run());
    Ok(files)
}

struct Loader {
    paths: Vec<PathBuf>,
    hangup: Hangup,
    /// What was read last, good or not; `None`: it could not be read.
    seen: Option<Stamp>,
    newest: watch::Sender<Vec<File>>,
    good: Gauge,
}

impl Loader {
    async fn run(mut self) {
        let mut hangup = match self.hangup {
            Hangup::Ends => None,
            Hangup::Reload => match signal(SignalKind::hangup()) {
                Ok(hangup) => Some(hangup),
                Err(error) => return tracing::error!(%error, "files are not followed: SIGHUP can't be had"),
            },
        };
        let mut edited = None;
        while !self.newest.is_closed() {
            tokio::select! {
                biased;
                _ = async { hangup.as_mut().expect("invariant: guarded by the condition").recv().await }, if hangup.is_some() => {
                    tracing::info!("SIGHUP: the set's files are read again");
                    self.load().await;
                }
                () = tokio::time::sleep(EVERY) => {
                    let paths = self.paths.clone();
                    let now = Some(aside::run(move || stamp(&paths).ok()).await);
                    // Whoever writes may not be done yet.
                    if now.as_ref() != Some(&self.seen) && now == edited {
                        self.load().await;
                    }
                    edited = now;
                }
            }
        }
    }

    async fn load(&mut self) {
        let paths = self.paths.clone();
        let (seen, checked) = aside::run(move || (stamp(&paths).ok(), check(&paths))).await;
        self.seen = seen;
        self.good.set(i64::from(checked.is_ok()));
        match checked {
            Ok(files) => {
                let changed = |before: &mut Vec<File>| {
                    let differs = *before != files;
                    *before = files;
                    differs
                };
                if self.newest.send_if_modified(changed) {
                    tracing::info!("the set's files have changed and are good");
                }
            }
            Err(why) => tracing::error!("the set's files are refused, what was in force stays:\n{why}"),
        }
    }
}

/// The files, if they are good; else why not.
fn check(paths: &[PathBuf]) -> Result<Vec<File>, String> {
    let files = library::read(paths).map_err(|error| chain(&error))?;
    match library::compile(&files) {
        (Some(_), _) => Ok(files),
        (None, findings) => Err(findings.render(false)),
    }
}

/// Path, length and time of every file that a set would be read from.
fn stamp(paths: &[PathBuf]) -> Result<Stamp, Error> {
    let told = |path: &Path| {
        let unreadable = |source| Error::Read { path: path.to_owned(), source };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        Ok((path.to_owned(), metadata.len(), metadata.modified().map_err(unreadable)?))
    };
    library::list(paths)?.iter().map(|path| told(path)).collect()
}
