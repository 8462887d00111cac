-- What a task is subject to besides the success of its upstream tasks.
--
-- dag_task.rule  s all_success, the hot path's; a always, starts with the run; t a teardown, which a cancel leaves alone;
--                x a look decides, also where the task is a root; F all_failed, d all_done, m all_done_min_one_success,
--                k all_skipped, o one_success, f one_failed, e one_done, n none_failed, N none_failed_min_one_success,
--                K none_skipped: a look decides

-- The run before a run, for `depends_on_past`.
create index run_key_by_date on run_key (dag_key, logical_at, dag_run_id);

-- Something settled in a DAG whose runs wait for the run before: those under way need a look. A row stays until they
-- had it.
create table past_news (
    news_id bigint generated always as identity primary key,
    dag_key int not null references dag
);
