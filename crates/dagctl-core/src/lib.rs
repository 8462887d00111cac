//! The inert core of dagctl: what a DAG is, when it is due, and what the facts of a run call for.
//!
//! Nothing here does IO, reads a clock or knows a database: `now` is an argument.

pub mod again;
pub mod asset;
pub mod backfill;
pub mod callback;
pub mod check;
pub mod connection;
pub mod dag;
pub mod decide;
pub mod duration;
pub mod explain;
pub mod graph;
pub mod ids;
pub mod limits;
pub mod mapping;
pub mod nearest;
pub mod notice;
pub mod operator;
pub mod outcome;
pub mod params;
pub mod poke;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod simulate;
pub mod sql_text;
pub mod state;
pub mod template;
pub mod timetable;
pub mod variable;
