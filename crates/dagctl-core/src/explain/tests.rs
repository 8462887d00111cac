use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|it| (*it).to_owned()).collect()
}

fn running() -> RunFacts {
    RunFacts {
        state: RunState::Running,
        queued_at: at("2026-03-01T08:00:00Z"),
        started_at: Some(at("2026-03-01T08:00:01Z")),
        finished_at: None,
        cancel: None,
        look_error: None,
        again_at: None,
        is_asked_for: false,
        active_runs: names(&["a"]),
        max_active_runs: 2,
        backfill: None,
        tasks: vec![
            (TaskState::Success, 3),
            (TaskState::Running, 2),
            (TaskState::None, 1),
            (TaskState::Queued, 0),
        ],
    }
}

fn of(state: TaskState) -> TaskFacts {
    TaskFacts {
        state,
        since: Some(at("2026-03-01T08:00:02Z")),
        open_upstream: vec![],
        attempt: 1,
        retry_at: None,
        error: None,
        worker: None,
        queue: "default".to_owned(),
        workers: (1, 4),
        pool: "default_pool".to_owned(),
        limit: None,
        places: Places {
            max_active_tasks: 16,
            ..Places::default()
        },
        open_instances: None,
        past_run: None,
        awaited_run: None,
        question: None,
    }
}

fn sentence(facts: TaskFacts) -> String {
    task(&facts, &running()).sentence
}

#[test]
fn every_state_has_a_reason_of_one_line() {
    for state in TaskState::ALL {
        let said = sentence(of(state));
        assert!(!said.is_empty() && !said.contains('\n'), "{state}: {said}");
    }
    for state in RunState::ALL {
        let facts = RunFacts { state, ..running() };
        let said = run(&facts, &DagFacts::default()).sentence;
        assert!(!said.is_empty() && !said.contains('\n'), "{state}: {said}");
    }
}

#[test]
fn a_task_says_what_it_waits_for() {
    let waits = TaskFacts {
        open_upstream: names(&["a", "b", "c", "d", "e", "f", "g"]),
        ..of(TaskState::None)
    };
    assert_eq!(
        sentence(waits),
        "it waits for `a`, `b`, `c`, `d`, `e` and 2 more"
    );
    let full = TaskFacts {
        pool: "warehouse".to_owned(),
        limit: Some(PoolFacts {
            slots: 2,
            taken: 2,
            holders: names(&["Build.build.a", "Build.build.b"]),
            wanted: 1,
            ahead: None,
        }),
        workers: (0, 0),
        ..of(TaskState::Queued)
    };
    assert_eq!(
        sentence(full),
        "its pool `warehouse` is full: all of its 2 slots are taken (`Build.build.a`, `Build.build.b`)"
    );
    let alone = TaskFacts {
        queue: "gpu".to_owned(),
        workers: (0, 0),
        ..of(TaskState::Queued)
    };
    assert_eq!(
        sentence(alone),
        "no worker serves its queue `gpu`: start one with `dagctl worker --queues gpu`"
    );
    let busy = TaskFacts {
        workers: (1, 0),
        ..of(TaskState::Queued)
    };
    assert_eq!(
        sentence(busy),
        "every worker of its queue `default` is busy: 1 worker without a free slot"
    );
    assert_eq!(
        sentence(of(TaskState::Scheduled)),
        "it waits for a place below `max_active_tasks`: 16 of the tasks of its run may be under way at once"
    );
    let retry = TaskFacts {
        retry_at: Some(at("2026-03-01T08:05:00Z")),
        error: Some("no table\nline 2".to_owned()),
        ..of(TaskState::UpForRetry)
    };
    assert_eq!(
        sentence(retry),
        "attempt 1 failed and it is tried again at 2026-03-01 08:05:00 UTC: no table"
    );
}

#[test]
fn a_task_of_a_pool_says_what_is_free_and_who_comes_first() {
    let pool = PoolFacts {
        slots: 3,
        taken: 2,
        holders: names(&["Build.a"]),
        wanted: 2,
        ahead: None,
    };
    let wide = TaskFacts {
        pool: "warehouse".to_owned(),
        limit: Some(pool.clone()),
        ..of(TaskState::Queued)
    };
    assert_eq!(
        sentence(wide),
        "its pool `warehouse` has 1 of 3 slots free, and it takes 2 (`Build.a`)"
    );
    let behind = TaskFacts {
        pool: "warehouse".to_owned(),
        limit: Some(PoolFacts {
            wanted: 1,
            ahead: Some(("Build.big".to_owned(), 3)),
            ..pool.clone()
        }),
        ..of(TaskState::Queued)
    };
    assert_eq!(
        sentence(behind),
        "`Build.big` comes first in its pool `warehouse`, and needs 3 slots, with 1 free"
    );
    // Who comes first fits in as well: then it is workers that are waited for.
    let fits = TaskFacts {
        pool: "warehouse".to_owned(),
        limit: Some(PoolFacts {
            wanted: 1,
            ahead: Some(("Build.small".to_owned(), 1)),
            ..pool
        }),
        workers: (1, 0),
        ..of(TaskState::Queued)
    };
    assert_eq!(
        sentence(fits),
        "every worker of its queue `default` is busy: 1 worker without a free slot"
    );
}

