//! What a private server survives, and whom it lets in.
#![expect(
    clippy::unwrap_used,
    reason = "what fails here fails a test, in its functions too"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dagctl_postgres::{
    Durability, LockError, Options, PrivatePostgres, ServerUser, StartError, find_programs,
};
use tempfile::TempDir;

#[test]
fn a_new_server_makes_databases_and_keeps_them() {
    let folder = folder();
    let server = start(folder.path());
    server.create_database_if_missing("odd 'name\"").unwrap();
    server.create_database_if_missing("odd 'name\"").unwrap();
    let url = server.connection_url("odd 'name\"");
    psql(&server, &url, "create table kept as select 42 as answer");
    server.stop().unwrap();

    let server = start(folder.path());
    assert!(!server.was_adopted());
    assert_eq!(psql(&server, &url, "select answer from kept"), "42");
}

#[test]
fn the_server_of_a_killed_dagctl_is_adopted() {
    let folder = folder();
    let (mut holder, pid) = hold(folder.path());
    holder.kill().unwrap();
    holder.wait().unwrap();

    let server = start(folder.path());
    assert!(server.was_adopted());
    assert_eq!(server.pid(), pid);
    let url = server.connection_url("postgres");
    assert_eq!(psql(&server, &url, "select 1"), "1");
    server.stop().unwrap();
    assert!(!folder.path().join("server/cluster/postmaster.pid").exists());
}

#[test]
fn a_second_start_is_refused_and_names_the_first() {
    let folder = folder();
    let (mut holder, _) = hold(folder.path());
    let refusal = PrivatePostgres::start(options(folder.path())).unwrap_err();
    assert!(
        matches!(&refusal, StartError::Lock(LockError::Held { pid, .. }) if *pid == Some(holder.id())),
        "{refusal}"
    );
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    start(folder.path());
}

#[test]
fn a_server_that_was_killed_starts_again_with_its_data() {
    let folder = folder();
    let server = start(folder.path());
    let url = server.connection_url("postgres");
    psql(&server, &url, "create table kept as select 42 as answer");
    kill_9(server.pid());
    server.leave_running();
    let stale = folder.path().join("server/cluster/postmaster.pid");
    assert!(stale.exists());

    let server = start(folder.path());
    assert!(!server.was_adopted());
    assert_eq!(psql(&server, &url, "select answer from kept"), "42");
}

#[test]
fn a_server_that_was_killed_under_us_is_revived() {
    let folder = folder();
    let mut server = start(folder.path());
    let first = server.pid();
    assert!(!server.revive().unwrap());
    kill_9(first);
    assert!(server.revive().unwrap());
    assert_ne!(server.pid(), first);
    let url = server.connection_url("postgres");
    assert_eq!(psql(&server, &url, "select 1"), "1");
}

#[test]
fn a_pid_file_that_names_somebody_else_is_no_server() {
    let folder = folder();
    let server = start(folder.path());
    kill_9(server.pid());
    server.leave_running();
    let stale = folder.path().join("server/cluster/postmaster.pid");
    let text = std::fs::read_to_string(&stale).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    let mut somebody = run("sleep".into());
    let mut somebody = somebody
        .arg("600")
        .uid(ServerUser::choose().unwrap().uid())
        .spawn()
        .unwrap();
    std::fs::write(&stale, format!("{}\n{rest}", somebody.id())).unwrap();

    let server = start(folder.path());
    assert!(!server.was_adopted() && server.pid() != somebody.id());
    assert!(somebody.try_wait().unwrap().is_none(), "it was stopped");
    somebody.kill().unwrap();
    somebody.wait().unwrap();
}

#[test]
fn the_server_runs_without_roots_rights_and_away_from_the_terminal() {
    let folder = folder();
    let server = start(folder.path());
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = |name| status.lines().find_map(|it| it.strip_prefix(name)).unwrap();
    let uids: Vec<u32> = line("Uid:")
        .split_whitespace()
        .map(|it| it.parse().unwrap())
        .collect();
    assert!(!uids.contains(&0), "{uids:?}");
    assert!(
        !line("Groups:").split_whitespace().any(|it| it == "0"),
        "{status}"
    );

    let group = |pid| {
        rustix::process::getpgid(rustix::process::Pid::from_raw(pid))
            .unwrap()
            .as_raw_pid()
    };
    assert_ne!(group(server.pid().try_into().unwrap()), group(0));
}

