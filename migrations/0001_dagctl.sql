-- The data model of dagctl. Principles: dense integers on the hot path (names live in the DAG version);
-- no index on a column that changes during a task's life, so that updates are HOT; the mutable queue is a
-- separate, tiny table; dependencies are stored once per DAG version, never per run.
--
-- Letters: dag_run.state      q queued, r running, s success, f failed
--          dag_run.run_type   s scheduled, m manual, b backfill
--          task_instance.state  n not settled, s success, f failed, u upstream_failed, k skipped
--          attempt.state      f failed, k skipped, l lost with its worker, h handed back by a drain
--          dag_task.rule      s all_success, d all_done, f one_failed
--          notice.state       p pending, s sent, u delivery unknown, d given up
--
-- Lock order: pool rows, dag row, dag_run rows by id, task_instance rows by key, then ready and timer rows.

-- ---------------------------------------------------------------- definitions

create table dag (
    dag_key int generated always as identity primary key,
    dag_id text not null constraint dag_id_unique unique,
    is_paused boolean not null,
    active_version_id int,                       -- the last good version
    file text not null,                          -- relative to the dags folder
    missing_since timestamptz,                   -- its file is gone since
    -- For lists, so that they read this table alone.
    description text,
    tags text[] not null default '{}',
    owner text,
    schedule text,                               -- in words
    timezone text not null default 'UTC',
    max_active_runs int not null default 16,
    task_count int not null default 0,
    -- The scheduler's memory: it only moves forward and survives the purge of old runs.
    watermark timestamptz not null,              -- the end of the last interval considered
    watermark_reset "char",                      -- n first seen, p unpaused; null after the first look
    next_due_at timestamptz,
    -- The last run, denormalised.
    last_dag_run_id bigint,
    last_state "char",
    last_at timestamptz,
    created_at timestamptz not null default now()
);
create index dag_due on dag (next_due_at) where next_due_at is not null;

create table dag_version (
    dag_version_id int generated always as identity primary key,
    dag_key int not null references dag,
    hash bytea not null,
    git_commit text,
    file text not null,
    files jsonb not null,                        -- path -> text; parsed again on load
    task_count int not null,
    max_active_tasks int not null,
    created_at timestamptz not null default now(),
    constraint dag_version_hash_unique unique (dag_key, hash)
);
alter table dag add constraint dag_active_version foreign key (active_version_id) references dag_version;

create table pool (
    pool_key int generated always as identity primary key,
    name text not null constraint pool_name_unique unique,
    slots int constraint pool_slots_positive check (slots >= 0),   -- null: nobody has set a limit
    description text
);

create table dag_task (
    dag_version_id int not null references dag_version,
    task_index int not null,
    task_id text not null,
    operator text not null,
    pool_key int not null references pool,
    priority int not null,                       -- minus priority_weight: the smallest is claimed first
    indegree smallint not null,
    rule "char" not null,
    primary key (dag_version_id, task_index)
);

create table dag_edge (
    dag_version_id int not null references dag_version,
    parent int not null,
    child int not null,
    primary key (dag_version_id, parent, child)
);

create table problem (
    problem_id bigint generated always as identity primary key,
    file text not null,
    line int not null,
    col int not null,
    severity text not null,
    code text not null,
    message text not null,
    rendered text not null,
    dag_id text,
    first_seen_at timestamptz not null default now()
);
create unique index problem_identity on problem (file, line, col, code, md5(message));

create table skipped_interval (
    dag_key int not null references dag,
    first_logical_at timestamptz not null,
    last_logical_at timestamptz not null,
    count int not null,
    reason text not null,
    recorded_at timestamptz not null default now(),
    primary key (dag_key, first_logical_at)
);

-- ---------------------------------------------------------------- runs

