-- Makes a hundred runs at once, with all their tasks, and queues those that wait for nothing.
with r as (
    insert into make.run (run_id, state, remaining)
    select nextval('make.s'), 'r', (select count(*) from make.template) from generate_series(1, 100)
    returning run_id
),
t as (
    insert into make.ti (run_id, idx, pending)
    select r.run_id, t.idx, t.pending from r, make.template t
    returning run_id, idx, pending
)
insert into make.ready (pool, prio, run_id, idx, attempt)
select 1, 0, run_id, idx, 1 from t where pending = 0
