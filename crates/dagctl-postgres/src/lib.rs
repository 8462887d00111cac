//! Runs a private PostgreSQL server: finds its programs, makes its folder, starts, adopts and stops it.
//!
//! This crate knows no other dagctl crate, reads no environment variable but `PATH`, and speaks to the
//! server only through PostgreSQL's own programs. Its functions block: call them before the runtime is
//! busy, or through `spawn_blocking`.

mod cluster;
mod command;
mod folder;
mod install;
mod lock;
mod programs;
mod server;
mod server_user;
mod settings;

pub use command::CommandError;
pub use folder::{FolderError, default_data_dir};
pub use install::{InstallError, install};
pub use lock::LockError;
pub use programs::{NotFound, OLDEST_MAJOR, Programs, find_all_programs, find_programs};
pub use server::{Options, PrivatePostgres, StartError, StopError};
pub use server_user::{ServerUser, UserError};
pub use settings::Durability;
