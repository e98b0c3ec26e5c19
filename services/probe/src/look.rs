//! One look, bounded, and what it found. And the sight of the vantage itself.
//!
//! A file a kind: each asks, and judges what came by a function of its own that asks nobody.

mod access;
mod dns;
mod haproxy;
mod http;
mod prometheus;
mod search;
mod silences;
mod tcp;
mod tls;

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::Arc,
};

use futures::future::BoxFuture;
use regreen_kit::secrets::Secrets;
use regreen_schemas::{
    check::Status,
    view::{Bound, Check, Kind},
};
use tokio::time::timeout;

use access::Door;
use search::Rates;

/// Longest reason in bytes: it is stored with the look.
const REASON_MAX: usize = 200;
/// ENFILE and EMFILE: there are no more descriptors.
const DESCRIPTORS: [i32; 2] = [23, 24];

/// What one look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Before fall and rise.
    pub status: Status,
    /// Why, for people; empty when all is well.
    pub reason: Arc<str>,
}

impl Found {
    /// All is well.
    #[must_use]
    pub fn up() -> Self {
        Self { status: Status::Up, reason: "".into() }
    }

    /// It is not well, or nobody can say.
    pub fn not_up(status: Status, reason: impl AsRef<str>) -> Self {
        let reason = reason.as_ref();
        Self { status, reason: reason[..reason.floor_char_boundary(REASON_MAX)].into() }
    }

    /// It fails.
    pub fn down(reason: impl AsRef<str>) -> Self {
        Self::not_up(Status::Down, reason)
    }

    /// Nobody can say how it is.
    pub fn unknown(reason: impl AsRef<str>) -> Self {
        Self::not_up(Status::Unknown, reason)
    }

    /// Judges the measured number by the check's bounds; `of` says what was measured, `212 ms`.
    #[must_use]
    pub fn measured(check: &Check, value: f64, of: impl AsRef<str>) -> Self {
        let passed = |bound: Option<Bound>| bound.is_some_and(|bound| bound.passed(value));
        match () {
            () if passed(check.down) => Self::down(of),
            () if passed(check.degraded) => Self::not_up(Status::Degraded, of),
            () => Self::up(),
        }
    }

    /// The worse of two, the first of equals.
    fn or_worse(self, other: Self) -> Self {
        if other.status > self.status { other } else { self }
    }
}

/// What a probe sees by.
pub trait Eye: Send + Sync + 'static {
    /// Looks once. Bounded by the check's timeout.
    fn look<'a>(&'a self, check: &'a Check) -> BoxFuture<'a, Found>;
}

/// Looks by the network.
pub struct Looker {
    door: Door,
    rates: Rates,
}

impl Looker {
    /// A looker with these secrets, and these CAs: a file in PEM by name.
    ///
    /// # Errors
    /// When there is no TLS, or a CA can't be read.
    pub fn new(secrets: Secrets, cas: BTreeMap<String, PathBuf>) -> Result<Self, access::Error> {
        Ok(Self { door: Door::new(secrets, cas)?, rates: Rates::default() })
    }

    async fn look(&self, check: &Check) -> Found {
        let door = &self.door;
        let found = match &check.kind {
            Kind::Http(http) => http::look(door, check, http).await,
            Kind::Tcp { address } => tcp::look(check, address).await,
            Kind::Tls { address, server_name, ca } => {
                tls::look(door, check, address, server_name.as_deref(), ca.as_deref()).await
            }
            Kind::Dns { name, record, server, expect } => {
                dns::look(check, name, *record, server.as_deref(), expect).await
            }
            Kind::Elasticsearch(search) => search::look(door, check, search, &self.rates).await,
            Kind::Haproxy { address, backend, server } => {
                haproxy::look(check, address, backend, server.as_deref()).await
            }
            Kind::Prometheus { url, query, access } => {
                prometheus::look(door, check, url, query, access).await
            }
            Kind::Silences { url, labels, access } => silences::look(door, url, labels, access).await,
            Kind::Of { .. } => Err(Failed::Blind("it has no look of its own".into())),
        };
        found.unwrap_or_else(|failed| failed.judge(&check.kind))
    }
}

impl Eye for Looker {
    fn look<'a>(&'a self, check: &'a Check) -> BoxFuture<'a, Found> {
        Box::pin(async {
            timeout(check.timeout.to_std(), self.look(check)).await.unwrap_or_else(|_| {
                Failed::NoAnswer(format!("no answer within {}", check.timeout)).judge(&check.kind)
            })
        })
    }
}

