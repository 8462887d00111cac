-- Assets: tables that tasks write, and DAGs that run on news of them.

-- What versions say of tables; names as `schema.table`. Read for active versions only.
create table asset_use (
    dag_version_id int not null references dag_version,
    kind "char" not null,                        -- w a task writes it, r a task reads it, s the schedule waits for it
    place int not null,                          -- the task's index; the asset's place in the schedule
    name text not null,
    conn_id text,                                -- null: on any connection, or nobody knows on which
    constraint asset_use_kind_known check (kind in ('w', 'r', 's'))
);
create unique index asset_use_identity on asset_use (dag_version_id, kind, place, name, coalesce(conn_id, ''));
create index asset_use_name on asset_use (name, kind);

-- A task that succeeded wrote a table: recorded in the transaction that settled it.
create table asset_event (
    asset_event_id bigint generated always as identity primary key,
    name text not null,
    conn_id text,
    dag_run_id bigint not null,
    task_index int not null,
    map_index int not null,
    attempt smallint not null,
    is_told boolean not null default false,      -- whether the DAGs that wait for it know
    created_at timestamptz not null default clock_timestamp()
);
create unique index asset_event_identity
    on asset_event (dag_run_id, task_index, map_index, attempt, name, coalesce(conn_id, ''));
create index asset_event_name on asset_event (name, asset_event_id desc);
create index asset_event_untold on asset_event (asset_event_id) where not is_told;

-- What a DAG was told and has not run for. Its rows change below the lock of its DAG.
create table asset_news (
    dag_key int not null references dag,
    name text not null,
    asset_event_id bigint not null references asset_event,
    conn_id text,
    primary key (dag_key, name, asset_event_id)
);

-- The events that a run was made for.
create table run_asset_event (
    dag_run_id bigint not null,
    asset_event_id bigint not null references asset_event,
    primary key (dag_run_id, asset_event_id)
);
create index run_asset_event_by_event on run_asset_event (asset_event_id);
