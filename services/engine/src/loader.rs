//! The files of the set, followed: when they change on disk, or at SIGHUP or `POST /-/reload`, they are read again. What passes the check is
//! brought in force; what does not is refused, loudly, and what was in force stays.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use prometheus_client::metrics::gauge::Gauge;
use regreen_kit::{
    aside,
    errors::chain,
    health::{Health, Reload},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
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

/// Reads the files at these paths, and follows them from now on. While they are not good there are none, and the engine
/// goes on by what the log has in force. Without paths the set is only ever brought by `regreen apply`.
pub fn follow(paths: Vec<PathBuf>, hangup: Hangup, health: &Health) -> watch::Receiver<Option<Vec<File>>> {
    if paths.is_empty() {
        return watch::channel(None).1;
    }
    let (seen, checked) = (stamp(&paths).ok(), check(&paths));
    let good = Gauge::<i64>::default();
    good.set(i64::from(checked.is_ok()));
    if let Err(why) = &checked {
        tracing::error!("the set's files are refused, what the log has in force stays:\n{why}");
    }
    let (newest, files) = watch::channel(checked.ok());
    health.metrics(|registry| {
        registry.register(
            "set_reload_successful",
            "1 when the newest read of the set's files was good",
            good.clone(),
        );
    });
    let (ask, asked) = mpsc::channel(1);
    health.on_reload(ask);
    tokio::spawn(Loader { paths, hangup, seen, newest, good, asked }.run());
    files
}

struct Loader {
    paths: Vec<PathBuf>,
    hangup: Hangup,
    /// What was read last, good or not; `None`: it could not be read.
    seen: Option<Stamp>,
    newest: watch::Sender<Option<Vec<File>>>,
    good: Gauge,
    asked: mpsc::Receiver<Reload>,
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
                    // What was found is in the log.
                    let _ = self.load().await;
                }
                Some(answer) = self.asked.recv() => {
                    let found = self.load().await;
                    // Who asked may have gone.
                    let _ = answer.send(found);
                }
                () = tokio::time::sleep(EVERY) => {
                    let paths = self.paths.clone();
                    let now = Some(aside::run(move || stamp(&paths).ok()).await);
                    // Whoever writes may not be done yet.
                    if now.as_ref() != Some(&self.seen) && now == edited {
                        let _ = self.load().await;
                    }
                    edited = now;
                }
            }
        }
    }

    /// Reads the files; what is wrong with them, for whoever asked.
    async fn load(&mut self) -> Result<(), String> {
        let paths = self.paths.clone();
        let (seen, checked) = aside::run(move || (stamp(&paths).ok(), check(&paths))).await;
        self.seen = seen;
        self.good.set(i64::from(checked.is_ok()));
        let files = checked.inspect_err(|why| {
            tracing::error!("the set's files are refused, what was in force stays:\n{why}");
        })?;
        let changed = |before: &mut Option<Vec<File>>| {
            let differs = before.as_ref() != Some(&files);
            *before = Some(files);
            differs
        };
        if self.newest.send_if_modified(changed) {
            tracing::info!("the set's files have changed and are good");
        }
        Ok(())
    }
}

/// The files, if they are good; else why not.
fn check(paths: &[PathBuf]) -> Result<Vec<File>, String> {
    let files = library::read(paths).map_err(|error| chain(&error))?;
    if files.is_empty() {
        // A volume that is not mounted is no wish that nothing be in force.
        return Err("there is no .yaml file".into());
    }
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
