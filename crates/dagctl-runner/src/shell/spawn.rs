//! Starts processes, on threads of their own: a start takes as long as the kernel needs to load the program.

use std::io;
use std::num::NonZero;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::guardian;

/// What is to be started.
pub(super) struct Start<'a> {
    /// The program's full path.
    pub(super) program: &'a Path,
    /// Its arguments.
    pub(super) arguments: &'a [String],
    /// Its whole environment.
    pub(super) environment: &'a [(String, String)],
    /// Its working folder.
    pub(super) cwd: &'a Path,
}

/// Starts a process in a group of its own, with its output piped.
pub(super) async fn spawn(start: Start<'_>) -> io::Result<Child> {
    // Nothing here keeps std from `posix_spawn`, which does not copy our page tables.
    let mut command = Command::new(start.program);
    command
        .args(start.arguments)
        .env_clear()
        .envs(start.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(start.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let gone = || io::Error::other("the threads that start processes are gone");
    let (answer, started) = oneshot::channel();
    orders()
        .send((command, Handle::current(), answer))
        .map_err(|_| gone())?;
    started.await.map_err(|_| gone())?
}

type Order = (Command, Handle, oneshot::Sender<io::Result<Child>>);

/// Where orders go: to one thread for each core, more would only wait for each other.
fn orders() -> &'static Sender<Order> {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    ORDERS.get_or_init(|| {
        let (sender, receiver) = channel::<Order>();
        let receiver = Arc::new(Mutex::new(receiver));
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        for _ in 0..cores {
            let receiver = receiver.clone();
            // Without any thread the receiver is gone, and every order fails with a clear error.
            let _ = thread::Builder::new()
                .name("dagctl-spawn".to_owned())
                .spawn(move || carry_out(&receiver));
        }
        sender
    })
}

fn carry_out(orders: &Mutex<Receiver<Order>>) {
    guardian::ensure();
    loop {
        let order = orders.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((mut command, runtime, answer)) = order else {
            return;
        };
        let _entered = runtime.enter();
        // Nobody waits any more: dropping the answer kills the process.
        let _ = answer.send(command.spawn());
    }
}
