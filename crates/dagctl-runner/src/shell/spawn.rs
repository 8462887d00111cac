//! Starts processes so that they cannot outlive us: from a thread that never ends, behind `setpriv --pdeathsig`.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, oneshot};

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
    let mut line: Vec<OsString> = Vec::new();
    if let Some(setpriv) = setpriv().await {
        line.extend([setpriv, "--pdeathsig", "KILL", "--"].map(OsString::from));
    }
    line.push(start.program.into());
    line.extend(start.arguments.iter().map(OsString::from));

    let mut command = Command::new(&line[0]);
    command
        .args(&line[1..])
        .env_clear()
        .envs(start.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(start.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    on_lasting_thread(command).await
}

type Order = (Command, Handle, oneshot::Sender<io::Result<Child>>);

// Linux sends the parent-death signal when the *thread* that started a process ends, and tokio's threads may.
async fn on_lasting_thread(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, receiver) = channel::<Order>();
        // Without the thread its receiver is gone, and every order below fails with a clear error.
        let _ = thread::Builder::new()
            .name("dagctl-spawn".to_owned())
            .spawn(move || {
                for (mut command, runtime, answer) in receiver {
                    let _entered = runtime.enter();
                    // Nobody waits any more: dropping the answer kills the process.
                    let _ = answer.send(command.spawn());
                }
            });
        sender
    });
    let gone = || io::Error::other("the thread that starts processes is gone");
    let (answer, started) = oneshot::channel();
    orders
        .send((command, Handle::current(), answer))
        .map_err(|_| gone())?;
    started.await.map_err(|_| gone())?
}

const PLACES_OF_SETPRIV: [&str; 3] = ["/usr/bin/setpriv", "/bin/setpriv", "/usr/local/bin/setpriv"];

/// The path of util-linux's `setpriv` where it can set a parent-death signal; busybox's cannot.
async fn setpriv() -> Option<&'static str> {
    static FOUND: OnceCell<Option<&'static str>> = OnceCell::const_new();
    *FOUND
        .get_or_init(|| async {
            for place in PLACES_OF_SETPRIV {
                if !Path::new(place).exists() {
                    continue;
                }
                let probe = Command::new(place)
                    .args(["--pdeathsig", "KILL", "--", place, "--version"])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .await;
                if probe.is_ok_and(|status| status.success()) {
                    return Some(place);
                }
            }
            None
        })
        .await
}