-- dag_run_id = (milliseconds since 1970 << 20) | 20 random bits: sorted by time, so the key is the partition key.
create table dag_run (
    dag_run_id bigint not null,
    dag_key int not null,
    dag_version_id int not null,
    run_id text not null,
    run_type "char" not null,
    state "char" not null,
    logical_at timestamptz not null,
    interval_start timestamptz not null,
    interval_end timestamptz not null,
    params jsonb not null default '{}',
    note text,
    triggered_by text,
    remaining int not null default 0,            -- task instances not settled
    is_limited boolean not null default false,   -- more tasks than max_active_tasks: every step is a look
    cancel_requested_at timestamptz,
    cancel_requested_by text,
    queued_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    look_failures smallint not null default 0,
    look_error text,                             -- set: the run is quarantined
    primary key (dag_run_id),
    constraint dag_run_state_known check (state in ('q', 'r', 's', 'f')),
    constraint dag_run_finished check ((state in ('s', 'f')) = (finished_at is not null))
) partition by range (dag_run_id);
create index dag_run_by_dag on dag_run (dag_key, dag_run_id desc) include (state);
create index dag_run_live on dag_run (dag_key, dag_run_id) where state in ('q', 'r');
create index dag_run_failed on dag_run (dag_run_id desc) where state = 'f';

-- What makes a run unique. Not partitioned: it is what any number of schedulers meet on.
create table run_key (
    dag_key int not null references dag,
    run_id text not null,
    kind "char" not null,                        -- s scheduled or backfilled, m manual
    logical_at timestamptz not null,
    dag_run_id bigint not null,
    constraint run_key_run_id_unique primary key (dag_key, run_id)
);
create unique index run_key_logical_unique on run_key (dag_key, logical_at) where kind = 's';
create unique index run_key_dag_run on run_key (dag_run_id);

create table trigger_key (
    principal text not null,
    key text not null,
    body_hash bytea not null,
    dag_run_id bigint not null,
    created_at timestamptz not null default now(),
    primary key (principal, key)
);

-- attempt = the fence, only grows; tries = counted against retries; lost = with their worker; epoch = clears.
create table task_instance (
    dag_run_id bigint not null,
    task_index int not null,
    map_index int not null default -1,
    state "char" not null default 'n',
    attempt smallint not null default 0,
    tries smallint not null default 0,
    lost smallint not null default 0,
    epoch smallint not null default 0,
    pending smallint not null,                   -- upstream task instances not settled
    n_bad smallint not null default 0,           -- upstream task instances settled, and not success
    worker_id int,
    queued_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    reason text,                                 -- why it settled without running, or its failure's code
    primary key (dag_run_id, task_index, map_index),
    constraint task_instance_state_known check (state in ('n', 's', 'f', 'u', 'k')),
    constraint task_instance_pending_counted check (pending >= 0)
) partition by range (dag_run_id);

-- Only claimable or claimed tasks: the one table with real churn.
create table ready (
    seq bigint generated always as identity,
    pool_key int not null,
    priority int not null,
    dag_run_id bigint not null,
    task_index int not null,
    map_index int not null,
    attempt smallint not null,
    lost smallint not null default 0,
    worker_id int,
    queued_at timestamptz not null default now(),
    claimed_at timestamptz,
    primary key (dag_run_id, task_index, map_index)
) with (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0
);
create index ready_claim on ready (pool_key, priority, seq) where worker_id is null;

-- What may start later: retries. Never in ready before it is due.
create table timer (
    due_at timestamptz not null,
    dag_run_id bigint not null,
    task_index int not null,
    map_index int not null,
    attempt smallint not null,
    lost smallint not null default 0,
    kind "char" not null,                        -- r retry
    primary key (dag_run_id, task_index, map_index)
);
create index timer_due on timer (due_at);

-- Attempts that ended without success; a success is the task_instance row itself.
create table attempt (
    dag_run_id bigint not null,
    task_index int not null,
    map_index int not null,
    attempt smallint not null,
    state "char" not null,
    reason text not null,
    message text not null,
    worker_id int,
    queued_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz not null default now(),
    primary key (dag_run_id, task_index, map_index, attempt),
    constraint attempt_state_known check (state in ('f', 'k', 'l', 'h'))
) partition by range (dag_run_id);

create table output (
    dag_run_id bigint not null,
    task_index int not null,
    map_index int not null,
    value jsonb not null,
    primary key (dag_run_id, task_index, map_index)
) partition by range (dag_run_id);

-- lines: [[milliseconds since 1970, "t" task | "o" stdout | "e" stderr, text], …]
create table log_chunk (
    dag_run_id bigint not null,
    task_index int not null,
    map_index int not null,
    attempt smallint not null,
    first_line int not null,                     -- number of the chunk's first line, from 0
    line_count int not null,
    lines jsonb not null,
    primary key (dag_run_id, task_index, map_index, attempt, first_line)
) partition by range (dag_run_id);

