//! Processes: what they are given, what they report, and that none outlives its attempt.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use dagctl_core::operator::{Operator, ShellCommand};
use dagctl_core::outcome::{FailureKind, Outcome};
use dagctl_runner::shell::{end_orphans, guard, set_guardian};
use dagctl_runner::{StopReason, Stream};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::support::{Run, argv, is_alive, script, script_for, shell};

#[tokio::test]
async fn a_process_sees_only_the_environment_it_was_given() {
    let run = Run::new();
    let mut spec = shell(ShellCommand::Argv(vec!["env".to_owned()]));
    spec.env = vec![
        ("DAY".to_owned(), "{{ ds }}".to_owned()),
        ("LANG".to_owned(), "ko_KR.UTF-8".to_owned()),
    ];
    let ended = run.run(Operator::Shell(spec)).await;
    ended.outputs();
    let lines = ended.lines.iter().filter(|it| it.stream == Stream::Stdout);
    let pairs: Vec<_> = lines.filter_map(|it| it.text.split_once('=')).collect();
    let names: BTreeSet<_> = pairs.iter().map(|(name, _)| *name).collect();
    let expected = [
        "DAGCTL_ATTEMPT",
        "DAGCTL_DAG_ID",
        "DAGCTL_DATA_INTERVAL_END",
        "DAGCTL_DATA_INTERVAL_START",
        "DAGCTL_DS",
        "DAGCTL_IDEMPOTENCY_KEY",
        "DAGCTL_OUTPUTS",
        "DAGCTL_RUN_DIR",
        "DAGCTL_RUN_ID",
        "DAGCTL_TASK_ID",
        "DAGCTL_TRY_NUMBER",
        "DAY",
        "HOME",
        "LANG",
        "PATH",
        "PYTHONUNBUFFERED",
        "TZ",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    let run_dir = run.run_dir();
    for (name, value) in [
        ("DAY", "2026-01-02"),
        ("LANG", "ko_KR.UTF-8"),
        ("DAGCTL_DS", "2026-01-02"),
        ("DAGCTL_TRY_NUMBER", "2"),
        ("DAGCTL_DAG_ID", "orders"),
        ("HOME", run_dir.to_str().unwrap()),
    ] {
        assert!(pairs.contains(&(name, value)), "{name} in {pairs:?}");
    }
}

#[tokio::test]
async fn the_runs_folder_is_private_and_the_dags_folder_is_the_working_folder() {
    let run = Run::new();
    let ended = run.run(script("pwd")).await;
    let dags = run.dag_dir().canonicalize().unwrap();
    assert!(ended.text().lines().any(|it| it == dags.to_str().unwrap()));
    let mode = run.run_dir().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn lines_arrive_while_the_process_runs() {
    let run = Run::new();
    let mut started = run.start(script(
        "echo first; echo problem >&2; until [ -e \"$DAGCTL_RUN_DIR/go\" ]; do sleep 0.01; done; echo last",
    ));
    started.line("first").await;
    // The process waits for this, so its first line came before its end.
    std::fs::write(run.run_dir().join("go"), "").unwrap();
    let ended = started.ended().await;
    ended.outputs();
    let problem = ended.lines.iter().find(|it| it.text == "problem").unwrap();
    assert_eq!(problem.stream, Stream::Stderr);
    assert!(ended.lines.iter().any(|it| it.text == "last"));
}

#[tokio::test]
async fn a_failure_shows_the_exit_code_and_the_end_of_stderr() {
    let run = Run::new();
    let ended = run
        .run(script("seq 100 >&2; echo 'no such shop' >&2; exit 75"))
        .await;
    let failure = ended.failure();
    assert_eq!(failure.kind, FailureKind::Exit(75));
    assert!(
        failure
            .message
            .starts_with("`sh` ended with exit code 75; the end of its stderr:\n92\n")
    );
    assert!(failure.message.ends_with("no such shop"));
}

#[tokio::test]
async fn an_exit_code_can_mean_skipped_and_a_signal_is_told_apart() {
    let run = Run::new();
    let mut spec = shell(ShellCommand::Argv(
        ["sh", "-c", "exit 99"].map(str::to_owned).to_vec(),
    ));
    spec.skip_on_exit_code = vec![99];
    let ended = run.run(Operator::Shell(spec)).await;
    assert!(
        matches!(ended.outcome, Outcome::Skipped { .. }),
        "{ended:?}"
    );

    let ended = run.run(script("kill -9 $$")).await;
    assert_eq!(ended.failure().kind, FailureKind::Signal(9));
}

#[tokio::test]
async fn outputs_come_from_the_file_and_from_templates() {
    let run = Run::new();
    let mut spec = shell(ShellCommand::Script {
        interpreter: "sh".to_owned(),
        text: "echo '{\"rows\": 3, \"day\": \"x\"}' > \"$DAGCTL_OUTPUTS\"".to_owned(),
    });
    spec.outputs = vec![("day".to_owned(), "{{ ds }}".to_owned())];
    let ended = run.run(Operator::Shell(spec)).await;
    let outputs = serde_json::Value::Object(ended.outputs().clone());
    assert_eq!(outputs, json!({"rows": 3, "day": "2026-01-02"}));
}

#[tokio::test]
async fn outputs_that_are_no_object_fail_clearly() {
    for (text, expected) in [
        ("[1]", "found a list"),
        ("3", "found a number"),
        ("{\"a\": x", "line 1 column"),
    ] {
        let run = Run::new();
        let ended = run
            .run(script(&format!("echo '{text}' > $DAGCTL_OUTPUTS")))
            .await;
        let failure = ended.failure();
        assert_eq!(failure.kind, FailureKind::Definition);
        assert!(failure.message.contains(expected), "{}", failure.message);
    }
    let run = Run::new();
    let ended = run.run(script("mkfifo $DAGCTL_OUTPUTS")).await;
    assert!(ended.failure().message.contains("plain file"));
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let run = Run::new();
    std::fs::write(run.dag_dir().join("plain.sh"), "echo hi").unwrap();
    for (operator, expected) in [
        (
            argv(["no-such-program"]),
            "no program `no-such-program` on this worker: looked in /usr",
        ),
        (argv(["./plain.sh"]), "is not executable; run `chmod +x"),
        (argv(["./missing.sh"]), "cannot run `"),
        (script_for("fortran", "end"), "no program `fortran`"),
        (
            argv(["echo", "{{ params.nope }}"]),
            "cannot render `command`",
        ),
    ] {
        let ended = run.run(operator).await;
        let failure = ended.failure();
        assert_eq!(failure.kind, FailureKind::Definition);
        assert!(failure.message.contains(expected), "{}", failure.message);
    }
    let mut spec = shell(ShellCommand::Argv(vec!["true".to_owned()]));
    spec.cwd = Some("nowhere".to_owned());
    let ended = run.run(Operator::Shell(spec)).await;
    assert!(
        ended
            .failure()
            .message
            .contains("dags/nowhere, which is not a folder")
    );
}

/// Starts processes in the group, in a session of their own, orphaned, and without our marker in the environment.
const FAMILY: &str = r#"
say='echo "pid $$"; exec sleep 1000'
sh -c "$say" &
setsid sh -c "$say" &
(setsid sh -c "$say" &) &
setsid env -i sh -c "$say" &
wait
"#;

/// Two that carry the marker.
const MARKED: &str = "setsid sh -c 'echo \"pid $$\"; exec sleep 1000' & echo \"pid $$\"; wait";

async fn pids_of(started: &mut super::support::Started, count: usize) -> Vec<String> {
    let mut pids = Vec::new();
    while pids.len() < count {
        pids.push(started.line("pid ").await);
    }
    assert!(pids.iter().all(|pid| is_alive(pid)), "{pids:?}");
    pids
}

#[tokio::test]
async fn a_cancel_ends_the_whole_family() {
    let run = Run::new();
    let mut started = run.start(script(FAMILY));
    let pids = pids_of(&mut started, 4).await;
    started.stop(StopReason::Cancelled {
        by: "kim".to_owned(),
    });
    let ended = started.ended().await;
    assert_eq!(ended.failure().message, "cancelled by kim");
    let alive: Vec<_> = pids.iter().filter(|pid| is_alive(pid)).collect();
    assert!(alive.is_empty(), "{alive:?} of {pids:?}");
}

#[tokio::test]
async fn a_timeout_ends_the_whole_family() {
    let mut run = Run::new();
    run.execution_timeout = Some(Duration::from_secs(1));
    let mut started = run.start(script(FAMILY));
    let pids = pids_of(&mut started, 4).await;
    let ended = started.ended().await;
    assert_eq!(ended.failure().kind, FailureKind::Timeout);
    assert_eq!(
        ended.failure().message,
        "stopped after 1s, the task's `execution_timeout`"
    );
    assert!(pids.iter().all(|pid| !is_alive(pid)), "{pids:?}");
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_dies_when_the_lease_is_lost() {
    let run = Run::new();
    let mut started = run.start(script(
        "trap '' TERM; echo \"pid $$\"; while :; do sleep 1000; done",
    ));
    let pids = pids_of(&mut started, 1).await;
    started.stop(StopReason::Drain);
    started.line("stopping: sent SIGTERM").await;
    // Within its grace period, which the lost lease ends.
    assert!(is_alive(&pids[0]));
    started.stop(StopReason::Fenced);
    let ended = started.ended().await;
    assert_eq!(ended.failure().kind, FailureKind::Fenced);
    assert!(!is_alive(&pids[0]));
}

#[tokio::test]
async fn what_a_process_leaves_behind_is_ended_and_named() {
    let run = Run::new();
    // One holds the pipes open, the other does not.
    let ended = run
        .run(script(
            "setsid sleep 1000 & echo \"pid $!\"; setsid sleep 1001 >/dev/null 2>&1 & echo \"pid $!\"",
        ))
        .await;
    ended.outputs();
    assert!(
        ended.text().contains("left others running"),
        "{}",
        ended.text()
    );
    assert!(ended.text().contains("`sleep` ("), "{}", ended.text());
    let text = ended.text();
    let pids: Vec<_> = text
        .lines()
        .filter_map(|it| it.strip_prefix("pid "))
        .collect();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| !is_alive(pid)), "{text}");
}

#[tokio::test]
async fn a_script_is_not_seen_in_the_list_of_processes() {
    let run = Run::new();
    let ended = run
        .run(script(
            ": marmalade; tr '\\0' ' ' < /proc/$$/cmdline; echo; stat -c %a \"$0\"",
        ))
        .await;
    assert!(!ended.text().contains("marmalade"), "{}", ended.text());
    assert!(
        ended.text().lines().any(|it| it == "600"),
        "{}",
        ended.text()
    );
}

/// Says which part a process of this very program plays in the tests below.
const PLAYS: &str = "DAGCTL_TEST_PLAYS";
const GUARDED: &str = "guarded worker";
/// What makes this program a guardian: the test that is one.
const GUARDIAN: &str = "--exact attempts::shell::plays_the_guardian --nocapture";

#[test]
fn plays_the_guardian() {
    // Its worker gives it an environment with nothing in it; every other process has a PATH.
    if std::env::var_os("PATH").is_none() {
        guard();
    }
}

#[tokio::test]
async fn plays_the_worker() {
    let Some(part) = std::env::var_os(PLAYS) else {
        return;
    };
    let run = Run::new();
    let (text, count) = match part == GUARDED {
        true => (FAMILY, 4),
        false => (MARKED, 2),
    };
    if part == GUARDED {
        set_guardian(GUARDIAN);
    }
    let mut started = run.start(script(text));
    let pids = pids_of(&mut started, count).await;
    // Past the capture of standard output.
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open("/proc/self/fd/2")
        .unwrap();
    writeln!(file, "family {}", pids.join(" ")).unwrap();
    started.ended().await;
}

/// Starts a worker with a family of processes; the worker and the processes.
async fn worker(part: &str) -> (Child, Vec<String>) {
    let mut worker = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "attempts::shell::plays_the_worker"])
        .env(PLAYS, part)
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(worker.stderr.take().unwrap()).lines();
    let pids = loop {
        let line = lines.next_line().await.unwrap();
        let line = line.expect("the worker says its family");
        if let Some(pids) = line.strip_prefix("family ") {
            break pids.split(' ').map(str::to_owned).collect::<Vec<_>>();
        }
    };
    assert!(pids.iter().all(|pid| is_alive(pid)));
    (worker, pids)
}

