//! What the private server is told at its start.

use std::path::Path;

/// How much the server does to survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// What is committed stays.
    Full,
    /// For servers that tests throw away: survives a crash of the server, not of the machine.
    TestsOnly,
}

/// Every setting as `name=value`, in the form that `postgres -c` takes.
pub(crate) fn settings(
    socket_dir: &Path,
    durability: Durability,
    max_connections: u16,
) -> Vec<String> {
    let mut settings = vec![
        // Quoted within, since this setting is itself a list separated by commas.
        format!("unix_socket_directories=\"{}\"", socket_dir.display()),
        "listen_addresses=".to_owned(),
        "port=5432".to_owned(),
        "unix_socket_permissions=0777".to_owned(),
        format!("max_connections={max_connections}"),
        // It holds the queue, live runs and the newest history; pages beyond come from the system's cache.
        "shared_buffers=128MB".to_owned(),
        // After each checkpoint every page is logged whole once more, which costs a busy server up to half of its
        // log: so they are rare. The price is disk (only after it was needed) and seconds of replay after a crash.
        "max_wal_size=2GB".to_owned(),
        "checkpoint_timeout=15min".to_owned(),
        // Segments kept for use again need no filling with zeros in the middle of a burst.
        "min_wal_size=256MB".to_owned(),
        // Nobody copies a private server: no replication, and no process that waits for one.
        "wal_level=minimal".to_owned(),
        "max_wal_senders=0".to_owned(),
        "max_logical_replication_workers=0".to_owned(),
        "log_checkpoints=off".to_owned(),
        "log_line_prefix=%m [%p] ".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        // Compiling takes longer than any statement of ours.
        "jit=off".to_owned(),
    ];
    match durability {
        Durability::Full => (),
        // Without fsync a synchronous commit costs one write to the page cache, and it is what survives a
        // kill of the server.
        Durability::TestsOnly => settings.extend(
            [
                "fsync=off",
                "full_page_writes=off",
                "autovacuum_naptime=10s",
            ]
            .map(str::to_owned),
        ),
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_servers_forget_to_sync() {
        let full = settings(Path::new("/s"), Durability::Full, 20).join(" ");
        let tests = settings(Path::new("/s"), Durability::TestsOnly, 20).join(" ");
        assert!(!full.contains("fsync") && !full.contains("synchronous_commit"));
        assert!(tests.contains("fsync=off"));
    }
}
