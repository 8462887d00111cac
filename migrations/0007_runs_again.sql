-- Going again, backfills, and what limits a run as a whole.

-- How often a run that had ended went on: part of the identity of what is told of it. Past the first start its task
-- instances are there, and a look decides which of them start.
alter table dag_run add column epoch smallint not null default 0;

-- A success that was cleared stays as history, as an attempt that failed does.
alter table attempt drop constraint attempt_state_known;
alter table attempt add constraint attempt_state_known check (state in ('f', 'k', 'l', 'h', 's'));

-- What the clock may call for in a run. Rows are there only for runs whose DAG asks for it.
create table run_due (
    dag_run_id bigint not null,
    kind "char" not null,                        -- t dagrun_timeout, r dagrun_retries, d deadline
    due_at timestamptz not null,
    primary key (dag_run_id, kind)
);
create index run_due_at on run_due (due_at);

alter table dag_version add column dagrun_timeout double precision;   -- seconds
alter table dag_run add column timed_out_at timestamptz;              -- dagrun_timeout asked it to stop
alter table dag_run add column run_retries smallint not null default 0;   -- of dagrun_retries, used up

alter table dag add column pause_reason text;    -- why dagctl itself paused it

-- Runs of the past that somebody asked for; its version is the one that was shown.
create table backfill (
    backfill_id int generated always as identity primary key,
    dag_key int not null references dag,
    dag_version_id int not null references dag_version,
    from_at timestamptz not null,
    to_at timestamptz not null,
    reprocess text not null,                     -- none, failed, all
    is_reversed boolean not null,
    max_active_runs int not null,
    state "char" not null default 'r',           -- r running, p paused, c cancelled, d done
    created_by text not null,
    created_at timestamptz not null default now(),
    ended_at timestamptz
);
-- One at a time for each DAG, as in Airflow.
create unique index backfill_under_way on backfill (dag_key) where state in ('r', 'p');

create table backfill_date (
    backfill_id int not null references backfill,
    place int not null,                          -- in the order in which they are filled
    logical_at timestamptz not null,
    interval_end timestamptz not null,
    dag_run_id bigint,
    step "char" not null,                        -- n to be made, a to go again, m made, s left as it is
    primary key (backfill_id, place)
);
create index backfill_date_waiting on backfill_date (backfill_id, place) where step in ('n', 'a');

alter table live_run add column backfill_id int;
create index live_run_backfill on live_run (backfill_id) where backfill_id is not null;
