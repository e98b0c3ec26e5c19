//! A handshake, and the days that the certificate has left.

use regreen_kit::clock;
use regreen_schemas::{Timestamp, view::Check};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{Failed, Found, access::Door};

/// Milliseconds of a day.
const DAY: f64 = 86_400_000.0;

pub async fn look(
    door: &Door,
    check: &Check,
    address: &str,
    server_name: Option<&str>,
    ca: Option<&str>,
) -> Result<Found, Failed> {
    let host = server_name.unwrap_or_else(|| host(address));
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failed::Blind(format!("`{host}` is no name of a server")))?;
    let connector = TlsConnector::from(door.tls(ca)?);
    let stream = connector.connect(name, TcpStream::connect(address).await?).await?;
    let chain = stream.get_ref().1.peer_certificates();
    let leaf = chain.and_then(<[_]>::first);
    let leaf = leaf.ok_or_else(|| Failed::NoAnswer("there is no certificate".into()))?;
    judge(check, leaf, clock::wall())
}

/// Judges the days that a certificate in DER has left.
pub fn judge(check: &Check, certificate: &[u8], now: Timestamp) -> Result<Found, Failed> {
    let (_, certificate) = X509Certificate::from_der(certificate)
        .map_err(|_| Failed::Blind("the certificate can't be read".into()))?;
    let end = Timestamp(certificate.validity().not_after.timestamp().saturating_mul(1000));
    let days = (end - now).0 as f64 / DAY;
    Ok(Found::measured(check, days, format!("the certificate has {:.0} days left", days.floor())))
}

/// The host of `host:port`.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use regreen_schemas::{
        check::Status,
        view::{Bound, Kind},
    };

    use super::*;
    use crate::look::check_of;

    #[test]
    fn the_host_of_an_address() {
        let table = [("a.example:443", "a.example"), ("[2001:db8::1]:443", "2001:db8::1"), ("a", "a")];
        for (address, expected) in table {
            assert_eq!(host(address), expected);
        }
    }

    #[test]
    fn days_are_counted_to_the_end_of_the_certificate() {
        let mut params = rcgen::CertificateParams::new(vec!["a.example".into()]).expect("names");
        params.not_after = rcgen::date_time_ymd(2026, 3, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let kind = Kind::Tls { address: "a.example:443".into(), server_name: None, ca: None };
        let check = check_of(kind, Some(Bound::Below(14.0)), Some(Bound::Below(3.0)));
        // 2026-01-01, 2026-02-20, 2026-02-27T12:00.
        let table = [
            (1_767_225_600_000, Status::Up, ""),
            (1_771_545_600_000, Status::Degraded, "the certificate has 9 days left"),
            (1_772_193_600_000, Status::Down, "the certificate has 1 days left"),
        ];
        for (now, expected, reason) in table {
            let found = judge(&check, certificate.der(), Timestamp(now)).expect("a certificate");
            assert_eq!((found.status, found.reason.as_ref()), (expected, reason));
        }
        assert!(matches!(judge(&check, b"junk", Timestamp(0)), Err(Failed::Blind(_))));
    }
}
