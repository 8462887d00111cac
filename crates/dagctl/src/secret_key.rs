//! The key that seals variables and connections. It lives outside the database: whoever has only the one
//! cannot read secrets, and whoever loses the key loses them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use dagctl_core::connection::Secret;

use crate::config::SecretKeyConfig;
use crate::local::write_private;
use crate::stop::Stop;

const LEN: usize = 32;
const FILE: &str = "secret.key";
const EXPECTED: &str = "expected 64 hexadecimal digits, such as `openssl rand -hex 32` prints";

/// A key, and whether it is new.
pub(crate) struct FoundKey {
    /// The key.
    pub(crate) key: [u8; LEN],
    /// Whether it was made just now.
    pub(crate) is_new: bool,
}

/// The key of the flag, of its file, or of the data folder, where the first start makes one.
pub(crate) fn find_or_make(config: &SecretKeyConfig, data_dir: &Path) -> Result<FoundKey, Stop> {
    if let Some(key) = given(config)? {
        return Ok(FoundKey { key, is_new: false });
    }
    let path = data_dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(FoundKey {
            key: parse(&text, &format!("`{}`", path.display()))?,
            is_new: false,
        }),
        Err(err) if err.kind() == ErrorKind::NotFound => {
            let key: [u8; LEN] = rand::random();
            write_private(&path, format!("{}\n", hex(&key)).as_bytes()).map_err(|err| {
                Stop::broken(format_args!(
                    "could not keep the secret key in `{}`: {err}",
                    path.display()
                ))
            })?;
            Ok(FoundKey { key, is_new: true })
        }
        Err(err) => Err(Stop::broken(format_args!(
            "could not read the secret key in `{}`: {err}",
            path.display()
        ))),
    }
}

/// The key of the flag or of its file; every process of an installation needs the same one.
pub(crate) fn require(config: &SecretKeyConfig) -> Result<[u8; LEN], Stop> {
    given(config)?.ok_or_else(|| {
        Stop::broken(
            "no secret key: set DAGCTL_SECRET_KEY or DAGCTL_SECRET_KEY_FILE to the same key for every process of this \
             installation; `openssl rand -hex 32` makes one. Keep a copy: without it no stored secret can be read again",
        )
    })
}

fn given(config: &SecretKeyConfig) -> Result<Option<[u8; LEN]>, Stop> {
    let present = |it: &&Secret| !it.is_empty();
    if let Some(key) = config.secret_key.as_ref().filter(present) {
        return parse(key.expose(), "DAGCTL_SECRET_KEY").map(Some);
    }
    let Some(path) = &config.secret_key_file else {
        return Ok(None);
    };
    let text = fs::read_to_string(path).map_err(|err| {
        Stop::broken(format_args!(
            "could not read the secret key in `{}`: {err}",
            path.display()
        ))
    })?;
    parse(&text, &format!("`{}`", path.display())).map(Some)
}

fn parse(text: &str, place: &str) -> Result<[u8; LEN], Stop> {
    let digits = text.trim().as_bytes();
    let mut key = [0; LEN];
    let is_key = digits.len() == 2 * LEN
        && digits.chunks(2).zip(&mut key).all(|(pair, byte)| {
            match (nibble(pair[0]), nibble(pair[1])) {
                (Some(high), Some(low)) => {
                    *byte = high << 4 | low;
                    true
                }
                (_, _) => false,
            }
        });
    if is_key {
        Ok(key)
    } else {
        Err(Stop::broken(format_args!(
            "the secret key in {place} is not a key: {EXPECTED}"
        )))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|it| u8::try_from(it).ok())
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing_given() -> SecretKeyConfig {
        SecretKeyConfig {
            secret_key: None,
            secret_key_file: None,
        }
    }

    #[test]
    fn the_first_start_makes_the_key_that_the_second_reads() {
        let folder = tempfile::tempdir().unwrap();
        let first = find_or_make(&nothing_given(), folder.path()).unwrap();
        let second = find_or_make(&nothing_given(), folder.path()).unwrap();
        assert!(first.is_new && !second.is_new);
        assert_eq!(first.key, second.key);
    }

    #[test]
    fn a_damaged_key_is_refused_rather_than_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "abc").unwrap();
        let stop = find_or_make(&nothing_given(), folder.path()).err().unwrap();
        assert!(stop.message.unwrap().contains("is not a key"));
    }
}