async fn until_dead(pids: &[String]) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while pids.iter().any(|pid| is_alive(pid)) {
        assert!(tokio::time::Instant::now() < deadline, "{pids:?} live on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The guardian of a worker, other than `earlier`.
async fn guardian_of(worker: u32, earlier: Option<&str>) -> String {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let pid = entry.file_name().to_string_lossy().into_owned();
            let read = |name: &str| std::fs::read_to_string(entry.path().join(name));
            let (Ok(stat), Ok(line)) = (read("stat"), read("cmdline")) else {
                continue;
            };
            let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            let parent = fields.split_whitespace().nth(1);
            if line.contains("plays_the_guardian")
                && parent == Some(worker.to_string().as_str())
                && earlier != Some(pid.as_str())
                && is_alive(&pid)
            {
                return pid;
            }
        }
        assert!(tokio::time::Instant::now() < deadline, "no guardian");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_guardian_ends_all_that_a_killed_worker_leaves_and_then_itself() {
    let (mut worker, pids) = worker(GUARDED).await;
    let guardian = guardian_of(worker.id().unwrap(), None).await;
    worker.kill().await.unwrap();
    until_dead(&pids).await;
    until_dead(&[guardian]).await;
}

#[tokio::test]
async fn a_guardian_that_is_killed_is_replaced_and_its_successor_knows_as_much() {
    let (mut worker, pids) = worker(GUARDED).await;
    let first = guardian_of(worker.id().unwrap(), None).await;
    let killed = Command::new("kill").args(["-9", &first]).status().await;
    assert!(killed.unwrap().success());
    let second = guardian_of(worker.id().unwrap(), Some(&first)).await;
    assert!(pids.iter().all(|pid| is_alive(pid)), "{pids:?}");
    worker.kill().await.unwrap();
    until_dead(&pids).await;
    until_dead(&[second]).await;
}

#[tokio::test]
async fn orphans_of_a_killed_worker_are_ended_when_the_next_one_starts() {
    let (mut worker, pids) = worker("worker without a guardian").await;
    worker.kill().await.unwrap();
    end_orphans();
    until_dead(&pids).await;
}