create table worker (
    worker_id int generated always as identity primary key,
    name text not null,
    version text not null,
    slots int not null,
    started_at timestamptz not null default now(),
    lease_until timestamptz not null,
    stopped_at timestamptz,                      -- left cleanly
    lost_at timestamptz                          -- fell silent; everything it still sends is refused
) with (fillfactor = 50);
create index worker_alive on worker (lease_until) where lost_at is null and stopped_at is null;

-- Makes the partitions of all history tables for the weeks from `since` to `until`. Safe to repeat.
create function ensure_partitions(since timestamptz, until timestamptz) returns void
language plpgsql as $$
declare
    week timestamptz := date_trunc('week', since at time zone 'UTC') at time zone 'UTC';
    parent text;
    low bigint;
    high bigint;
begin
    perform pg_advisory_xact_lock(hashtext('dagctl ensure_partitions'));
    while week <= until loop
        low := (extract(epoch from week) * 1000)::bigint << 20;
        high := (extract(epoch from week + interval '7 days') * 1000)::bigint << 20;
        foreach parent in array array['dag_run', 'task_instance', 'attempt', 'output', 'log_chunk'] loop
            if to_regclass(format('%I', parent || to_char(week at time zone 'UTC', '_YYYYMMDD'))) is null then
                execute format(
                    'create table %I partition of %I for values from (%s) to (%s)%s',
                    parent || to_char(week at time zone 'UTC', '_YYYYMMDD'), parent, low, high,
                    case when parent in ('dag_run', 'task_instance') then ' with (fillfactor = 70)' else '' end
                );
            end if;
        end loop;
        week := week + interval '7 days';
    end loop;
end
$$;
select ensure_partitions(now(), now() + interval '28 days');

-- ---------------------------------------------------------------- the outside

-- The outbox: whatever leaves is a row, written in the transaction that caused it.
create table notice (
    notice_id bigint generated always as identity primary key,
    identity text not null constraint notice_identity_unique unique,   -- run, task, epoch, attempt, event, which callback
    dag_run_id bigint not null,
    payload jsonb not null,
    state "char" not null default 'p',
    sends smallint not null default 0,
    doubtful smallint not null default 0,        -- sends that may have arrived
    due_at timestamptz not null default now(),
    lease_until timestamptz,
    lease_no int not null default 0,             -- the sender's fence
    last_error text,
    created_at timestamptz not null default now(),
    settled_at timestamptz,
    constraint notice_state_known check (state in ('p', 's', 'u', 'd'))
);
create index notice_due on notice (due_at) where state = 'p';

-- ---------------------------------------------------------------- settings and people

create table variable (
    name text primary key,
    sealed bytea not null,                       -- XChaCha20-Poly1305, bound to kind, name and version
    version int not null,
    is_secret boolean not null,
    description text,
    updated_at timestamptz not null default now(),
    updated_by text
);

create table connection (
    conn_id text primary key,
    sealed bytea not null,
    version int not null,
    description text,
    updated_at timestamptz not null default now(),
    updated_by text
);

create table account (
    account_id int generated always as identity primary key,
    name text not null constraint account_name_unique unique,
    password_hash text,                          -- null: logs in by token only
    role text not null constraint account_role_known check (role in ('viewer', 'operator', 'admin')),
    disabled_at timestamptz,
    created_at timestamptz not null default now()
);

create table login_session (
    token_hash bytea primary key,                -- SHA-256 of a random 256-bit reference
    account_id int not null references account on delete cascade,
    created_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index login_session_account on login_session (account_id);

create table token (
    token_id int generated always as identity primary key,
    token_hash bytea not null constraint token_hash_unique unique,
    account_id int not null references account on delete cascade,
    name text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    last_used_at timestamptz
);

-- A one-time secret that lets its holder make the first account.
create table setup_secret (
    token_hash bytea primary key,
    expires_at timestamptz not null
);

create table login_failure (
    who text not null,                           -- account:NAME or address:IP
    at timestamptz not null default now()
);
create index login_failure_who on login_failure (who, at);

create table audit (
    audit_id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    who text not null,
    action text not null,
    object text not null,
    detail jsonb not null default '{}',
    request_id text,
    address text
);
