//! The one place of this crate that asks what time it is: for "3 min ago", never for a decision.

use jiff::Timestamp;

#[expect(
    clippy::disallowed_methods,
    reason = "pages say how long ago things happened; nothing is decided by it"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
