-- The narrowest rows that hold a run and its tasks, and the template they are made from.
drop schema if exists make cascade;
create schema make;
create sequence make.s;
create table make.template (idx int primary key, pending int not null);
create table make.run (
    run_id bigint primary key,
    state "char" not null,
    remaining int not null,
    queued_at timestamptz not null default now()
) with (fillfactor = 70);
create table make.ti (
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
create table make.ready (
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
create index ready_claim on make.ready (pool, prio, seq) where worker_id is null;
