//! The guardian: a small process beside each worker process, which ends what that left behind when it is killed.
//!
//! Safe Rust cannot set a parent-death signal, and one would reach a task's first process only. The guardian reads
//! a pipe that nobody but the worker holds, so it learns of the worker's death at once, and kills the process groups
//! it was told of, all that carries the worker's mark in its environment, and their children. It is started with the
//! first task that needs it, and again should it be killed itself.

use std::collections::BTreeSet;
use std::env;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process_group};

use super::leftovers::this_process;
use super::processes::{self, Member, Stat};

/// How long processes are looked for: some may just be starting others.
const KILLING: Duration = Duration::from_secs(10);
/// So many looks in a row must find nothing.
const EMPTY_LOOKS: u32 = 3;
/// The pause between two looks, and before a guardian that lived for less than this is replaced.
const PAUSE: Duration = Duration::from_millis(20);

static ARGUMENT: OnceLock<&'static str> = OnceLock::new();
static GUARDIAN: Mutex<Guardian> = Mutex::new(Guardian {
    pipe: None,
    is_started: false,
    groups: BTreeSet::new(),
});

/// Says that this very program calls [`guard`] when it is given `argument`.
///
/// Without it the processes of a worker that is killed live on until the next worker starts on the machine.
pub fn set_guardian(argument: &'static str) {
    // Said twice, the first holds.
    let _ = ARGUMENT.set(argument);
}

/// Ourselves, under whatever name: the file may have been replaced by a newer version while we run.
fn program() -> io::Result<PathBuf> {
    let ourselves = PathBuf::from("/proc/self/exe");
    match ourselves.exists() {
        true => Ok(ourselves),
        false => env::current_exe(),
    }
}

/// The worker's end.
struct Guardian {
    pipe: Option<ChildStdin>,
    is_started: bool,
    groups: BTreeSet<i32>,
}

/// Sees to it that there is a guardian. To be called before a process is started.
pub(super) fn ensure() {
    let mut guardian = lock();
    if !guardian.is_started {
        guardian.is_started = true;
        guardian.start();
    }
}

/// A process group that the guardian knows of for as long as this lives.
#[derive(Debug)]
pub(super) struct Guarded(i32);

impl Guarded {
    /// Tells the guardian of a process that leads its group.
    pub(super) fn new(leader: Pid) -> Self {
        let group = leader.as_raw_nonzero().get();
        let mut guardian = lock();
        guardian.groups.insert(group);
        guardian.tell(&format!("+{group}\n"));
        Self(group)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let mut guardian = lock();
        guardian.groups.remove(&self.0);
        guardian.tell(&format!("-{}\n", self.0));
    }
}

impl Guardian {
    #[expect(
        clippy::disallowed_methods,
        reason = "processes are the runner's to start"
    )]
    fn start(&mut self) {
        let Some(argument) = ARGUMENT.get() else {
            return;
        };
        let started = program().and_then(|program| {
            Command::new(program)
                .arg0("dagctl")
                .args(argument.split(' '))
                .env_clear()
                .current_dir("/")
                // A Ctrl-C at the terminal is the worker's to answer.
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        });
        let mut child = match started {
            Ok(child) => child,
            Err(err) => {
                tracing::error!("Could not start the guardian of tasks' processes: {err}");
                return;
            }
        };
        self.pipe = child.stdin.take();
        let mut news = format!("{}\n", this_process());
        for group in &self.groups {
            news += &format!("+{group}\n");
        }
        self.tell(&news);
        if let Some(pipe) = &self.pipe {
            // A guardian that somebody stopped must not stop us: then it misses news, and still knows the mark.
            let _ = fcntl_getfl(pipe).and_then(|it| fcntl_setfl(pipe, it | OFlags::NONBLOCK));
        }
        let born = Instant::now();
        // Where no thread can be had, the guardian stays unwatched.
        let _ = thread::Builder::new()
            .name("dagctl-guardian".to_owned())
            .spawn(move || replace(child, born));
    }

    fn tell(&mut self, news: &str) {
        if let Some(pipe) = &mut self.pipe {
            // A broken pipe is seen by who waits for the guardian, too.
            let _ = pipe.write_all(news.as_bytes());
        }
    }
}

fn lock() -> MutexGuard<'static, Guardian> {
    GUARDIAN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the end of a guardian, which should not come before ours, and starts another.
fn replace(mut child: Child, born: Instant) {
    let ended = child.wait();
    tracing::warn!("The guardian of tasks' processes ended ({ended:?}), another one takes over");
    if born.elapsed() < PAUSE {
        thread::sleep(PAUSE * 50);
    }
    lock().start();
}

/// Is a guardian until the other end of standard input is closed; then kills what it was told of.
pub fn guard() {
    let mut lines = io::stdin().lock().lines().map_while(Result::ok);
    let mark = lines.next().unwrap_or_default();
    let mut groups = BTreeSet::new();
    for line in lines {
        let Some((sign, Ok(group))) = line
            .split_at_checked(1)
            .map(|(sign, number)| (sign, number.parse::<i32>()))
        else {
            continue;
        };
        match sign {
            "+" => _ = groups.insert(group),
            _ => _ = groups.remove(&group),
        }
    }
    // A dead worker's last word may be half a line, but its mark is whole or absent.
    if mark.is_empty() {
        return;
    }
    let since = Instant::now();
    let mut empty_looks = 0;
    while empty_looks < EMPTY_LOOKS && since.elapsed() < KILLING {
        match kill(&mark, &groups) {
            0 => empty_looks += 1,
            _ => empty_looks = 0,
        }
        thread::sleep(PAUSE);
    }
}

/// Kills everything that a worker started; how many processes that was.
fn kill(mark: &str, groups: &BTreeSet<i32>) -> usize {
    if !processes::are_shown() {
        let killed = |group: &&i32| {
            Pid::from_raw(**group).is_some_and(|it| kill_process_group(it, Signal::KILL).is_ok())
        };
        return groups.iter().filter(killed).count();
    }
    let mark = format!("{mark}.");
    let mut found = vec![];
    let mut others = vec![];
    for pid in processes::since(0) {
        let Some(stat) = Stat::read(pid).filter(|stat| !stat.is_dead) else {
            continue;
        };
        let is_marked = || processes::marker_of(pid).is_some_and(|it| it.starts_with(&mark));
        if groups.contains(&stat.group) || is_marked() {
            found.push((pid, stat));
        } else {
            others.push((pid, stat));
        }
    }
    // Children that cleared their environment; their parents are alive until now.
    while let Some(at) = others
        .iter()
        .position(|(_, stat)| found.iter().any(|(pid, _)| *pid == stat.parent))
    {
        found.push(others.swap_remove(at));
    }
    for (pid, stat) in &found {
        if let Some(member) = Member::hold(*pid, stat) {
            member.signal(Signal::KILL);
        }
    }
    found.len()
}
