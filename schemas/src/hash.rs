//! The two hashes of the wire: `H` names things, SHA-256 chains and addresses bytes.

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

/// `H` of wire.md: the first 80 bits of SHA-256 over the parts, each preceded by its length (u32, big-endian),
/// in RFC 4648 base32, lower case, unpadded: always 16 characters, always a legal subject token.
#[must_use]
pub fn h(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        let length = u32::try_from(part.len()).expect("invariant: a hashed part is below 4 GiB");
        hasher.update(length.to_be_bytes());
        hasher.update(part);
    }
    BASE32_NOPAD.encode(&hasher.finalize()[..10]).to_ascii_lowercase()
}

/// Whole SHA-256 in lower-case hex: content addresses and the chain over decision records.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h_is_sixteen_legal_characters_and_separates_parts() {
        let one = h(&[b"ab", b"c"]);
        let other = h(&[b"a", b"bc"]);
        assert_eq!(one.len(), 16);
        assert_ne!(one, other, "the length prefix keeps parts apart");
        assert!(crate::id::is_token(&one));
        // Computed independently with Python's hashlib and base64.
        assert_eq!(h(&[b"genesis", b"1"]), "oadl6323s77opad3");
    }
}
