//! What Linux shows of processes in `/proc`.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};

/// The variable whose value says which attempt a process belongs to.
pub(super) const MARKER: &str = "DAGCTL_ATTEMPT";

/// What `/proc/<pid>/stat` says.
#[derive(Debug)]
pub(super) struct Stat {
    pub(super) name: String,
    pub(super) is_dead: bool,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) started: u64,
}

impl Stat {
    /// `None` where there is no such process.
    pub(super) fn read(pid: i32) -> Option<Self> {
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

/// Whether this system shows processes in `/proc` at all.
pub(super) fn are_shown() -> bool {
    fs::exists("/proc/self/stat").unwrap_or(false)
}

/// All processes that may have been started after `first`, which is among them.
pub(super) fn since(first: i32) -> Vec<i32> {
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
        .collect()
}

/// The value of [`MARKER`] in a process's environment.
pub(super) fn marker_of(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let entry = environment
        .split(|byte| *byte == 0)
        .find(|entry| entry.starts_with(MARKER.as_bytes()))?;
    let (name, marker) = std::str::from_utf8(entry).ok()?.split_once('=')?;
    (name == MARKER).then(|| marker.to_owned())
}

/// A process to be signalled.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) pid: Pid,
    pub(super) name: String,
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

impl Member {
    /// The process that `stat` was read of; `None` where it has ended since.
    pub(super) fn hold(pid: i32, stat: &Stat) -> Option<Self> {
        let number = Pid::from_raw(pid)?;
        let reach = pidfd_open(number, PidfdFlags::empty()).map_or(Reach::Number, Reach::Handle);
        // The handle may be of another process that got the number.
        let now = Stat::read(pid).filter(|now| now.started == stat.started && !now.is_dead)?;
        Some(Self {
            pid: number,
            name: now.name,
            reach,
        })
    }

    /// A whole group, where processes are not shown.
    pub(super) fn group(leader: Pid) -> Self {
        Self {
            pid: leader,
            name: "its group".to_owned(),
            reach: Reach::Group,
        }
    }

    /// Sends a signal. The process may have ended by itself, which is all we want.
    pub(super) fn signal(&self, signal: Signal) {
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
