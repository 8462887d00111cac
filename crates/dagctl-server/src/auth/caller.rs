//! Who a request comes from, and what it may do: an argument of every handler.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use dagctl_store::accounts::{Principal, Role};
use sha2::{Digest, Sha256};

use super::secret::form_token;
use crate::App;
use crate::error::Failure;

/// Who a request comes from.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    principal: Principal,
    proof: Proof,
}

/// What a caller proved who it is with.
#[derive(Clone)]
pub(super) enum Proof {
    /// The reference of a browser's session.
    Session(String),
    /// A program's token.
    Token(String),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Caller {
    pub(super) fn new(principal: Principal, proof: Proof) -> Self {
        Self { principal, proof }
    }

    /// Whether the proof still holds; looking does not keep a session alive.
    pub(crate) async fn is_still_welcome(&self, app: &App) -> bool {
        let welcome = match &self.proof {
            Proof::Session(session) => app.store().session_lives(session).await,
            Proof::Token(token) => app.store().token(token).await.map(|it| it.is_some()),
        };
        welcome.unwrap_or(false)
    }

    pub(crate) fn name(&self) -> &str {
        &self.principal.name
    }

    pub(crate) fn account_id(&self) -> i32 {
        self.principal.account_id
    }

    pub(crate) fn role(&self) -> Role {
        self.principal.role
    }

    pub(crate) fn session(&self) -> Option<&str> {
        match &self.proof {
            Proof::Session(session) => Some(session),
            Proof::Token(_) => None,
        }
    }

    pub(crate) fn is_operator(&self) -> bool {
        self.principal.role >= Role::Operator
    }

    /// What the forms of this caller's pages carry.
    pub(crate) fn form_token(&self) -> String {
        self.session().map(form_token).unwrap_or_default()
    }

    /// Whether a form carries it.
    pub(crate) fn owns_form_token(&self, token: &str) -> bool {
        // Digests are compared, so the time it takes says nothing about the token.
        self.session().is_some() && Sha256::digest(token) == Sha256::digest(self.form_token())
    }
}

macro_rules! permission {
    ($(#[$doc:meta])* $type:ident, $role:expr, $who:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $type(pub(crate) Caller);

        impl FromRequestParts<App> for $type {
            type Rejection = Failure;

            async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Failure> {
                let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(unauthenticated)?;
                if caller.role() < $role {
                    let message = format!(concat!("this takes ", $who, "; `{}` is a {}"), caller.name(), caller.role().name());
                    return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", message)
                        .hint("an admin can change that with `dagctl users`"));
                }
                Ok(Self(caller))
            }
        }

        impl std::ops::Deref for $type {
            type Target = Caller;

            fn deref(&self) -> &Caller {
                &self.0
            }
        }
    };
}
permission!(
    /// Anybody who logged in.
    Viewer, Role::Viewer, "an account"
);
permission!(
    /// Somebody who may trigger, cancel, pause and set.
    Operator, Role::Operator, "an operator"
);
permission!(
    /// Somebody who may decide who may do what.
    Admin, Role::Admin, "an admin"
);

pub(super) fn unauthenticated() -> Failure {
    Failure::new(
        StatusCode::UNAUTHORIZED,
        "unauthenticated",
        "this needs a login or a token that works",
    )
    .hint("log in on the page, or send `Authorization: Bearer dagctl_…`; `dagctl tokens create` makes a token")
}
