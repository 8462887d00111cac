//! What `GET …/events` tells of a run: the run and every task at first, then each change.

use std::collections::HashMap;
use std::time::Duration;

use axum::response::sse::Event;
use dagctl_api::runs::{Run, RunEvent};
use dagctl_api::tasks::Task;
use dagctl_core::ids::DagRunId;
use dagctl_store::views::tasks::TaskFilter;

use super::convert;
use crate::App;
use crate::clock::now;
use crate::error::{Answer, Failure};
use crate::live::{News, Source};

/// The news of a run.
pub(crate) struct RunEvents {
    app: App,
    run: DagRunId,
    told_run: Option<Run>,
    told_tasks: HashMap<(i32, i32), Task>,
}

impl RunEvents {
    pub(crate) fn new(app: App, run: DagRunId) -> Self {
        Self {
            app,
            run,
            told_run: None,
            told_tasks: HashMap::new(),
        }
    }
}

impl Source for RunEvents {
    async fn look(&mut self) -> Answer<News> {
        // The run is read first: once it is final, so are all its tasks.
        let row = self
            .app
            .store()
            .run_row(self.run)
            .await?
            .ok_or_else(|| Failure::not_found("this run is gone"))?;
        let is_last = row.state.is_final();
        let tasks = self
            .app
            .store()
            .task_rows(self.run, &TaskFilter::default())
            .await?;
        let now = now();
        let mut events = vec![];
        for row in tasks {
            let key = (row.task_index, row.map_index);
            let task = convert::task(row, now);
            let is_new = self
                .told_tasks
                .get(&key)
                .is_none_or(|told| !is_same_task(told, &task));
            if is_new {
                self.told_tasks.insert(key, task.clone());
                events.push(RunEvent::Task(Box::new(task)));
            }
        }
        let run = convert::run(row, now);
        let is_new = self
            .told_run
            .as_ref()
            .is_none_or(|told| !is_same_run(told, &run));
        if is_new {
            let event = RunEvent::Run(Box::new(run.clone()));
            // At first the run opens the stream, in the end it closes it.
            match self.told_run {
                None if !is_last => events.insert(0, event),
                Some(_) | None => events.push(event),
            }
            self.told_run = Some(run);
        }
        let events = events
            .iter()
            .map(|it| Event::default().json_data(it).map_err(Failure::internal))
            .collect::<Answer<Vec<Event>>>()?;
        Ok(News { events, is_last })
    }

    fn period(&self) -> Duration {
        Duration::from_millis(250)
    }
}

/// The passing of time alone is no news.
fn is_same_task(told: &Task, task: &Task) -> bool {
    let timeless = Task {
        duration_ms: told.duration_ms,
        ..task.clone()
    };
    *told == timeless
}

fn is_same_run(told: &Run, run: &Run) -> bool {
    let timeless = Run {
        duration_ms: told.duration_ms,
        ..run.clone()
    };
    *told == timeless
}
