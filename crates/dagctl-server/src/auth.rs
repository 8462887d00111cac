//! Who may: accounts and tokens are made here, and every request is asked who it comes from.

mod caller;
mod gate;
mod password;
mod secret;
mod throttle;

use dagctl_store::accounts::{AccountError, AccountRow};
use dagctl_store::{Store, StoreError};
use jiff::Timestamp;

pub use dagctl_store::accounts::Role;
pub use password::{PasswordError, check_password};

pub(crate) use caller::{Admin, Caller, Operator, Viewer};
#[cfg(test)]
pub(crate) use gate::PUBLIC;
pub(crate) use gate::{Gate, authenticate, session_cookie, spent_cookie};
pub(crate) use password::{hash, verify};
pub(crate) use throttle::client_address;

/// How long a setup link works.
pub const SETUP_LINK_MINUTES: i32 = 60;

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum NewAccountError {
    /// The name cannot be one.
    #[error("`{0}` cannot name an account: 1 to 64 letters, digits, `_`, `-`, `.` and `@`")]
    BadName(String),
    /// The password will not do.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The name is taken, or the database could not do it.
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// Makes an account; without a password it can only use tokens.
pub async fn create_account(
    store: &Store,
    name: &str,
    password: Option<&str>,
    role: Role,
) -> Result<AccountRow, NewAccountError> {
    check_account_name(name)?;
    let hash = match password {
        Some(password) => {
            check_password(name, password)?;
            Some(password::hash_blocking(password.to_owned()).await)
        }
        None => None,
    };
    Ok(store.create_account(name, hash.as_deref(), role).await?)
}

/// Sets an account's password and ends its sessions. Whether there is such an account.
pub async fn set_password(
    store: &Store,
    name: &str,
    password: &str,
) -> Result<bool, NewAccountError> {
    check_password(name, password)?;
    let hash = password::hash_blocking(password.to_owned()).await;
    Ok(store
        .set_password(name, &hash)
        .await
        .map_err(AccountError::from)?)
}

/// Makes a token of an account and gives it back, for the only time.
pub async fn create_token(
    store: &Store,
    account_id: i32,
    name: &str,
    expires_at: Option<Timestamp>,
) -> Result<String, StoreError> {
    let token = secret::token();
    store
        .create_token(&token, account_id, name, expires_at)
        .await?;
    Ok(token)
}

/// Makes the path, below the server's address, with which the first admin is made; an older one ends.
pub async fn make_setup_path(store: &Store) -> Result<String, StoreError> {
    let secret = secret::random();
    store.put_setup_secret(&secret, SETUP_LINK_MINUTES).await?;
    Ok(format!("/setup?key={secret}"))
}

pub(crate) fn check_account_name(name: &str) -> Result<(), NewAccountError> {
    let fits = (1..=64).contains(&name.len())
        && name
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.' | '@'));
    match fits {
        true => Ok(()),
        false => Err(NewAccountError::BadName(name.chars().take(64).collect())),
    }
}

pub(crate) use secret::random as random_secret;
