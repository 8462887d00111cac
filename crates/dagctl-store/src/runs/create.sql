-- Makes queued runs. A run whose idempotency key or name is taken is not made: no `queued_at` says so.
--
-- The places of their DAGs are locked before anything is written, as in `lock_places`: a statement that follows counts
-- below the lock. No idempotency key comes twice. Keys are taken in order, so that two callers never wait for each other.
with locked as materialized (
    select count(pg_advisory_xact_lock(hashtext('dagctl max_active_runs'), dag_key)) as dags
    from (select distinct dag_key from unnest($2::int[]) as it (dag_key) order by dag_key) it
), asked as materialized (
    select clock.stamp + n as dag_run_id, it.*
    -- Time first, so that keys sort by creation and a partition is a stretch of time; the database's clock.
    from (
            select (extract(epoch from clock_timestamp()) * 1000)::bigint << 20 | $1::bigint as stamp
            from locked where dags > 0
        ) clock,
        unnest($2::int[], $3::int[], $4::text[], $5::"char"[], $6::"char"[], $7::timestamptz[], $8::timestamptz[],
            $9::timestamptz[], $10::jsonb[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[],
            $16::int[])
            with ordinality as it (dag_key, dag_version_id, run_id, run_type, kind, logical_at, interval_start,
            interval_end, params, note, triggered_by, principal, key, body_hash, backfill_id, n)
), keys as (
    insert into trigger_key (principal, key, body_hash, dag_run_id)
    select principal, key, body_hash, dag_run_id from asked where key is not null
    order by principal, key
    on conflict do nothing
    returning dag_run_id
), names as (
    insert into run_key (dag_key, run_id, kind, logical_at, dag_run_id)
    select dag_key, run_id, kind, logical_at, dag_run_id from asked
    where key is null or dag_run_id in (select dag_run_id from keys)
    order by dag_run_id
    on conflict do nothing
    returning dag_run_id
), made as (
    insert into dag_run (dag_run_id, dag_key, dag_version_id, run_id, run_type, state, logical_at, interval_start,
        interval_end, params, note, triggered_by)
    select dag_run_id, dag_key, dag_version_id, run_id, run_type, 'q', logical_at, interval_start, interval_end, params,
        note, triggered_by
    from asked join names using (dag_run_id)
    order by dag_run_id
    returning dag_run_id, dag_key, run_type, queued_at
), live as (
    -- A pause stops the schedule alone.
    insert into live_run (dag_run_id, dag_key, is_running, is_asked_for, backfill_id)
    select made.dag_run_id, made.dag_key, false, made.run_type <> 's', asked.backfill_id
    from made join asked using (dag_run_id)
), audited as (
    insert into audit (who, action, object, detail)
    select a.triggered_by, 'run.trigger', d.dag_id, jsonb_build_object('run_id', a.run_id)
    from asked a join names using (dag_run_id) join dag d using (dag_key)
    where a.triggered_by is not null and a.run_type = 'm'
    order by a.dag_run_id
)
select a.dag_run_id as "dag_run_id!", made.queued_at as "queued_at?",
    a.key is not null and a.dag_run_id not in (select dag_run_id from keys) as "is_key_taken!"
from asked a left join made using (dag_run_id)
order by a.n