#[test]
fn nobody_else_gets_in() {
    let folder = folder();
    let server = start(folder.path());
    for closed in [
        server.socket_dir(),
        &folder.path().join("server").join("cluster"),
    ] {
        let mode = std::fs::metadata(closed).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", closed.display());
    }
    let url = server.connection_url("postgres");
    assert_eq!(psql(&server, &url, "show listen_addresses"), "");
}

#[test]
fn a_long_folder_with_a_space_and_a_quote_will_do() {
    let folder = folder();
    let odd = folder.path().join(format!("it's {}", "long".repeat(25)));
    let server = PrivatePostgres::start(options(&odd)).unwrap();
    let socket = server.socket_dir().to_owned();
    let url = server.connection_url("postgres");
    assert_eq!(psql(&server, &url, "select 1"), "1");
    server.stop().unwrap();
    std::fs::remove_dir_all(socket).unwrap();
}

#[test]
fn a_folder_of_another_version_is_a_sentence() {
    let folder = folder();
    start(folder.path()).stop().unwrap();
    std::fs::write(folder.path().join("server/cluster/PG_VERSION"), "9\n").unwrap();
    let refusal = PrivatePostgres::start(options(folder.path())).unwrap_err();
    assert!(
        refusal.to_string().contains("was made by PostgreSQL 9"),
        "{refusal}"
    );
}

#[test]
fn a_half_made_cluster_is_made_again() {
    let folder = folder();
    start(folder.path()).stop().unwrap();
    let cluster = folder.path().join("server/cluster");
    std::fs::rename(&cluster, cluster.with_extension("new")).unwrap();
    let server = start(folder.path());
    let url = server.connection_url("postgres");
    assert_eq!(psql(&server, &url, "select 1"), "1");
}

#[test]
fn a_server_that_cannot_start_shows_its_log() {
    let folder = folder();
    start(folder.path()).stop().unwrap();
    let settings = folder.path().join("server/cluster/postgresql.conf");
    std::fs::write(settings, "no_such_setting = on\n").unwrap();
    let refusal = PrivatePostgres::start(options(folder.path())).unwrap_err();
    assert!(refusal.to_string().contains("no_such_setting"), "{refusal}");
}

fn folder() -> TempDir {
    tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o711))
        .tempdir()
        .unwrap()
}

fn options(data_dir: &Path) -> Options {
    let data_dir = match data_dir.join("server") {
        inner if inner.as_os_str().len() < 100 => inner,
        _ => data_dir.to_owned(),
    };
    Options {
        durability: Durability::TestsOnly,
        ..Options::new(data_dir, find_programs(&[]).unwrap())
    }
}

fn start(folder: &Path) -> PrivatePostgres {
    PrivatePostgres::start(options(folder)).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the test's own programs")]
fn run(program: PathBuf) -> Command {
    Command::new(program)
}

/// Another process that holds the folder's server, and that server's process.
fn hold(folder: &Path) -> (Child, u32) {
    let tests = std::env::current_exe().unwrap();
    let hold = tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples")
        .join("hold");
    let mut child = run(hold)
        .arg(folder.join("server"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let pid = line.trim().parse().unwrap();
    (child, pid)
}

fn psql(server: &PrivatePostgres, url: &str, statement: &str) -> String {
    let output = run(server.programs().bin_dir().join("psql"))
        .args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet"])
        .args(["--set", "ON_ERROR_STOP=1", "--dbname", url, "--command"])
        .arg(statement)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn kill_9(pid: u32) {
    let process = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    let begun = Instant::now();
    // One that only waits for its parent to take notice is gone.
    let is_zombie =
        || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|it| it.contains(") Z "));
    while rustix::process::test_kill_process(process).is_ok() && !is_zombie() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{pid} still lives"
        );
        std::thread::yield_now();
    }
}
