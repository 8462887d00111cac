//! Finds the processes that belong to an attempt, those that left its process group too.
//!
//! A process can leave its group and its parent (`setsid`, a double fork), but it takes its environment along. So
//! every process of an attempt carries a marker there, and Linux shows it in `/proc`. Elsewhere only the group is
//! known. A process that clears its environment is found as well where its parent lived when we first looked.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, test_kill_process_group};
use tokio::sync::oneshot;

use super::processes::{self, Member, Stat};

/// After a look at all processes so many times its length passes before the next one: attempts that end in between
/// share it. At 1,300 ends a second a look for each would cost more than the processes themselves.
const REST: u32 = 4;

/// All processes that an attempt started.
#[derive(Debug, Clone)]
pub(super) struct Family {
    /// The first process, which leads the group.
    pub(super) leader: Pid,
    /// What the environment of each holds as [`processes::MARKER`].
    marker: Arc<str>,
    /// Who was found before, by number and start time: a parent may die before a child that only it leads to.
    known: Arc<Mutex<BTreeSet<(i32, u64)>>>,
}

impl Family {
    /// The family of a process that was just started.
    pub(super) fn new(leader: Pid, marker: &str) -> Self {
        Self {
            leader,
            marker: marker.into(),
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
        let mut members = members_of(std::slice::from_ref(self));
        members.pop().unwrap_or_default()
    }

    /// As [`Family::members`], by the next look that all who ask share.
    pub(super) async fn members_at_next_look(&self) -> Vec<Member> {
        static ASKED: OnceLock<Sender<Question>> = OnceLock::new();
        let asked = ASKED.get_or_init(|| {
            let (sender, receiver) = channel();
            // Without the thread its receiver is gone, and every question below is answered on the spot.
            let _ = thread::Builder::new()
                .name("dagctl-leftovers".to_owned())
                .spawn(move || answer_all(&receiver));
            sender
        });
        let (answer, members) = oneshot::channel();
        let _ = asked.send((self.clone(), answer));
        match members.await {
            Ok(members) => members,
            Err(_) => self.members(),
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<(i32, u64)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Question = (Family, oneshot::Sender<Vec<Member>>);

fn answer_all(questions: &Receiver<Question>) {
    while let Ok(question) = questions.recv() {
        let (families, answers): (Vec<_>, Vec<_>) =
            [question].into_iter().chain(questions.try_iter()).unzip();
        let since = Instant::now();
        for (members, answer) in members_of(&families).into_iter().zip(answers) {
            let _ = answer.send(members);
        }
        thread::sleep(since.elapsed() * REST);
    }
}

/// The living processes of each family, by one look at all processes.
fn members_of(families: &[Family]) -> Vec<Vec<Member>> {
    if !processes::are_shown() {
        let group = |it: &Family| {
            let alive = test_kill_process_group(it.leader).is_ok();
            Vec::from_iter(alive.then(|| Member::group(it.leader)))
        };
        return families.iter().map(group).collect();
    }
    let mut by_group = HashMap::new();
    let mut by_marker = HashMap::new();
    let mut by_process = HashMap::new();
    for (at, family) in families.iter().enumerate() {
        by_group.insert(family.leader.as_raw_nonzero().get(), at);
        by_marker.insert(&*family.marker, at);
        by_process.extend(family.known().iter().map(|it| (*it, at)));
    }
    let first = by_group.keys().min().copied().unwrap_or_default();
    let mut found: HashMap<i32, (usize, Stat)> = HashMap::new();
    let mut others: Vec<(i32, Stat)> = vec![];
    for pid in processes::since(first) {
        let Some(stat) = Stat::read(pid).filter(|stat| !stat.is_dead) else {
            continue;
        };
        let family = by_group
            .get(&stat.group)
            .or_else(|| by_process.get(&(pid, stat.started)))
            .or_else(|| by_marker.get(processes::marker_of(pid)?.as_str()));
        match family {
            Some(at) => _ = found.insert(pid, (*at, stat)),
            None => others.push((pid, stat)),
        }
    }
    // Children that cleared their environment.
    while let Some(at) = others
        .iter()
        .position(|(_, stat)| found.contains_key(&stat.parent))
    {
        let (pid, stat) = others.swap_remove(at);
        let family = found[&stat.parent].0;
        found.insert(pid, (family, stat));
    }
    let mut members: Vec<Vec<Member>> = families.iter().map(|_| vec![]).collect();
    for (pid, (at, stat)) in found {
        families[at].known().insert((pid, stat.started));
        members[at].extend(Member::hold(pid, &stat));
    }
    members
}

/// A marker that no other attempt on this machine has. Says which dagctl it is of, so that orphans can be told.
pub(super) fn new_marker() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}.{count}", this_process())
}

/// Namespace, number and start time of this process: what all its markers begin with.
pub(super) fn this_process() -> &'static str {
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
/// To be called when a worker starts: what it left behind must not go on beside the next attempt. Its guardian has
/// ended them already, unless both were killed at once.
pub fn end_orphans() -> usize {
    let here = namespace();
    let mut ended = 0;
    for pid in processes::since(0) {
        let Some((stat, marker)) = Stat::read(pid).zip(processes::marker_of(pid)) else {
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
        if *marked_namespace == here
            && !owner_lives
            && let Some(orphan) = Member::hold(pid, &stat)
        {
            orphan.signal(Signal::KILL);
            ended += 1;
        }
    }
    ended
}
