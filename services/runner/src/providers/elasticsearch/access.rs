//! How clusters are reached: scheme, port and login, from the runner's own configuration. A command names nodes; it
//! never says how one gets in.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use data_encoding::BASE64;
use hyper::header::HeaderValue;
use regreen_action::Refusal;
use regreen_kit::{daemon::Failure, secrets::Secrets};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem, pem::PemObject as _},
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use url::Url;

use crate::{connection::Client, providers::SecretName, rest::Rest};

/// `providers.elasticsearch` of the runner's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// `http` unless given. With a login it must be given: a default must not send a password in the clear.
    #[serde(default)]
    pub scheme: Option<Scheme>,
    /// Where an address names none.
    #[serde(default = "port")]
    pub port: u16,
    /// Certificates in PEM of whom to trust with `https`: most clusters have a CA of their own. What the machine
    /// trusts unless given.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Who we are; nobody unless given. It needs the rights `monitor` and `manage` of the cluster.
    #[serde(default)]
    pub login: Option<Login>,
}

/// Why clusters can't be reached at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no TLS.
    #[error("no TLS for Elasticsearch")]
    Tls(#[from] rustls::Error),
    /// The CA can't be read.
    #[error("providers.elasticsearch.ca: {path} can't be read as certificates in PEM")]
    Ca {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// A login without a scheme.
    #[error(
        "providers.elasticsearch: a login would go out in the clear; say `scheme: https`, or `scheme: http` if so it shall be"
    )]
    Clear,
    /// A user's name that would end where its password begins.
    #[error("providers.elasticsearch.login: no user's name has a colon in it")]
    Colon,
    /// There is no CA in its file.
    #[error("providers.elasticsearch.ca: there is no certificate of a CA in {0}")]
    Empty(PathBuf),
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// In the clear.
    Http,
    /// TLS.
    Https,
}

/// Who we are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Login {
    /// A key as Elasticsearch gives it out: the `encoded` of its answer.
    ApiKey(SecretName),
    /// A user.
    Basic {
        /// Its name.
        user: String,
        /// Its password.
        password: SecretName,
    },
}

fn port() -> u16 {
    9200
}

impl Default for Options {
    fn default() -> Self {
        Self { scheme: None, port: port(), ca: None, login: None }
    }
}

impl Options {
    /// Whether the secret and the CA that are named here are at hand.
    ///
    /// # Errors
    /// What is not.
    pub fn check(&self, secrets: &Secrets) -> Result<(), Failure> {
        self.sound()?;
        if let Some(Login::ApiKey(named) | Login::Basic { password: named, .. }) = &self.login {
            secrets.get(&named.secret)?;
        }
        Ok(self.ca.iter().try_for_each(|path| roots(path).map(|_| ()))?)
    }

    /// Whether the login, if there is one, is one that may be shown.
    pub(super) fn sound(&self) -> Result<(), Error> {
        match (&self.login, self.scheme) {
            (Some(_), None) => Err(Error::Clear),
            (Some(Login::Basic { user, .. }), _) if user.contains(':') => Err(Error::Colon),
            _ => Ok(()),
        }
    }

    /// A client that trusts the CA that is named here; the common one trusts what the machine trusts.
    pub(super) fn client(&self, common: &Client) -> Result<Client, Error> {
        let Some(path) = &self.ca else { return Ok(common.clone()) };
        let provider = CryptoProvider::get_default()
            .cloned()
            .ok_or_else(|| rustls::Error::General("this process has not chosen one".into()))?;
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(path)?)
            .with_no_client_auth();
        Ok(Client::trusting(tls))
    }

    /// A client that has said who it is.
    pub(super) fn rest(&self, client: &Client, secrets: &Secrets) -> Result<Rest, Refusal> {
        let reveal = |named: &SecretName| {
            secrets.get(&named.secret).map_err(|missing| Refusal::secret(missing.to_string()))
        };
        let said = match &self.login {
            None => return Ok(Rest::new(client, None)),
            Some(Login::ApiKey(key)) => format!("ApiKey {}", reveal(key)?.expose_secret()),
            Some(Login::Basic { user, password }) => {
                let both = format!("{user}:{}", reveal(password)?.expose_secret());
                format!("Basic {}", BASE64.encode(both.as_bytes()))
            }
        };
        let said = HeaderValue::from_str(&said)
            .map_err(|_| Refusal::secret("the login of Elasticsearch can't stand in a header"))?;
        Ok(Rest::new(client, Some(said)))
    }

    /// Where a node of the inventory answers: its address, with the port of this file unless it names one.
    pub(super) fn url(&self, address: &str) -> Result<Url, Refusal> {
        let scheme = match self.scheme {
            None | Some(Scheme::Http) => "http",
            Some(Scheme::Https) => "https",
        };
        let place = match address.parse() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            Ok(IpAddr::V4(ip)) => format!("{ip}:{}", self.port),
            Err(_) if address.contains(':') => address.into(),
            Err(_) => format!("{address}:{}", self.port),
        };
        let wrong = || Refusal::refused(format!("`{address}` is no address of a node: host or host:port"));
        let url = Url::parse(&format!("{scheme}://{place}/")).map_err(|_| wrong())?;
        // Anything beyond host and port would send the login elsewhere, or a request to another API.
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.has_host() || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong());
        }
        Ok(url)
    }
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|source| Error::Ca { path: path.into(), source })?;
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(found) {
        (0, _) => Err(Error::Empty(path.into())),
        _ => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_goes_out_in_the_clear_only_when_that_is_said() {
        let read = |text: &str| serde_json::from_str::<Options>(text).expect("options").sound();
        let basic = |user: &str| {
            format!(r#""login": {{"basic": {{"user": "{user}", "password": {{"secret": "s"}}}}}}"#)
        };
        assert!(read("{}").is_ok());
        assert!(matches!(read(&format!("{{{}}}", basic("u"))), Err(Error::Clear)));
        assert!(read(&format!(r#"{{"scheme": "http", {}}}"#, basic("u"))).is_ok());
        assert!(matches!(read(&format!(r#"{{"scheme": "https", {}}}"#, basic("u:v"))), Err(Error::Colon)));
    }

    #[test]
    fn an_address_is_a_host_with_or_without_port_and_nothing_else() {
        let options = Options::default();
        let table = [
            ("10.0.0.1", Some("http://10.0.0.1:9200/")),
            ("10.0.0.1:9201", Some("http://10.0.0.1:9201/")),
            ("a1.internal", Some("http://a1.internal:9200/")),
            ("fd00::1", Some("http://[fd00::1]:9200/")),
            ("[fd00::1]:9201", Some("http://[fd00::1]:9201/")),
            ("", None),
            ("a1/_all", None),
            ("user:pass@a1:9200", None),
            ("a1:9200?x", None),
            ("http://a1:9200", None),
        ];
        for (address, url) in table {
            let got = options.url(address);
            assert_eq!(got.as_ref().ok().map(Url::as_str), url, "{address}: {got:?}");
        }
    }
}
