//! BODIES: the files of a set by the hash of their bytes, so that a run can pin them and any moment can be
//! explained. A body is stored before the fact that names it.

use std::collections::BTreeSet;

use bytes::Bytes;
use regreen_schemas::hash::sha256_hex;

use crate::{connect::Bus, port};

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

/// Stores bodies, each under its hash, unless it is there.
///
/// # Errors
/// [`Error`].
pub async fn put(bus: &Bus, bodies: Vec<Bytes>) -> Result<(), Error> {
    let there: BTreeSet<String> =
        bus.port.list(bus.names.bodies()).await.map_err(bucket)?.into_iter().collect();
    for body in bodies {
        if body.len() > BODY_BYTES_MAX {
            return Err(Error::TooLarge(body.len()));
        }
        let hash = sha256_hex(&body);
        // What lies under its name may be something else: then it is written anew.
        let good = there.contains(&hash) && get(bus, &hash).await.is_ok();
        if !good {
            bus.port.put(bus.names.bodies(), hash, body).await.map_err(bucket)?;
        }
    }
    Ok(())
}

/// The body with this hash, checked.
///
/// # Errors
/// [`Error`].
pub async fn get(bus: &Bus, hash: &str) -> Result<Vec<u8>, Error> {
    let bytes = bus.port.get(bus.names.bodies(), hash.into()).await.map_err(|error| match error {
        port::Error::Damaged(found) => Error::Changed { wanted: hash.into(), found },
        other => bucket(other),
    })?;
    let bytes = bytes.ok_or_else(|| Error::Missing(hash.into()))?;
    let found = sha256_hex(&bytes);
    if found == hash { Ok(bytes) } else { Err(Error::Changed { wanted: hash.into(), found }) }
}
