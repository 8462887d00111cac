//! What every page has round its content: where one is, who one is, and whether something needs a look.

use crate::App;
use crate::auth::Caller;
use crate::error::Answer;

/// The head of a page.
#[derive(Debug)]
pub(super) struct Chrome {
    /// The entry of the navigation that is lit.
    pub(super) here: &'static str,
    /// Who is logged in.
    pub(super) who: String,
    /// Whether this person may change things.
    pub(super) may_change: bool,
    /// What the forms of this page carry.
    pub(super) token: String,
    /// How many problems there are.
    pub(super) problems: i64,
    /// How many workers are alive.
    pub(super) workers: i64,
}

impl Chrome {
    pub(super) async fn new(app: &App, caller: &Caller, here: &'static str) -> Answer<Self> {
        let counts = app.store().counts().await?;
        Ok(Self {
            here,
            who: caller.name().to_owned(),
            may_change: caller.is_operator(),
            token: caller.form_token(),
            problems: counts.problems,
            workers: counts.workers,
        })
    }
}
