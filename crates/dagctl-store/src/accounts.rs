//! People and programs that may log in, and everything that proves who they are.
//!
//! Passwords arrive hashed; sessions, tokens and the setup secret are kept as SHA-256 of a random 256-bit text,
//! so that nobody who reads the database can use them.

mod login_failures;
mod sessions;
mod token_cache;
mod tokens;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{Store, StoreError};

pub use login_failures::{LoginPlace, LoginSlot};
pub(crate) use token_cache::TokenCache;

pub use sessions::{ABSOLUTE_SESSION, IDLE_SESSION, SessionRow};
pub use tokens::TokenRow;

/// What an account may do; each role may do all that the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Triggers, cancels, pauses, and sets variables and connections.
    Operator,
    /// Decides who may do what.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The name in the database, REST and commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Reads the name of [`Self::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its number.
    pub account_id: i32,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Since when it may do nothing.
    pub disabled_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The account's number.
    pub account_id: i32,
    /// The account's name.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Another account has the name.
    #[error("there is already an account `{0}`")]
    NameTaken(String),
    /// The setup link was used, replaced, or is too old.
    #[error("this setup link has been used or has expired")]
    SetupLinkSpent,
    /// The database could not do it.
    #[error("could not save the account")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for AccountError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What the database keeps of a secret text that is random enough not to be guessed.
pub fn secret_hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

impl Store {
    /// Makes an account; without a password it can only use tokens.
    pub async fn create_account(
        &self,
        name: &str,
        password_hash: Option<&str>,
        role: Role,
    ) -> Result<AccountRow, AccountError> {
        let row = sqlx::query!(
            "insert into account (name, password_hash, role) values ($1, $2, $3)
             on conflict on constraint account_name_unique do nothing
             returning account_id, created_at",
            name,
            password_hash,
            role.name()
        )
        .fetch_optional(self.pool())
        .await?
        .ok_or_else(|| AccountError::NameTaken(name.to_owned()))?;
        Ok(AccountRow {
            account_id: row.account_id,
            name: name.to_owned(),
            role,
            disabled_at: None,
            created_at: row.created_at.to_jiff(),
        })
    }

    /// Makes an admin with a setup link, which is spent by it.
    pub async fn create_account_with_setup_secret(
        &self,
        secret: &str,
        name: &str,
        password_hash: &str,
    ) -> Result<AccountRow, AccountError> {
        let mut tx = self.begin().await?;
        let spent = sqlx::query!(
            "delete from setup_secret where token_hash = $1 and expires_at > now()",
            secret_hash(secret)
        )
        .execute(&mut *tx)
        .await?;
        if spent.rows_affected() == 0 {
            return Err(AccountError::SetupLinkSpent);
        }
        let row = sqlx::query!(
            "insert into account (name, password_hash, role) values ($1, $2, 'admin')
             on conflict on constraint account_name_unique do nothing
             returning account_id, created_at",
            name,
            password_hash
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| AccountError::NameTaken(name.to_owned()))?;
        tx.commit().await?;
        Ok(AccountRow {
            account_id: row.account_id,
            name: name.to_owned(),
            role: Role::Admin,
            disabled_at: None,
            created_at: row.created_at.to_jiff(),
        })
    }

    /// Keeps a setup secret for `minutes`; an older one ends.
    pub async fn put_setup_secret(&self, secret: &str, minutes: i32) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query!("delete from setup_secret")
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "insert into setup_secret (token_hash, expires_at) values ($1, now() + make_interval(mins => $2))",
            secret_hash(secret),
            minutes
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether a setup secret still works.
    pub async fn setup_secret_works(&self, secret: &str) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"select exists (select from setup_secret where token_hash = $1 and expires_at > now()) as "exists!""#,
            secret_hash(secret)
        )
        .fetch_one(self.pool())
        .await?)
    }

    /// Whether anybody can log in with a password.
    pub async fn has_login(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"select exists (select from account where password_hash is not null and disabled_at is null) as "exists!""#
        )
        .fetch_one(self.pool())
        .await?)
    }

    /// The account of a name, with its password's hash.
    pub async fn account(
        &self,
        name: &str,
    ) -> Result<Option<(AccountRow, Option<String>)>, StoreError> {
        let row = sqlx::query!(
            "select account_id, name, role, disabled_at, created_at, password_hash from account where name = $1",
            name
        )
        .fetch_optional(self.pool())
        .await?;
        row.map(|row| {
            let account = AccountRow {
                account_id: row.account_id,
                name: row.name,
                role: role(&row.role)?,
                disabled_at: row.disabled_at.map(|it| it.to_jiff()),
                created_at: row.created_at.to_jiff(),
            };
            Ok((account, row.password_hash))
        })
        .transpose()
    }

    /// Every account, by name.
    pub async fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        sqlx::query!(
            "select account_id, name, role, disabled_at, created_at from account order by name"
        )
        .fetch_all(self.pool())
        .await?
        .into_iter()
        .map(|row| {
            Ok(AccountRow {
                account_id: row.account_id,
                name: row.name,
                role: role(&row.role)?,
                disabled_at: row.disabled_at.map(|it| it.to_jiff()),
                created_at: row.created_at.to_jiff(),
            })
        })
        .collect()
    }

    /// Changes a password; every session of the account ends. Whether there is such an account.
    pub async fn set_password(&self, name: &str, password_hash: &str) -> Result<bool, StoreError> {
        self.change_and_end_sessions(
            sqlx::query!(
                "update account set password_hash = $2 where name = $1",
                name,
                password_hash
            ),
            name,
        )
        .await
    }

    /// Changes what an account may do; its sessions end. Whether there is such an account.
    pub async fn set_role(&self, name: &str, role: Role) -> Result<bool, StoreError> {
        self.change_and_end_sessions(
            sqlx::query!(
                "update account set role = $2 where name = $1",
                name,
                role.name()
            ),
            name,
        )
        .await
    }

    /// Ends an account's access: its sessions go, its tokens are refused. Whether there is such an account.
    pub async fn disable_account(&self, name: &str) -> Result<bool, StoreError> {
        self.change_and_end_sessions(
            sqlx::query!(
                "update account set disabled_at = coalesce(disabled_at, now()) where name = $1",
                name
            ),
            name,
        )
        .await
    }

    async fn change_and_end_sessions(
        &self,
        change: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
        name: &str,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let changed = change.execute(&mut *tx).await?.rows_affected() > 0;
        sqlx::query!(
            "delete from login_session where account_id = (select account_id from account where name = $1)",
            name
        )
        .execute(&mut *tx)
        .await?;
        let committed = tx.commit().await;
        self.token_cache().forget();
        committed?;
        Ok(changed)
    }
}

fn role(name: &str) -> Result<Role, StoreError> {
    Role::from_name(name).ok_or_else(|| StoreError::Unreadable {
        table: "account",
        what: format!("role `{name}`"),
    })
}