#[test]
fn a_task_says_which_limit_has_no_place_for_it() {
    let parked = |taken, per_dagrun, per_dag| {
        sentence(TaskFacts {
            places: Places {
                taken,
                max_active_tasks: 16,
                max_active_tis_per_dagrun: per_dagrun,
                max_active_tis_per_dag: per_dag,
            },
            ..of(TaskState::Scheduled)
        })
    };
    let limits = [
        (
            parked(16, Some(2), Some(1)),
            "`max_active_tasks`: 16 of the tasks of its run",
        ),
        (
            parked(16, None, Some(1)),
            "`max_active_tasks`: 16 of the tasks of its run",
        ),
        (
            parked(3, Some(2), Some(1)),
            "`max_active_tis_per_dagrun`: 2 of its instances in this run",
        ),
        (
            parked(3, None, Some(1)),
            "`max_active_tis_per_dag`: 1 of its instances in all runs",
        ),
    ];
    for (said, limit) in limits {
        assert_eq!(
            said,
            format!("it waits for a place below {limit} may be under way at once")
        );
    }
}

#[test]
fn a_task_that_waits_for_something_else_says_for_what() {
    let past = TaskFacts {
        past_run: Some("scheduled__2026-03-01".to_owned()),
        ..of(TaskState::None)
    };
    assert_eq!(
        sentence(past),
        "it waits for what becomes of it in the run before, `scheduled__2026-03-01`, until it is cleared or marked there (`depends_on_past`)"
    );
    let mapped = TaskFacts {
        open_instances: Some(3),
        ..of(TaskState::Running)
    };
    assert_eq!(
        sentence(mapped),
        "it waits for its instances, of which 3 have not settled"
    );
    let awaits = TaskFacts {
        awaited_run: Some("load/manual__1".to_owned()),
        ..of(TaskState::UpForReschedule)
    };
    assert_eq!(
        sentence(awaits),
        "it waits for the end of run `load/manual__1`, which it made"
    );
    let asks = TaskFacts {
        question: Some("Send it?".to_owned()),
        ..of(TaskState::WaitingApproval)
    };
    assert_eq!(
        sentence(asks),
        "it waits for a person to answer “Send it?”: `dagctl approve`, `dagctl reject` or its page"
    );
}

#[test]
fn a_task_of_a_run_that_is_set_aside_says_so_unless_it_has_settled() {
    let aside = RunFacts {
        look_error: Some("no such task".to_owned()),
        ..running()
    };
    for state in TaskState::ALL {
        let said = task(&of(state), &aside).sentence;
        let is_aside = said == "its run is set aside: `dagctl explain` of the run says why";
        assert_eq!(is_aside, !state.is_final(), "{state}: {said}");
    }
}

#[test]
fn a_task_that_waits_for_nothing_else_says_where_it_stands() {
    let queued = RunFacts {
        state: RunState::Queued,
        ..running()
    };
    assert_eq!(
        task(&of(TaskState::None), &queued).sentence,
        "its run has not started"
    );
    assert_eq!(
        sentence(of(TaskState::None)),
        "what it waits for has settled, and what becomes of it is being decided"
    );
    assert_eq!(sentence(of(TaskState::Running)), "it runs, attempt 1");
    let on_worker = TaskFacts {
        worker: Some("w1".to_owned()),
        ..of(TaskState::Running)
    };
    assert_eq!(sentence(on_worker), "it runs, attempt 1, on worker w1");
    let pokes = TaskFacts {
        retry_at: Some(at("2026-03-01T08:05:00Z")),
        ..of(TaskState::UpForReschedule)
    };
    assert_eq!(
        sentence(pokes),
        "what it waits for is not there yet, and it looks again at 2026-03-01 08:05:00 UTC"
    );
}

