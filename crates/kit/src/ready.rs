//! Asks a process of ours whether it is ready: what a container's health check runs, where the image has neither shell
//! nor client.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// How long each part of the question may take.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Of the answer, what is read.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Why it is not ready.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is there, or nobody answers.
    #[error("{0} does not answer")]
    Silent(SocketAddr, #[source] io::Error),
    /// It says so itself.
    #[error("{address} is not ready: {answer}")]
    NotReady {
        /// Who was asked.
        address: SocketAddr,
        /// What it said.
        answer: String,
    },
}

/// Asks who listens there for `path`. An address that means all interfaces is asked on loopback.
///
/// # Errors
/// [`Error`], unless the answer is 200.
pub fn ask(listen: SocketAddr, path: &str) -> Result<(), Error> {
    let address = reachable(listen);
    let answer = get(address, path).map_err(|source| Error::Silent(address, source))?;
    if answer.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    let body = answer.split_once("\r\n\r\n").map_or(&*answer, |(_, body)| body);
    Err(Error::NotReady { address, answer: body.trim().replace('\n', "; ") })
}

fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// One request by HTTP/1.0, whose answer ends with the connection.
fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;

    #[tokio::test]
    async fn it_is_ready_when_nothing_complains() {
        let health = Health::default();
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.expect("a port");
        let listen = listener.local_addr().expect("bound");
        let serving = tokio::spawn(axum::serve(listener, health.router()).into_future());
        let asked =
            async || tokio::task::spawn_blocking(move || ask(listen, "/readyz")).await.expect("no panic");
        asked().await.expect("ready, asked on loopback");
        health.say("disk", Err("is full".into()));
        let told = asked().await.expect_err("it complains").to_string();
        assert!(told.contains("not ready") && told.contains("is full"), "{told}");
        serving.abort();
        let _ = serving.await;
        assert!(matches!(asked().await, Err(Error::Silent(..))), "nobody is there any more");
    }
}
