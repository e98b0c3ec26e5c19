//! A program run by its whole path: no shell, an empty environment, no input, a group of its own that is killed when
//! time is up, and no more of its output than one would read.

use std::{
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

/// What is kept of each of its outputs: the end, where programs say what went wrong.
const OUTPUT_BYTES_MAX: usize = 4 * 1024;
/// What is read at once.
const CHUNK_BYTES: usize = 4 * 1024;
/// How long its outputs are waited for once it has ended: what it left behind may hold them open for ever.
const OUTPUT_MAX: Duration = Duration::from_millis(500);
/// Most characters of its own words that are passed on.
const WORDS_MAX: usize = 200;
/// Where programs look for others.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// What became of it.
#[derive(Debug)]
pub enum Ended {
    /// It was never run.
    NotStarted(io::Error),
    /// It ended by itself, or by a signal that was not ours.
    Exited(Exit),
    /// It was killed: its time was up.
    Killed,
    /// It ran, and nobody knows how it ended.
    Lost(io::Error),
}

/// How it ended.
#[derive(Debug)]
pub struct Exit {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// All that it has started and that has not left its group, until it has ended: dropped before, they are killed.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn kill(&mut self) {
        if let Some(leader) = self.0.take()
            && let Err(error) = kill_process_group(leader, Signal::KILL)
        {
            tracing::debug!(%error, "a process group was gone already");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs it, for so long at most.
pub async fn run(program: &Path, arguments: &[String], within: Duration) -> Ended {
    let started = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return Ended::NotStarted(error),
    };
    let mut group = Group::of(&child);
    let (stdout, stderr) = (Output::of(child.stdout.take()), Output::of(child.stderr.take()));
    match timeout(within, child.wait()).await {
        Ok(Ok(status)) => {
            // Its number may be another's from now on.
            group.0 = None;
            Ended::Exited(Exit { status, stdout: stdout.end().await, stderr: stderr.end().await })
        }
        Ok(Err(error)) => Ended::Lost(error),
        Err(_) => {
            group.kill();
            match child.wait().await {
                Ok(_) => Ended::Killed,
                Err(error) => Ended::Lost(error),
            }
        }
    }
}

/// One of its outputs, read while it runs: a pipe that nobody reads would hold it up.
struct Output {
    reading: JoinHandle<()>,
    kept: Arc<Mutex<Vec<u8>>>,
}

impl Output {
    fn of(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let kept = Arc::<Mutex<Vec<u8>>>::default();
        let into = kept.clone();
        let reading = tokio::spawn(async move {
            let Some(mut pipe) = pipe else { return };
            let mut chunk = [0; CHUNK_BYTES];
            while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
                let mut kept = into.lock().expect("invariant: nobody panics with the output in hand");
                kept.extend_from_slice(&chunk[..count]);
                let more = kept.len().saturating_sub(OUTPUT_BYTES_MAX);
                kept.drain(..more);
            }
        });
        Self { reading, kept }
    }

    /// The end of it.
    async fn end(mut self) -> String {
        if timeout(OUTPUT_MAX, &mut self.reading).await.is_err() {
            tracing::debug!("a program has ended and left its output open");
        }
        let kept = self.kept.lock().expect("invariant: nobody panics with the output in hand");
        String::from_utf8_lossy(&kept).trim().to_owned()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Exit {
    /// What it said went wrong, in a line; else how it ended.
    pub fn words(&self) -> String {
        let last = self.stderr.lines().rev().find(|line| !line.trim().is_empty());
        last.map_or_else(|| self.status.to_string(), |line| line.chars().take(WORDS_MAX).collect())
    }
}
