//! Texts that nobody can guess.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt as _;
use sha2::{Digest, Sha256};

/// What every API token begins with, so that scanners of source code can find leaked ones.
pub(crate) const TOKEN_PREFIX: &str = "dagctl_";

/// 256 random bits as text.
pub(crate) fn random() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill(&mut bytes[..]);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A new API token.
pub(super) fn token() -> String {
    format!("{TOKEN_PREFIX}{}", random())
}

/// The token that a session's forms carry: nobody without the session's cookie can work it out.
pub(super) fn form_token(session: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("dagctl form token {session}")))
}
