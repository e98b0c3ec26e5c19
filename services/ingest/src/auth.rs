//! Who may send: bearer or basic, compared in constant time. The credential's name becomes the source of the fact.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header::AUTHORIZATION};
use data_encoding::BASE64;
use regreen_kit::{config::Credential, secrets::Missing};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

/// Source of facts where no credentials are configured.
const LOCAL: &str = "local";

/// The credentials, as digests of the whole header value: equal length, and nothing to leak.
#[derive(Clone)]
pub struct Auth {
    known: Vec<(String, [u8; 32])>,
}

/// Why credentials can't be used.
#[derive(Debug, thiserror::Error)]
#[error("credential `{name}` of `auth:`")]
pub struct Error {
    name: String,
    #[source]
    source: Missing,
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Digest of the header that shows this token.
pub fn bearer(token: &SecretString) -> [u8; 32] {
    digest(&format!("Bearer {}", token.expose_secret()))
}

/// Digest of what the headers show.
pub fn given(headers: &HeaderMap) -> Option<[u8; 32]> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    // RFC 9110: the scheme is case-insensitive.
    let scheme = if scheme.eq_ignore_ascii_case("bearer") {
        "Bearer"
    } else if scheme.eq_ignore_ascii_case("basic") {
        "Basic"
    } else {
        scheme
    };
    Some(digest(&format!("{scheme} {}", rest.trim())))
}

impl Auth {
    /// Reads the credentials.
    ///
    /// # Errors
    /// When a secret is missing.
    pub fn new(credentials: &BTreeMap<String, Credential>) -> Result<Self, Error> {
        let mut known = Vec::new();
        for (name, credential) in credentials {
            let read = |reference: &regreen_kit::secrets::Reference| {
                reference.read(name).map_err(|source| Error { name: name.clone(), source })
            };
            let expected = match credential {
                Credential::Bearer(token) => bearer(&read(token)?),
                Credential::Basic { user, password } => {
                    let pair = format!("{user}:{}", read(password)?.expose_secret());
                    digest(&format!("Basic {}", BASE64.encode(pair.as_bytes())))
                }
            };
            known.push((name.clone(), expected));
        }
        Ok(Self { known })
    }

    /// Whether anybody is let in unasked. Only on loopback.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.known.is_empty()
    }

    /// Every source that may occur.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let open = self.is_open().then_some(LOCAL);
        self.known.iter().map(|(name, _)| name.as_str()).chain(open)
    }

    /// The name of the credential in the headers. Every known one is compared, found or not.
    #[must_use]
    pub fn who(&self, headers: &HeaderMap) -> Option<&str> {
        if self.is_open() {
            return Some(LOCAL);
        }
        let given = given(headers)?;
        let mut found = None;
        for (name, expected) in &self.known {
            if bool::from(expected.ct_eq(&given)) {
                found = Some(name.as_str());
            }
        }
        found
    }
}
