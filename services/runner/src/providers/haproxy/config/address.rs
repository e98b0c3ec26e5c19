//! Where a server is: host and port. HAProxy takes the port of its server-state file before that of its configuration, so
//! that one must say the new one as well, or an address that was changed would not be.

use std::{fmt, net::IpAddr};

/// Host and port of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// As the server-state file has a host: a number, or nothing of a name that is looked up at the start.
    pub fn number(&self) -> String {
        self.ip().map_or_else(|| "-".into(), |ip| ip.to_string())
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host.trim_matches(['[', ']']).parse().ok()
    }
}

impl TryFrom<String> for Address {
    /// What is none.
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = |host: &str| {
            !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let bracketed = |host: &str| {
            let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            inner.is_some_and(|inner| inner.parse::<IpAddr>().is_ok())
        };
        let parts = text.rsplit_once(':').filter(|(host, _)| plain(host) || bracketed(host));
        match parts
            .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok().filter(|port| *port > 0)?)))
        {
            Some((host, port)) => Ok(Self { host, port }),
            None => Err(text),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_host_and_port_and_nothing_else() {
        let table = [
            ("10.0.0.1:80", Some("10.0.0.1")),
            ("[fd00::1]:80", Some("fd00::1")),
            ("app-1.example:8080", Some("-")),
            ("", None),
            ("10.0.0.1", None),
            (":80", None),
            ("10.0.0.1:0", None),
            ("10.0.0.1:http", None),
            ("10.0.0.1:65536", None),
            ("fd00::1:80", None),
            ("[fd00::1", None),
            ("10.0.0.1:80 backup", None),
            ("unix@/run/x:1", None),
        ];
        for (text, number) in table {
            let read = Address::try_from(text.to_owned());
            assert_eq!(read.as_ref().ok().map(Address::number).as_deref(), number, "{text}");
            assert!(read.as_ref().is_ok_and(|read| read.to_string() == text) || number.is_none(), "{text}");
        }
    }
}
