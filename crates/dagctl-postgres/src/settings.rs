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
        "shared_buffers=128MB".to_owned(),
        "max_wal_size=1GB".to_owned(),
        "wal_level=minimal".to_owned(),
        "max_wal_senders=0".to_owned(),
        "log_checkpoints=off".to_owned(),
        "log_line_prefix=%m [%p] ".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
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

/// The settings as one string of `-c` options that a shell splits back into the same words.
pub(crate) fn shell_options(settings: &[String]) -> String {
    settings
        .iter()
        .map(|setting| format!("-c {}", shell_quoted(setting)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn shell_quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_space_and_a_quote_stays_one_word() {
        let all = settings(Path::new("/tmp/it's here"), Durability::Full, 20);
        let options = shell_options(&all);
        assert!(
            options.starts_with(r#"-c 'unix_socket_directories="/tmp/it'\''s here"' -c "#),
            "{options}"
        );
    }

    #[test]
    fn only_test_servers_forget_to_sync() {
        let full = settings(Path::new("/s"), Durability::Full, 20).join(" ");
        let tests = settings(Path::new("/s"), Durability::TestsOnly, 20).join(" ");
        assert!(!full.contains("fsync") && !full.contains("synchronous_commit"));
        assert!(tests.contains("fsync=off"));
    }
}
