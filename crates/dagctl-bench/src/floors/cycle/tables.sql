-- The smallest tables that hold runs, tasks and a queue: 10 layers of 10 tasks, 135 edges, no index but the keys and the queue's.
create schema cycle;
create table cycle.edge (version int not null, parent int not null, child int not null, primary key (version, parent, child));
insert into cycle.edge select 1, l * 10 + p, (l + 1) * 10 + p from generate_series(0, 8) l, generate_series(0, 9) p;
insert into cycle.edge
    select 1, l * 10 + p, (l + 1) * 10 + (p + 1) % 10 from generate_series(0, 8) l, generate_series(0, 9, 2) p;
create table cycle.task (version int not null, idx int not null, pending int not null, primary key (version, idx));
insert into cycle.task
    select 1, i, coalesce(n, 0)
    from generate_series(0, 99) i
    left join (select child, count(*)::int as n from cycle.edge group by child) e on e.child = i;
create table cycle.run (
    run_id bigint primary key,
    version int not null,
    state "char" not null,
    remaining int not null
) with (fillfactor = 70);
create table cycle.ti (
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
create table cycle.ready (
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
) with (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0
);
create index ready_claim on cycle.ready (pool, prio, seq) where worker_id is null;
analyze cycle.edge;
analyze cycle.task;

create function cycle.fill(runs int) returns void language sql as $$
    truncate cycle.run, cycle.ti, cycle.ready;
    insert into cycle.run select r, 1, 'r', 100 from generate_series(1, runs) r;
    insert into cycle.ti (run_id, idx, pending)
        select r, t.idx, t.pending from generate_series(1, runs) r, cycle.task t order by r, t.idx;
    insert into cycle.ready (pool, prio, run_id, idx, attempt)
        select 1, 0, r, t.idx, 1 from generate_series(1, runs) r, cycle.task t where t.pending = 0 order by r, t.idx;
$$;
