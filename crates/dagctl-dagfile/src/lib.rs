//! Turns DAG files into [`dagctl_core::dag::Dag`]s and diagnostics; may not run, render or store anything.

mod diagnostic;
mod folder;
mod glob;
mod ignore;
mod layers;
mod lint;
mod parse;
mod reader;
mod sources;
mod sql_read;
mod sql_writes;
mod stack;
mod text;
mod vocabulary;
mod yaml;

pub use diagnostic::{Code, Color, Diagnostic, Severity, Span};
pub use folder::{FolderLoad, LoadedDag, Loader};
pub use ignore::IgnoredFile;
pub use parse::parse_version;
