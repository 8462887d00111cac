//! Passwords: argon2id with 46 MiB, a few at a time, and the same work for an account that does not exist.

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::App;

/// Why a password will not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than twelve characters.
    #[error(
        "the password is too short: at least 12 characters; a few random words are easy to remember"
    )]
    TooShort,
    /// More than a person types.
    #[error("the password is too long: at most 1,000 characters")]
    TooLong,
    /// Everybody's first guess.
    #[error("this password is one of the first that are tried; choose another")]
    TooCommon,
}

/// Beginnings of what is guessed first among passwords long enough to be taken.
const COMMON: [&str; 14] = [
    "123456789012",
    "1234567890",
    "qwertyuiop",
    "password",
    "passw0rd",
    "letmein",
    "administrator",
    "adminadmin",
    "iloveyou",
    "welcome",
    "changeme",
    "dagctl",
    "airflow",
    "abcdefghij",
];

/// Says what is wrong with a password, if anything is.
pub fn check_password(account: &str, password: &str) -> Result<(), PasswordError> {
    let length = password.chars().count();
    if length < 12 {
        return Err(PasswordError::TooShort);
    }
    if length > 1000 {
        return Err(PasswordError::TooLong);
    }
    let lower = password.to_lowercase();
    let mut letters = lower.chars();
    let first = letters.next();
    let is_one_letter = letters.all(|it| Some(it) == first);
    // Padding a known word with a few digits is what guessing programs try next.
    let bare = lower.trim_end_matches(|it: char| !it.is_alphabetic());
    let account = account.to_lowercase();
    let is_common = COMMON.iter().any(|it| lower == *it || bare == *it)
        || COMMON.iter().any(|it| lower == it.repeat(2))
        || bare == account
        || lower == account.repeat(2);
    match is_one_letter || is_common {
        true => Err(PasswordError::TooCommon),
        false => Ok(()),
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(46 * 1024, 1, 1, None).expect("these figures are in argon2's range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// What an unknown account's password is compared with.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now("nobody has this password"));

fn hash_now(password: &str) -> String {
    argon2()
        .hash_password(password.as_bytes())
        .expect("argon2 takes any text of this length")
        .to_string()
}

fn verify_now(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
}

pub(super) async fn hash_blocking(password: String) -> String {
    tokio::task::spawn_blocking(move || hash_now(&password))
        .await
        .expect("hashing does not panic")
}

/// Hashes a password when one of the few places is free.
pub(crate) async fn hash(app: &App, password: String) -> String {
    let _place = app.hashers().acquire().await;
    hash_blocking(password).await
}

/// Whether the password is the one of `hash`; takes as long without a hash, and then says no.
pub(crate) async fn verify(app: &App, password: String, hash: Option<String>) -> bool {
    let _place = app.hashers().acquire().await;
    tokio::task::spawn_blocking(move || match hash {
        Some(hash) => verify_now(&password, &hash),
        None => {
            verify_now(&password, &NOBODY);
            false
        }
    })
    .await
    .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_recognised_and_no_other() {
        let hash = hash_now("correct horse battery");
        assert!(
            hash.starts_with("$argon2id$v=19$m=47104,t=1,p=1$"),
            "{hash}"
        );
        assert!(verify_now("correct horse battery", &hash));
        assert!(!verify_now("correct horse batterz", &hash));
        assert!(!verify_now("correct horse battery", "no hash"));
    }

    #[test]
    fn first_guesses_are_refused_and_long_ones_taken() {
        for (password, wanted) in [
            ("short", Err(PasswordError::TooShort)),
            ("password1234", Err(PasswordError::TooCommon)),
            ("aaaaaaaaaaaaaaaa", Err(PasswordError::TooCommon)),
            ("kim.lee20261122", Err(PasswordError::TooCommon)),
            ("correct horse battery", Ok(())),
        ] {
            assert_eq!(check_password("kim.lee", password), wanted, "{password}");
        }
        assert_eq!(check_password("kim", &"짧지않은문장".repeat(20)), Ok(()));
        assert_eq!(
            check_password("kim", &"ab".repeat(501)),
            Err(PasswordError::TooLong)
        );
    }
}
