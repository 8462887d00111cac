//! What every page has round its content: where one is, who one is, and whether something needs a look.

use crate::App;
use crate::auth::Caller;
use crate::error::Answer;

/// The head of a page.
#[derive(Debug)]
pub(crate) struct Chrome {
    /// The entry of the navigation that is lit.
    pub(crate) here: &'static str,
    /// Who is logged in.
    pub(crate) who: String,
    /// Whether this person may change things.
    pub(crate) may_change: bool,
    /// What the forms of this page carry.
    pub(crate) token: String,
    /// How many problems there are.
    pub(crate) problems: i64,
    /// How many workers are alive.
    pub(crate) workers: i64,
}

impl Chrome {
    pub(crate) async fn new(app: &App, caller: &Caller, here: &'static str) -> Answer<Self> {
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
