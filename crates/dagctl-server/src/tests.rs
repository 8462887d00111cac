//! The server as its callers meet it: real requests through every layer, on a real Postgres.

mod access;
mod approvals;
mod harness;
mod pages;
mod rest;
mod settings;
