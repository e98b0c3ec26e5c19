//! BODIES: the files of a set by the hash of their bytes, so that a run can pin them and any moment can be
//! explained. A body is stored before the fact that names it.

use async_nats::jetstream::object_store::GetErrorKind;
use regreen_schemas::hash::sha256_hex;
use tokio::io::AsyncReadExt;

use crate::connect::Bus;

/// Largest body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Why a body is not at hand.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket does not take or give it now.
    #[error("BODIES: {0}")]
    Bucket(String),
    /// There is none.
    #[error("body {0} is not there")]
    Missing(String),
    /// It is larger than [`BODY_BYTES_MAX`].
    #[error("a file of {0} bytes is larger than the {BODY_BYTES_MAX} that a body may have")]
    TooLarge(usize),
    /// Its bytes are not those of its name.
    #[error("body {wanted} has the hash {found}: it was changed")]
    Changed {
        /// Name.
        wanted: String,
        /// Hash of what is there.
        found: String,
    },
}

fn bucket(error: impl std::fmt::Display) -> Error {
    Error::Bucket(error.to_string())
}

/// Stores a body unless it is there, and returns its hash.
///
/// # Errors
/// [`Error`].
pub async fn put(bus: &Bus, bytes: &[u8]) -> Result<String, Error> {
    if bytes.len() > BODY_BYTES_MAX {
        return Err(Error::TooLarge(bytes.len()));
    }
    let hash = sha256_hex(bytes);
    let store = bus.js.get_object_store(bus.names.bodies()).await.map_err(bucket)?;
    if store.info(&hash).await.is_err() {
        let mut reader = bytes;
        store.put(hash.as_str(), &mut reader).await.map_err(bucket)?;
    }
    Ok(hash)
}

/// The body with this hash, checked.
///
/// # Errors
/// [`Error`].
pub async fn get(bus: &Bus, hash: &str) -> Result<Vec<u8>, Error> {
    let store = bus.js.get_object_store(bus.names.bodies()).await.map_err(bucket)?;
    let mut object = store.get(hash).await.map_err(|error| match error.kind() {
        GetErrorKind::NotFound => Error::Missing(hash.into()),
        _ => bucket(error),
    })?;
    let mut bytes = Vec::new();
    object.read_to_end(&mut bytes).await.map_err(bucket)?;
    let found = sha256_hex(&bytes);
    if found == hash { Ok(bytes) } else { Err(Error::Changed { wanted: hash.into(), found }) }
}
