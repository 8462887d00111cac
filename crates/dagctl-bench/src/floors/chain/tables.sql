-- The smallest tables that hold a chain and a queue.
drop schema if exists hop cascade;
create schema hop;
create table hop.ti (
    run_id bigint not null,
    idx int not null,
    pending int not null,
    attempt smallint not null default 0,
    state "char" not null default 'n',
    worker_id int,
    queued_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    primary key (run_id, idx)
) with (fillfactor = 60);
create table hop.ready (
    seq bigint generated always as identity,
    pool int not null,
    prio int not null,
    run_id bigint not null,
    idx int not null,
    attempt smallint not null,
    worker_id int,
    claimed_at timestamptz,
    queued_at timestamptz not null default now(),
    primary key (run_id, idx)
) with (fillfactor = 70);
create index ready_claim on hop.ready (pool, prio, seq) where worker_id is null;
