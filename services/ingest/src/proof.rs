//! Whether a sender of events has the secret of the path that it posts to: it shows it, or signs the body with it. Either is
//! compared in constant time.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::HeaderMap;
use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, Mac as _};
use regreen_kit::{
    config::{self, Scheme},
    secrets::Missing,
};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::auth;

/// Why a path can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("`events.{path}`")]
pub struct Error {
    path: String,
    #[source]
    source: Missing,
}

/// A path that events are posted to.
pub struct Door {
    /// Name of its secret.
    pub secret: Arc<str>,
    proof: Proof,
}

enum Proof {
    /// Digest of the header that shows the secret.
    Bearer([u8; 32]),
    /// Signature over the body, in this header.
    Signature { header: &'static str, key: SecretString },
}

/// The doors by their paths.
///
/// # Errors
/// When a secret is missing.
pub fn doors(events: &BTreeMap<String, config::Door>) -> Result<BTreeMap<Arc<str>, Door>, Error> {
    let door = |(path, door): (&String, &config::Door)| {
        let wrong = |source| Error { path: path.clone(), source };
        let key = door.value.read(&door.secret).map_err(wrong)?;
        let proof = match door.scheme {
            Scheme::Bearer => Proof::Bearer(auth::bearer(&key)),
            Scheme::HmacSha256 => Proof::Signature { header: "x-signature-256", key },
            Scheme::Github => Proof::Signature { header: "x-hub-signature-256", key },
        };
        Ok((path.as_str().into(), Door { secret: door.secret.as_str().into(), proof }))
    };
    events.iter().map(door).collect()
}

impl Door {
    /// Whether the sender has the secret. A signature can't be judged without the body: then it has not.
    pub fn opens(&self, headers: &HeaderMap, raw_body: Option<&[u8]>) -> bool {
        match &self.proof {
            Proof::Bearer(expected) => {
                auth::given(headers).is_some_and(|given| bool::from(expected.ct_eq(&given)))
            }
            Proof::Signature { header, key } => {
                let signature = headers.get(*header).and_then(|value| value.to_str().ok());
                signature.zip(raw_body).is_some_and(|(signature, body)| signed(key, signature, body))
            }
        }
    }

    /// Whether the secret itself is what its sender shows.
    pub const fn is_bearer(&self) -> bool {
        matches!(self.proof, Proof::Bearer(_))
    }
}

/// Whether this is `sha256=` and the HMAC-SHA256 of the body in hex.
fn signed(key: &SecretString, signature: &str, raw_body: &[u8]) -> bool {
    let hex = signature.strip_prefix("sha256=");
    let Some(given) = hex.and_then(|hex| HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()) else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()) else { return false };
    mac.update(raw_body);
    mac.verify_slice(&given).is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use regreen_kit::secrets::Reference;

    use super::*;

    /// The vector that GitHub publishes.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn door(scheme: Scheme) -> Door {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), format!("{SECRET}\n")).expect("written");
        let value = Reference::File(file.path().into());
        let events = [("deploys".to_owned(), config::Door { secret: "ci".into(), value, scheme })].into();
        let (path, door) = doors(&events).expect("a secret").pop_first().expect("one");
        assert_eq!((&*path, &*door.secret), ("deploys", "ci"));
        door
    }

    #[test]
    fn only_who_has_the_secret() {
        let short = &SIGNATURE[..SIGNATURE.len() - 2];
        let upper = SIGNATURE[7..].to_uppercase();
        let (bearer, name) = (format!("Bearer {SECRET}"), format!("bearer  {SECRET}"));
        let other = format!("Bearer {SECRET}!");
        for (scheme, header, value, body, wanted) in [
            (Scheme::Bearer, "authorization", bearer.as_str(), Some(BODY), true),
            (Scheme::Bearer, "authorization", &name, None, true),
            (Scheme::Bearer, "authorization", &other, Some(BODY), false),
            (Scheme::Bearer, "authorization", "Bearer", Some(BODY), false),
            (Scheme::Bearer, "authorization", SECRET, Some(BODY), false),
            (Scheme::Bearer, "x-signature-256", SIGNATURE, Some(BODY), false),
            (Scheme::HmacSha256, "x-signature-256", SIGNATURE, Some(BODY), true),
            (Scheme::HmacSha256, "x-signature-256", &format!("sha256={upper}"), Some(BODY), true),
            (Scheme::HmacSha256, "x-signature-256", SIGNATURE, Some(b"Hello, World?"), false),
            (Scheme::HmacSha256, "x-signature-256", SIGNATURE, Some(b""), false),
            (Scheme::HmacSha256, "x-signature-256", SIGNATURE, None, false),
            (Scheme::HmacSha256, "x-signature-256", short, Some(BODY), false),
            (Scheme::HmacSha256, "x-signature-256", &SIGNATURE[7..], Some(BODY), false),
            (Scheme::HmacSha256, "x-signature-256", &format!("sha1={}", &SIGNATURE[7..]), Some(BODY), false),
            (Scheme::HmacSha256, "x-signature-256", "sha256=", Some(BODY), false),
            (Scheme::HmacSha256, "x-signature-256", "", Some(BODY), false),
            (Scheme::HmacSha256, "x-hub-signature-256", SIGNATURE, Some(BODY), false),
            (Scheme::HmacSha256, "authorization", &bearer, Some(BODY), false),
            (Scheme::Github, "x-hub-signature-256", SIGNATURE, Some(BODY), true),
            (Scheme::Github, "x-hub-signature-256", short, Some(BODY), false),
            (Scheme::Github, "x-signature-256", SIGNATURE, Some(BODY), false),
            (Scheme::Github, "authorization", &bearer, Some(BODY), false),
        ] {
            let value = HeaderValue::from_str(value).expect("a value");
            let headers: HeaderMap = [(HeaderName::from_static(header), value)].into_iter().collect();
            assert_eq!(door(scheme).opens(&headers, body), wanted, "{scheme:?} {headers:?}");
        }
        for scheme in [Scheme::Bearer, Scheme::HmacSha256, Scheme::Github] {
            assert!(!door(scheme).opens(&HeaderMap::new(), Some(BODY)), "{scheme:?}");
        }
    }

    #[test]
    fn a_secret_that_is_missing_is_told_with_its_path() {
        let value = Reference::File("/nowhere/ci".into());
        let door = config::Door { secret: "ci".into(), value, scheme: Scheme::Bearer };
        let told = doors(&[("deploys".to_owned(), door)].into()).err().expect("missing").to_string();
        assert_eq!(told, "`events.deploys`");
    }
}
