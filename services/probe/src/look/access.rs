//! How looks get in: a connection of their own each time, the CA that the check names, and headers whose secrets
//! are read anew for every look (rule 28).

use std::{collections::BTreeMap, error::Error as StdError, io, path::PathBuf, sync::Arc};

use regreen_kit::secrets::Secrets;
use regreen_schemas::view::{Access, Given};
use reqwest::{
    Client, Method, RequestBuilder, Response, Url,
    header::{HeaderName, HeaderValue},
    redirect, retry,
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem, pem::PemObject as _},
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::ExposeSecret as _;

use super::Failed;

/// Longest answer of an API that a look reads, in bytes.
pub const ANSWER_MAX: usize = 8 * 1024 * 1024;

/// Why there is no way in at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no TLS.
    #[error("no TLS for looks")]
    Tls(#[from] rustls::Error),
    /// There is no HTTP.
    #[error("no HTTP client for looks")]
    Client(#[from] reqwest::Error),
    /// A CA can't be read.
    #[error("ca `{name}`: {path} can't be read as certificates in PEM")]
    Ca {
        /// Its name.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// There is no CA in its file.
    #[error("ca `{name}`: there is no certificate of a CA in {path}")]
    Empty {
        /// Its name.
        name: String,
        /// Its file.
        path: PathBuf,
    },
}

/// Whom a look trusts, with a client that does.
struct Trust {
    tls: Arc<ClientConfig>,
    http: Client,
}

impl Trust {
    fn new(mut tls: ClientConfig) -> Result<Self, Error> {
        // A resumed session goes on trusting the certificate of the first: a look must see the one that is served now.
        tls.resumption = Resumption::disabled();
        let http = Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .tls_info(true)
            .pool_max_idle_per_host(0)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .build()?;
        Ok(Self { tls: Arc::new(tls), http })
    }

    fn system(provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        Self::new(tls)
    }

    fn of(provider: Arc<CryptoProvider>, name: &str, path: PathBuf) -> Result<Self, Error> {
        let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let found = match read {
            Ok(found) => found,
            Err(source) => return Err(Error::Ca { name: name.into(), path, source }),
        };
        let mut roots = RootCertStore::empty();
        if roots.add_parsable_certificates(found).0 == 0 {
            return Err(Error::Empty { name: name.into(), path });
        }
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self::new(tls)
    }
}

/// The way in for all looks.
pub struct Door {
    secrets: Secrets,
    system: Trust,
    cas: BTreeMap<String, Trust>,
}

impl Door {
    /// Reads the CAs; secrets are read when they are needed.
    pub fn new(secrets: Secrets, cas: BTreeMap<String, PathBuf>) -> Result<Self, Error> {
        let provider = CryptoProvider::get_default()
            .cloned()
            .ok_or_else(|| rustls::Error::General("this process has not chosen one".into()))?;
        let cas = cas
            .into_iter()
            .map(|(name, path)| Ok((name.clone(), Trust::of(provider.clone(), &name, path)?)))
            .collect::<Result<_, Error>>()?;
        Ok(Self { secrets, system: Trust::system(provider)?, cas })
    }

    fn trust(&self, ca: Option<&str>) -> Result<&Trust, Failed> {
        match ca {
            None => Ok(&self.system),
            Some(name) => self
                .cas
                .get(name)
                .ok_or_else(|| Failed::Blind(format!("ca `{name}` is not configured: name it under `ca:`"))),
        }
    }

    /// Whom to trust in a handshake.
    pub fn tls(&self, ca: Option<&str>) -> Result<Arc<ClientConfig>, Failed> {
        Ok(self.trust(ca)?.tls.clone())
    }

    /// A request with its headers.
    pub fn request(&self, method: Method, url: Url, access: &Access) -> Result<RequestBuilder, Failed> {
        let mut request = self.trust(access.ca.as_deref())?.http.request(method, url);
        for (name, given) in &access.headers {
            let wrong = |_| Failed::Blind(format!("header `{name}`: its name is not as HTTP wants it"));
            let key = HeaderName::try_from(name.as_ref()).map_err(wrong)?;
            request = request.header(key, self.reveal(name, given)?);
        }
        Ok(request)
    }

    fn reveal(&self, header: &str, given: &Given) -> Result<HeaderValue, Failed> {
        let value = match given {
            Given::Text(text) => HeaderValue::from_str(text),
            Given::Secret(name) => {
                let secret = self.secrets.get(name).map_err(|missing| Failed::Blind(missing.to_string()))?;
                HeaderValue::from_str(secret.expose_secret())
            }
        };
        let wrong = |_| Failed::Blind(format!("header `{header}`: its value is not as HTTP wants it"));
        let mut value = value.map_err(wrong)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// An address of an API: the base with these segments of a path, each encoded, and this query.
pub fn url(base: &str, path: &[&str], query: &[(&str, &str)]) -> Result<Url, Failed> {
    let mut url = parse(base)?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// An address with a host.
pub fn parse(text: &str) -> Result<Url, Failed> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(Failed::Blind(format!("`{text}` is no address of HTTP"))),
    }
}

/// What an API answered.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// Asks, and reads the answer.
pub async fn ask(request: RequestBuilder) -> Result<Reply, Failed> {
    let response = request.send().await.map_err(no_answer)?;
    Ok(Reply { status: response.status().as_u16(), body: read(response, ANSWER_MAX).await? })
}

/// Reads a body, so many bytes at most.
pub async fn read(mut response: Response, max: usize) -> Result<Vec<u8>, Failed> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        if body.len() + chunk.len() > max {
            return Err(Failed::NoAnswer(format!("an answer of more than {} KiB", max / 1024)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause alone: what is around it says that a request failed, and where to.
pub fn no_answer(error: reqwest::Error) -> Failed {
    let error = error.without_url();
    let mut cause: &(dyn StdError + 'static) = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.downcast_ref::<io::Error>().map_or_else(|| Failed::NoAnswer(cause.to_string()), Failed::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_encoded_and_a_prefix_stays() {
        let table = [
            ("http://a:9200", vec!["_cluster", "health"], "http://a:9200/_cluster/health"),
            ("http://a:9200/", vec!["logs/x?y#z", "_ccr"], "http://a:9200/logs%2Fx%3Fy%23z/_ccr"),
            ("https://a/es/", vec!["ä b"], "https://a/es/%C3%A4%20b"),
        ];
        for (base, path, expected) in table {
            assert_eq!(url(base, &path, &[]).expect("an address").as_str(), expected);
        }
        let asked = url("http://a", &["q"], &[("query", "a{b=\"c\"}+1")]).expect("an address");
        assert_eq!(asked.query_pairs().next().expect("a pair").1, "a{b=\"c\"}+1");
        for wrong in ["a:9200", "ftp://a", "", "http://"] {
            assert!(matches!(url(wrong, &[], &[]), Err(Failed::Blind(_))), "{wrong}");
        }
    }
}
