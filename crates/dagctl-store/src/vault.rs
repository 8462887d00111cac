//! Seals what must not be read from a dump of the database: XChaCha20-Poly1305, bound to its place.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::RngExt as _;
use sha2::{Digest, Sha256};

/// The first byte of everything sealed in this way.
const FORMAT: u8 = 1;
const KEY_ID_LEN: usize = 4;
const NONCE_LEN: usize = 24;
const HEAD_LEN: usize = 1 + KEY_ID_LEN + NONCE_LEN;

/// What a sealed value is; part of what it is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A variable's value.
    Variable,
    /// A connection.
    Connection,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Variable => "variable",
            Self::Connection => "connection",
        }
    }
}

/// Where a sealed value stands: opened anywhere else, it is refused.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: &'a str,
    /// How often it was written.
    pub version: i32,
}

/// Why a sealed value cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// It was sealed with another key.
    #[error(
        "{0} was encrypted with another key; start dagctl with the key it was saved under, or set it again"
    )]
    OtherKey(String),
    /// It was changed, moved from another place, or is not a sealed value.
    #[error("{0} was changed outside dagctl and cannot be decrypted; set it again")]
    Tampered(String),
}

/// The key of an installation.
#[derive(Clone)]
pub struct Vault {
    cipher: XChaCha20Poly1305,
    key_id: [u8; KEY_ID_LEN],
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(***)")
    }
}

impl Vault {
    /// Takes the key, which lives outside the database.
    pub fn new(key: &[u8; 32]) -> Self {
        let mut key_id = [0; KEY_ID_LEN];
        let digest = Sha256::digest([b"dagctl key id ".as_slice(), key].concat());
        key_id.copy_from_slice(&digest[..KEY_ID_LEN]);
        Self {
            cipher: XChaCha20Poly1305::new(key.into()),
            key_id,
        }
    }

    /// Seals a text for one place.
    pub fn seal(&self, place: Place<'_>, text: &str) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        rand::rng().fill(&mut nonce[..]);
        let payload = Payload {
            msg: text.as_bytes(),
            aad: &bound_to(place),
        };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a text in memory is shorter than the cipher's 256 GiB");
        let mut bytes = Vec::with_capacity(HEAD_LEN + sealed.len());
        bytes.push(FORMAT);
        bytes.extend(self.key_id);
        bytes.extend(nonce);
        bytes.extend(sealed);
        bytes
    }

    /// Opens what was sealed for that very place with this key.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<String, VaultError> {
        let what = || format!("{} `{}`", place.kind.name(), place.name);
        if sealed.len() < HEAD_LEN || sealed[0] != FORMAT {
            return Err(VaultError::Tampered(what()));
        }
        let (head, body) = sealed.split_at(HEAD_LEN);
        if head[1..=KEY_ID_LEN] != self.key_id {
            return Err(VaultError::OtherKey(what()));
        }
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&head[1 + KEY_ID_LEN..]);
        let payload = Payload {
            msg: body,
            aad: &bound_to(place),
        };
        self.cipher
            .decrypt(&XNonce::from(nonce), payload)
            .ok()
            .and_then(|it| String::from_utf8(it).ok())
            .ok_or_else(|| VaultError::Tampered(what()))
    }
}

fn bound_to(place: Place<'_>) -> Vec<u8> {
    // Names hold no NUL, so no two places give the same bytes.
    format!("{}\0{}\0{}", place.kind.name(), place.name, place.version).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'static> = Place {
        kind: Kind::Variable,
        name: "api_key",
        version: 3,
    };

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let vault = Vault::new(&[7; 32]);
        let sealed = vault.seal(HERE, "hunter2");
        assert_eq!(vault.open(HERE, &sealed), Ok("hunter2".to_owned()));
        for elsewhere in [
            Place {
                name: "other",
                ..HERE
            },
            Place { version: 4, ..HERE },
            Place {
                kind: Kind::Connection,
                ..HERE
            },
        ] {
            assert!(matches!(
                vault.open(elsewhere, &sealed),
                Err(VaultError::Tampered(_))
            ));
        }
    }

    #[test]
    fn another_key_is_named_as_the_cause() {
        let sealed = Vault::new(&[7; 32]).seal(HERE, "hunter2");
        assert_eq!(
            Vault::new(&[8; 32]).open(HERE, &sealed),
            Err(VaultError::OtherKey("variable `api_key`".to_owned()))
        );
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let vault = Vault::new(&[7; 32]);
        let sealed = vault.seal(HERE, "hunter2");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(vault.open(HERE, &changed).is_err(), "byte {at}");
            assert!(vault.open(HERE, &sealed[..at]).is_err(), "first {at}");
        }
    }

    #[test]
    fn the_same_text_never_looks_the_same() {
        let vault = Vault::new(&[7; 32]);
        assert_ne!(vault.seal(HERE, "hunter2"), vault.seal(HERE, "hunter2"));
        assert!(!format!("{vault:?}").contains('7'));
    }
}
