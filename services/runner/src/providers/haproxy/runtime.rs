//! One command a connection, with bounds. Nothing is kept open: a connection from before a reload speaks to the old
//! worker, which says yes to everything and does not serve any more. Over a local socket a new one costs nothing.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::place::Place;
use crate::rest::Wrong;

/// Longest time for a connection on this machine.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Longest time for an answer: HAProxy gives one at once, or stands still.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Most bytes of an answer: a server's row of `show stat` has less than a kilobyte.
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Most characters of HAProxy's own words that are passed on.
const WORDS_MAX: usize = 300;
/// Every answer of the runtime API ends by an empty line: without it the answer was cut off.
const END: &str = "\n";

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Says a command, and hears the answer without its last, empty line.
///
/// # Errors
/// Transient or permanent while nothing was sent, and unknown from then on.
pub async fn ask(place: &Place, command: &str) -> Result<String, Wrong> {
    let mut answer = say(place, command).await?;
    let ends = answer == END || answer.ends_with("\n\n");
    if !ends {
        let heard = if answer.is_empty() { "nothing" } else { "a part of an answer" };
        return Err(Wrong::unknown(format!("HAProxy at {place} said {heard}, and hung up")));
    }
    answer.pop();
    Ok(answer)
}

/// The same, where HAProxy may hang up without a word.
///
/// # Errors
/// As for [`ask`].
pub async fn say(place: &Place, command: &str) -> Result<String, Wrong> {
    let mut stream = connect(place).await?;
    match timeout(ANSWER_MAX, exchange(&mut stream, command)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Wrong::unknown(format!("no answer from HAProxy at {place}: {error}"))),
        Err(_) => Err(Wrong::unknown(format!("no answer from HAProxy at {place} within {ANSWER_MAX:?}"))),
    }
}

/// HAProxy's own words about a command that it refused.
pub fn words(answer: &str) -> String {
    let line = answer.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(WORDS_MAX).collect()
}

async fn connect(place: &Place) -> Result<Box<dyn Stream>, Wrong> {
    let connected = timeout(CONNECT_MAX, async {
        Ok(match place {
            Place::Unix(path) => Box::new(UnixStream::connect(path).await?) as Box<dyn Stream>,
            Place::Port(address) => Box::new(TcpStream::connect(address).await?),
        })
    });
    let error: io::Error = match connected.await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => error,
        Err(_) => ErrorKind::TimedOut.into(),
    };
    if error.kind() == ErrorKind::PermissionDenied {
        let remedy = "give the runner's user the right to write to that socket (`mode`, `group`)";
        return Err(Wrong::permanent(format!("HAProxy's socket {place} can't be opened: {remedy}")));
    }
    Err(Wrong::not_yet(format!("no connection to HAProxy at {place}: {error}")))
}

async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), command: &str) -> io::Result<String> {
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    // The master answers as long as one listens; the end of what we say is the end of what it says.
    stream.shutdown().await?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > ANSWER_BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {} MiB", ANSWER_BYTES_MAX >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is no text"))
}
