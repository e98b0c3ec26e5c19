//! Stands between a runner and a socket of HAProxy, and goes wrong at one kind of command as told.

use std::{path::PathBuf, sync::Arc};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::Notify,
    time::timeout,
};

use crate::lab::PATIENCE;

/// How it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Hangs up, and passes nothing on.
    Cuts,
    /// Passes it on, and hangs up without the answer.
    DoesAndCuts,
    /// Passes it on, and hangs up in the middle of the answer.
    DoesAndHalves,
    /// Passes it on when it is told to, and says nothing before.
    Waits,
}

pub struct Relay {
    dir: TempDir,
    reached: Arc<Notify>,
    /// It may go on.
    pub go_on: Arc<Notify>,
}

impl Relay {
    /// Goes wrong at commands that begin so.
    pub fn start(to: PathBuf, at: &'static str, wrong: Wrong) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(dir.path().join("sock")).expect("a socket");
        let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let signs = (reached.clone(), go_on.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, to.clone(), at, wrong, signs.clone()));
            }
        });
        Self { dir, reached, go_on }
    }

    /// Until it has come to a command at which it waits.
    pub async fn reached(&self) {
        timeout(PATIENCE, self.reached.notified()).await.expect("the command comes");
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("sock")
    }
}

/// One command, there and back.
async fn pass(
    mut from: UnixStream,
    to: PathBuf,
    at: &'static str,
    wrong: Wrong,
    (reached, go_on): (Arc<Notify>, Arc<Notify>),
) {
    let mut command = String::new();
    from.read_to_string(&mut command).await.expect("a command");
    let hit = command.starts_with(at);
    if hit && wrong == Wrong::Cuts {
        return;
    }
    if hit && wrong == Wrong::Waits {
        reached.notify_one();
        go_on.notified().await;
    }
    // Whoever ended HAProxy meanwhile wanted it so.
    let Ok(mut stream) = UnixStream::connect(&to).await else { return };
    stream.write_all(command.as_bytes()).await.expect("passed on");
    stream.shutdown().await.expect("passed on");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let told = match wrong {
        Wrong::DoesAndCuts if hit => 0,
        Wrong::DoesAndHalves if hit => answer.len() / 2,
        _ => answer.len(),
    };
    // Who asked may have given up.
    let _ = from.write_all(&answer[..told]).await;
}
