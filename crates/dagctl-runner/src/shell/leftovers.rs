//! Finds the processes that belong to an attempt, those that left its process group too.
//!
//! A process can leave its group and its parent (`setsid`, a double fork), but it takes its environment along. So
//! every process of an attempt carries a marker there, and Linux shows it in `/proc`. Elsewhere only the group is
//! known. A process that clears its environment is found as well where its parent lived when we first looked.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
    test_kill_process_group,
};

/// The variable that holds the marker.
pub(super) const MARKER: &str = "DAGCTL_ATTEMPT";

/// All processes that an attempt started.
#[derive(Debug, Clone)]
pub(super) struct Family {
    /// The first process, which leads the group.
    pub(super) leader: Pid,
    /// What the environment of each holds as [`MARKER`].
    marker: String,
    /// Who was found before, by number and start time: a parent may die before a child that only it leads to.
    known: Arc<Mutex<BTreeSet<(i32, u64)>>>,
}

/// One process of a family.
#[derive(Debug)]
pub(super) struct Member {
    pid: Pid,
    name: String,
    reach: Reach,
}

/// How a signal gets there.
#[derive(Debug)]
enum Reach {
    /// Holds on to the process, so that a signal cannot meet another one that got its number.
    Handle(OwnedFd),
    /// By its number, where the system has no handles.
    Number,
    /// By its group, where the system does not show processes.
    Group,
}

impl Reach {
    fn of(pid: Pid) -> Self {
        pidfd_open(pid, PidfdFlags::empty()).map_or(Self::Number, Self::Handle)
    }
}

impl Member {
    fn signal(&self, signal: Signal) {
        // It may have ended by itself, which is all we want.
        let _ = match &self.reach {
            Reach::Handle(handle) => pidfd_send_signal(handle, signal),
            Reach::Number => kill_process(self.pid, signal),
            Reach::Group => kill_process_group(self.pid, signal),
        };
    }
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` ({})", self.name, self.pid)
    }
}

impl Family {
    /// The family of a process that was just started.
    pub(super) fn new(leader: Pid, marker: String) -> Self {
        Self {
            leader,
            marker,
            known: Arc::default(),
        }
    }

    /// Signals every process of the family; gives back how many there were.
    pub(super) fn signal(&self, signal: Signal) -> usize {
        let members = self.members();
        for member in &members {
            member.signal(signal);
        }
        members.len()
    }

    /// The processes that are alive now.
    pub(super) fn members(&self) -> Vec<Member> {
        if !fs::exists("/proc/self/stat").unwrap_or(false) {
            let alive = test_kill_process_group(self.leader).is_ok();
            return Vec::from_iter(alive.then(|| Member {
                pid: self.leader,
                name: "its group".to_owned(),
                reach: Reach::Group,
            }));
        }
        let marked = format!("{MARKER}={}", self.marker);
        let first = self.leader.as_raw_nonzero().get();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<(i32, Member)> = Vec::new();
        let mut others: Vec<(i32, Stat, Member)> = Vec::new();
        for (pid, held) in processes_since(first) {
            // The handle comes first: what is read after it belongs to the process that it holds.
            let reach = Reach::of(held);
            let Some(stat) = Stat::read(pid).filter(|stat| !stat.is_dead) else {
                continue;
            };
            let member = Member {
                pid: held,
                name: stat.name.clone(),
                reach,
            };
            if stat.group == first
                || known.contains(&(pid, stat.started))
                || environment_holds(pid, &marked)
            {
                known.insert((pid, stat.started));
                found.push((pid, member));
            } else {
                others.push((pid, stat, member));
            }
        }
        // Children that cleared their environment.
        while let Some(at) = others
            .iter()
            .position(|(_, stat, _)| found.iter().any(|(pid, _)| *pid == stat.parent))
        {
            let (pid, stat, member) = others.swap_remove(at);
            known.insert((pid, stat.started));
            found.push((pid, member));
        }
        found.into_iter().map(|(_, member)| member).collect()
    }
}

/// A marker that no other attempt on this machine has. Says which dagctl it is of, so that orphans can be told.
pub(super) fn new_marker() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}.{count}", this_process())
}

/// Namespace, number and start time of this process.
fn this_process() -> &'static str {
    static THIS: OnceLock<String> = OnceLock::new();
    THIS.get_or_init(|| {
        let id = process::id();
        let started = i32::try_from(id)
            .ok()
            .and_then(Stat::read)
            .map_or(0, |stat| stat.started);
        format!("{}.{id}.{started}", namespace())
    })
}

fn namespace() -> String {
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let text = link.to_string_lossy();
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Kills the processes of attempts whose dagctl is gone (killed, or crashed) and gives back how many there were.
///
/// To be called when a worker starts: what it left behind must not go on beside the next attempt.
pub fn end_orphans() -> usize {
    let here = namespace();
    let mut ended = 0;
    for (number, pid) in processes_since(0) {
        let reach = Reach::of(pid);
        let Some(marker) = marker_of(number) else {
            continue;
        };
        let parts: Vec<_> = marker.split('.').collect();
        let [marked_namespace, owner, started, _] = parts.as_slice() else {
            continue;
        };
        let (Ok(owner), Ok(started)) = (owner.parse(), started.parse::<u64>()) else {
            continue;
        };
        let owner_lives = Stat::read(owner).is_some_and(|it| !it.is_dead && it.started == started);
        // A marker of another namespace names a process that we cannot see.
        if *marked_namespace == here && !owner_lives {
            let name = String::new();
            Member { pid, name, reach }.signal(Signal::KILL);
            ended += 1;
        }
    }
    ended
}

/// All processes that may have been started after `first`, which is among them.
fn processes_since(first: i32) -> Vec<(i32, Pid)> {
    // Numbers are given out in order, so what `first` started has a higher one, until they begin anew.
    let newest: i32 = fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split_whitespace().last()?.parse().ok())
        .unwrap_or(0);
    let lowest = if newest >= first { first } else { 0 };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid >= lowest)
        .filter_map(|pid| Some((pid, Pid::from_raw(pid)?)))
        .collect()
}

/// What `/proc/<pid>/stat` says.
struct Stat {
    name: String,
    is_dead: bool,
    parent: i32,
    group: i32,
    started: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        // The name stands in brackets and may hold anything, brackets too.
        let (before, after) = text.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let fields: Vec<_> = after.split_whitespace().collect();
        Some(Self {
            name: name.to_owned(),
            is_dead: matches!(*fields.first()?, "Z" | "X" | "x"),
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

fn environment_holds(pid: i32, assignment: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == assignment.as_bytes())
    })
}

fn marker_of(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let entry = environment
        .split(|byte| *byte == 0)
        .find(|entry| entry.starts_with(MARKER.as_bytes()))?;
    let (_, marker) = std::str::from_utf8(entry).ok()?.split_once('=')?;
    Some(marker.to_owned())
}
