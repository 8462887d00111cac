//! What becomes of a message: what its sender must know to send it again, later, or never.

use std::time::Duration;

/// What became of a message. No reason ever holds a webhook's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The other side has it.
    Sent,
    /// The other side asks to wait.
    RetryAfter(Duration),
    /// It did not arrive; worth another try.
    Retry(String),
    /// The other side will never take it.
    Refused(String),
    /// It may have arrived before the connection broke.
    Doubtful(String),
}