/// Why there is nothing to judge.
#[derive(Debug, PartialEq, thiserror::Error)]
enum Failed {
    /// What the probe needs for a look is not there, or not right: it says nothing about what is looked at.
    #[error("{0}")]
    Blind(String),
    /// The other side did not answer as it must.
    #[error("{0}")]
    NoAnswer(String),
}

impl Failed {
    /// Silence is a failure of what is looked at, but not that of an instrument: Prometheus, Alertmanager and the
    /// system's name server are only asked about something else.
    fn judge(&self, kind: &Kind) -> Found {
        let instrument = matches!(
            kind,
            Kind::Prometheus { .. }
                | Kind::Silences { .. }
                | Kind::Dns { server: None, .. }
                | Kind::Of { .. }
        );
        match self {
            Self::NoAnswer(why) if !instrument => Found::down(why),
            Self::NoAnswer(why) | Self::Blind(why) => Found::unknown(why),
        }
    }
}

impl From<&io::Error> for Failed {
    /// An error of the system is told by its kind, without its number.
    fn from(error: &io::Error) -> Self {
        let Some(number) = error.raw_os_error() else { return Self::NoAnswer(error.to_string()) };
        let kind = error.kind();
        match kind {
            // Ours: rights, ports, memory. A probe that has run out of them has not seen anything fail.
            ErrorKind::PermissionDenied | ErrorKind::AddrNotAvailable | ErrorKind::OutOfMemory => {
                Self::Blind(format!("this probe: {kind}"))
            }
            _ if DESCRIPTORS.contains(&number) => Self::Blind("this probe has too many open files".into()),
            _ => Self::NoAnswer(kind.to_string()),
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

/// A check of the kind, for the tables of its judges.
#[cfg(test)]
fn check_of(kind: Kind, degraded: Option<Bound>, down: Option<Bound>) -> Check {
    Check {
        name: "c".into(),
        kind,
        interval: regreen_schemas::Span::seconds(10),
        timeout: regreen_schemas::Span::seconds(3),
        fall: 3,
        rise: 2,
        fresh: regreen_schemas::Span::seconds(30),
        vantages: vec!["main".into()],
        quorum: 1,
        degraded,
        down,
        expose: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_of_an_instrument_says_nothing() {
        let dns = |server: Option<&str>| Kind::Dns {
            name: "a.example".into(),
            record: regreen_schemas::view::DnsRecord::A,
            server: server.map(Arc::from),
            expect: vec![],
        };
        let prometheus =
            Kind::Prometheus { url: "http://p".into(), query: "up".into(), access: Default::default() };
        let silences =
            Kind::Silences { url: "http://a".into(), labels: BTreeMap::new(), access: Default::default() };
        let table = [
            (Kind::Tcp { address: "a:1".into() }, Status::Down),
            (Kind::Http(Default::default()), Status::Down),
            (dns(Some("192.0.2.1:53")), Status::Down),
            (dns(None), Status::Unknown),
            (prometheus, Status::Unknown),
            (silences, Status::Unknown),
        ];
        for (kind, expected) in table {
            assert_eq!(Failed::NoAnswer("refused".into()).judge(&kind).status, expected, "{kind:?}");
            assert_eq!(Failed::Blind("no secret".into()).judge(&kind).status, Status::Unknown, "{kind:?}");
        }
    }

    #[test]
    fn what_the_probe_lacks_is_no_failure_of_others() {
        // ECONNREFUSED, EHOSTUNREACH; EMFILE, ENFILE, EACCES, EADDRNOTAVAIL.
        let table = [(111, false), (113, false), (24, true), (23, true), (13, true), (99, true)];
        for (number, blind) in table {
            let failed = Failed::from(io::Error::from_raw_os_error(number));
            assert_eq!(matches!(failed, Failed::Blind(_)), blind, "{number}: {failed}");
        }
    }

    #[test]
    fn a_number_is_judged_by_the_bounds() {
        let kind = Kind::Tcp { address: "a:1".into() };
        let check = check_of(kind, Some(Bound::Above(10.0)), Some(Bound::Above(20.0)));
        let table = [(10.0, Status::Up), (10.5, Status::Degraded), (21.0, Status::Down)];
        for (value, expected) in table {
            assert_eq!(Found::measured(&check, value, "").status, expected, "{value}");
        }
    }
}
