//! Where a socket of HAProxy is. Nothing on it asks who speaks: a file has rights of its own, and a port must not be
//! reachable from elsewhere.

use std::{fmt, net::SocketAddr, path::PathBuf};

use serde::Deserialize;

/// A Unix socket by its path, or a port of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Place {
    /// A file.
    Unix(PathBuf),
    /// A port, for tests and labs.
    Port(SocketAddr),
}

/// Why that is no place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Neither of the two.
    #[error("`{0}` is no place of a socket: give its full path, or 127.0.0.1 with a port")]
    Neither(String),
    /// Anybody could reach it.
    #[error("`{0}` is not on this machine: HAProxy asks nobody for a password there; run a runner beside it")]
    Elsewhere(SocketAddr),
}

impl TryFrom<String> for Place {
    type Error = Unfit;

    fn try_from(text: String) -> Result<Self, Unfit> {
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Port(address)),
            Ok(address) => Err(Unfit::Elsewhere(address)),
            Err(_) => Err(Unfit::Neither(text)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Port(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_a_port_of_this_machine() {
        let read = |text: &str| Place::try_from(text.to_owned());
        assert_eq!(read("/run/haproxy.sock"), Ok(Place::Unix("/run/haproxy.sock".into())));
        assert_eq!(read("127.0.0.1:9999").map(|place| place.to_string()), Ok("127.0.0.1:9999".into()));
        assert!(read("[::1]:9999").is_ok());
        for text in ["10.0.0.1:9999", "0.0.0.0:9999"] {
            assert!(matches!(read(text), Err(Unfit::Elsewhere(_))), "{text}");
        }
        for text in ["", "haproxy.sock", "localhost:9999", "127.0.0.1"] {
            assert_eq!(read(text), Err(Unfit::Neither(text.into())));
        }
    }
}