#[test]
fn a_settled_task_says_why_where_there_is_a_reason() {
    let settled = |state, error: Option<&str>| {
        sentence(TaskFacts {
            error: error.map(str::to_owned),
            ..of(state)
        })
    };
    assert_eq!(settled(TaskState::Success, None), "it has succeeded");
    assert_eq!(
        settled(TaskState::UpstreamFailed, Some("of the other task")),
        "it never ran, because a task before it failed"
    );
    assert_eq!(settled(TaskState::Skipped, Some("")), "it was skipped");
    assert_eq!(
        settled(TaskState::Failed, Some("exit code 1\nand more")),
        "it has failed: exit code 1"
    );
}

#[test]
fn a_run_says_what_holds_it() {
    let dag = DagFacts::default();
    let said = |facts: &RunFacts| run(facts, &dag).sentence;
    assert_eq!(
        said(&running()),
        "3 of 6 tasks have settled; of the others, 2 running, 1 not started"
    );
    let queued = RunFacts {
        state: RunState::Queued,
        active_runs: names(&["r1", "r2"]),
        ..running()
    };
    assert_eq!(
        said(&queued),
        "it waits for a place below `max_active_runs`: 2 of 2 runs are under way (`r1`, `r2`)"
    );
    let filled = |active_runs| RunFacts {
        backfill: Some(BackfillFacts {
            backfill_id: 7,
            active_runs,
            max_active_runs: 2,
        }),
        ..queued.clone()
    };
    assert_eq!(
        said(&filled(2)),
        "it waits for a place in backfill 7: 2 of 2 runs of that are under way"
    );
    assert!(said(&filled(1)).starts_with("it waits for a place below `max_active_runs`"));
    let paused = DagFacts {
        paused: Some(None),
        ..DagFacts::default()
    };
    assert_eq!(
        run(&queued, &paused).sentence,
        "it waits while its DAG's schedule is paused"
    );
    let stopped = RunFacts {
        cancel: Some(("kim".to_owned(), at("2026-03-01T09:00:00Z"))),
        ..running()
    };
    assert_eq!(
        said(&stopped),
        "kim asked it to stop, and 2 tasks under way are being ended"
    );
    let again = RunFacts {
        again_at: Some(at("2026-03-01T09:00:00Z")),
        tasks: vec![(TaskState::Failed, 2)],
        ..running()
    };
    assert_eq!(
        said(&again),
        "2 tasks failed and go again at 2026-03-01 09:00:00 UTC"
    );
    let aside = RunFacts {
        look_error: Some("no such task\nx".to_owned()),
        ..running()
    };
    assert_eq!(
        said(&aside),
        "it is set aside, because it could not be looked at three times: no such task"
    );
}

#[test]
fn a_dag_says_when_it_runs_next_or_why_it_does_not() {
    let good = DagFacts {
        has_version: true,
        schedule: Some("@daily".to_owned()),
        next_due_at: Some(at("2026-03-02T00:00:00Z")),
        ..DagFacts::default()
    };
    let said = |facts: &DagFacts| dag(facts).sentence;
    assert_eq!(
        said(&good),
        "its next run is due at 2026-03-02 00:00:00 UTC"
    );
    let paused = DagFacts {
        paused: Some(Some(("kim".to_owned(), Some(at("2026-03-01T09:00:00Z"))))),
        ..good.clone()
    };
    let paused = dag(&paused);
    assert_eq!(paused.sentence, "its schedule was paused by kim");
    assert_eq!(paused.since, Some(at("2026-03-01T09:00:00Z")));
    let skipped = DagFacts {
        skipped: Some((3, "catchup".to_owned(), at("2026-03-01T09:00:00Z"))),
        ..good.clone()
    };
    assert_eq!(
        said(&skipped),
        "its next run is due at 2026-03-02 00:00:00 UTC; 3 intervals were left out at 2026-03-01 09:00:00 UTC, since \
         `catchup` is false"
    );
    // No more than a thousand are counted.
    let many = DagFacts {
        skipped: Some((1000, "catchup".to_owned(), at("2026-03-01T09:00:00Z"))),
        ..good.clone()
    };
    assert!(said(&many).contains("; at least 1000 intervals were left out at "));
    let news = DagFacts {
        schedule: Some("on news of raw.orders".to_owned()),
        awaits_news: true,
        ..good.clone()
    };
    assert_eq!(said(&news), "it runs on news of raw.orders");
    let broken = DagFacts {
        broken: Some((
            "unknown field `needs`".to_owned(),
            at("2026-03-01T09:00:00Z"),
        )),
        has_version: false,
        ..DagFacts::default()
    };
    assert_eq!(
        said(&broken),
        "its file has never been good: unknown field `needs`"
    );
    let manual = DagFacts {
        has_version: true,
        ..DagFacts::default()
    };
    assert_eq!(
        said(&manual),
        "it has no schedule and runs only when it is triggered"
    );
}
