//! What every workload is given: the sizes to use, and a fresh dagctl whenever it wants one.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::place::Place;
use crate::report::Machine;
use crate::standalone::{Standalone, Wanted};

/// How the bench is to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The dagctl to measure: this very executable.
    pub program: PathBuf,
    /// What its processes find in their environment.
    pub environment: Vec<(String, OsString)>,
    /// Where the throwaway folder goes; its disk is what is measured.
    pub folder: PathBuf,
    /// Small sizes: shows that all works, not how fast.
    pub quick: bool,
    /// How often each workload runs; the medians count.
    pub repeat: usize,
}

/// A bench under way. A workload starts what it needs, measures, and gives rows.
pub(crate) struct Bench {
    settings: Settings,
    machine: Machine,
    started: usize,
}

impl Bench {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            machine: Machine::here(),
            started: 0,
        }
    }

    /// Whether small sizes are wanted.
    pub(crate) fn is_quick(&self) -> bool {
        self.settings.quick
    }

    /// The full size, or the small one of `--quick`.
    pub(crate) fn size(&self, full: usize, quick: usize) -> usize {
        if self.settings.quick { quick } else { full }
    }

    /// The dagctl under test, to run one of its other commands.
    pub(crate) fn program(&self) -> &std::path::Path {
        &self.settings.program
    }

    /// An empty throwaway place: a data folder and a dags folder that no dagctl knows yet.
    pub(crate) fn place(&mut self) -> anyhow::Result<Place> {
        self.started += 1;
        Place::new(
            &self.settings.folder,
            self.started,
            self.settings.environment.clone(),
        )
    }

    /// A dagctl that has just started in a place of its own, with an empty database.
    pub(crate) async fn standalone(&mut self, wanted: Wanted) -> anyhow::Result<Standalone> {
        let place = self.place()?;
        let standalone = Standalone::start(&self.settings.program, place, wanted).await?;
        if self.machine.postgres.is_empty() {
            self.machine.postgres = sqlx::query_scalar("show server_version")
                .fetch_one(&standalone.db)
                .await?;
        }
        Ok(standalone)
    }

    /// Where all this was measured.
    pub(crate) fn machine(&self) -> Machine {
        self.machine.clone()
    }
}
