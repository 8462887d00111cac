//! Log-ins that are kept for the next attempt: a log-in takes longer than most statements.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dagctl_core::connection::Connection;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::time::{sleep, timeout};

/// How long a log-in is kept that nobody needs.
const KEPT: Duration = Duration::from_secs(10);
/// How many log-ins are kept.
const MOST: usize = 16;
/// How long making one as new may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The log-ins of one worker process that no attempt uses just now; cheap to clone, all clones share them.
#[derive(Debug, Clone, Default)]
pub struct IdleSessions(Arc<Mutex<Vec<Idle>>>);

/// A log-in as it was right after logging in.
#[derive(Debug)]
struct Idle {
    to: Connection,
    login: Login,
    since: Instant,
}

/// A log-in, and the number of the backend that serves it.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) connection: PgConnection,
    pub(crate) backend: String,
}

impl IdleSessions {
    /// A log-in to the same place in the same way, the one used last.
    pub(crate) fn take(&self, to: &Connection) -> Option<Login> {
        let mut idle = self.lock();
        let at = idle.iter().rposition(|it| it.to == *to)?;
        Some(idle.remove(at).login)
    }

    /// Keeps a log-in, once nothing is left in it of who used it: settings, locks, temporary tables, cursors.
    pub(crate) fn keep(&self, to: Connection, mut login: Login) {
        let shared = self.clone();
        tokio::spawn(async move {
            // Refused inside a transaction that the task left open; then the log-in ends with it.
            let reset = sqlx::raw_sql("discard all").execute(&mut login.connection);
            if !matches!(timeout(PATIENCE, reset).await, Ok(Ok(_))) {
                return;
            }
            let since = Instant::now();
            let too_many = {
                let mut idle = shared.lock();
                let is_first = idle.is_empty();
                idle.push(Idle { to, login, since });
                if is_first {
                    tokio::spawn(shared.clone().end_unused());
                }
                (idle.len() > MOST).then(|| idle.remove(0))
            };
            if let Some(oldest) = too_many {
                let _ = oldest.login.connection.close().await;
            }
        });
    }

    /// Ends log-ins that nobody needed for a while, until none is left.
    async fn end_unused(self) {
        loop {
            sleep(KEPT / 4).await;
            let unused: Vec<_> = {
                let mut idle = self.lock();
                if idle.is_empty() {
                    return;
                }
                idle.extract_if(.., |it| it.since.elapsed() > KEPT)
                    .collect()
            };
            for idle in unused {
                let _ = idle.login.connection.close().await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
