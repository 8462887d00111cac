-- Fills the past: finished runs of the DAGs that are there, `runs` of them, numbered from `first`, evenly over the last
-- weeks and week by week. The first DAG by name gets a fifth of them, the next nine two fifths, the others share the
-- rest. One run in 25 failed at 60 % of its tasks, one in 50 was tried again there; one in ten handed something on; the
-- first task and a failed one wrote a log.
create or replace function pg_temp.fill_history(first int, runs int, weeks int) returns void
language plpgsql as $$
declare
    since timestamptz := date_trunc('week', now()) - make_interval(weeks => weeks - 1);
    week record;
begin
    perform ensure_partitions(since, now());

    create temporary table past as
    with member as (
        select dag_key, active_version_id as dag_version_id, task_count, row_number() over (order by dag_id) - 1 as place,
            count(*) over () as members
        from dag where active_version_id is not null and task_count <= 1000
    ), made as (
        select n, since + (now() - since) * (n - first + 1) / runs as at,
            case when n % 10 < 2 then 0 when n % 10 < 6 then 1 + n / 10 % 9 else 10 + n / 10 * 4 + n % 10 - 6 end as pick
        from generate_series(first, first + runs - 1) n
    )
    select made.at, (extract(epoch from made.at) * 1000)::bigint << 20 | n % 1048576 as dag_run_id,
        'scheduled__' || to_char(made.at, 'YYYY-MM-DD"T"HH24:MI:SS.MS') || '_' || n as run_id,
        m.dag_key, m.dag_version_id, n, m.task_count * 6 / 10 as turn, n % 25 = 6 as is_failed, n % 50 = 20 as is_retried
    from made join member m on m.place = case
        when pick < 10 then pick % members
        else least(10, members - 1) + (pick - 10) % greatest(members - 10, 1)
    end
    order by made.at;
    create index past_at on past (at);
    analyze past;

    insert into run_key (dag_key, run_id, kind, logical_at, dag_run_id)
    select dag_key, run_id, 's', at, dag_run_id from past order by dag_run_id;

    for week in
        select at as low, at + interval '7 days' as high from generate_series(since, now(), interval '7 days') at
    loop
        insert into dag_run (dag_run_id, dag_key, dag_version_id, run_id, run_type, state, logical_at, interval_start,
            interval_end, params, queued_at, started_at, finished_at)
        select dag_run_id, dag_key, dag_version_id, run_id, 's', case when is_failed then 'f'::"char" else 's' end, at,
            at - interval '1 day', at, '{}', at, at + interval '5 ms', at + interval '40 s'
        from past where at >= week.low and at < week.high order by dag_run_id;

        insert into task_instance (dag_run_id, task_index, state, attempt, tries, pending, queued_at, started_at,
            finished_at, reason)
        select dag_run_id, task_index,
            case when not is_failed or task_index < turn then 's'::"char" when task_index = turn then 'f' else 'u' end,
            case when is_failed and task_index > turn then 0 when is_retried and task_index = turn then 2 else 1 end,
            case when is_failed and task_index > turn then 0 when is_retried and task_index = turn then 2 else 1 end,
            0,
            case when not is_failed or task_index <= turn then at + task_index * interval '10 ms' end,
            case when not is_failed or task_index <= turn then at + task_index * interval '10 ms' + interval '3 ms' end,
            at + task_index * interval '10 ms' + interval '40 ms',
            case when is_failed and task_index = turn then 'exit_code' end
        from past join dag_task using (dag_version_id)
        where at >= week.low and at < week.high order by dag_run_id, task_index;

        insert into attempt (dag_run_id, task_index, map_index, attempt, state, reason, message, queued_at, started_at,
            finished_at)
        select dag_run_id, turn, -1, 1, 'f', 'exit_code', 'the command ended with status 1', at, at, at
        from past where at >= week.low and at < week.high and (is_failed or is_retried) order by dag_run_id;

        insert into output (dag_run_id, task_index, map_index, value)
        select dag_run_id, 0, -1, jsonb_build_object('rows', n)
        from past where at >= week.low and at < week.high and n % 10 = 0 order by dag_run_id;

        insert into log_chunk (dag_run_id, task_index, map_index, attempt, first_line, line_count, lines)
        select dag_run_id, task_index, -1, 1, 0, 20, lines
        from past
        cross join lateral unnest(case when is_failed then array[0, turn] else array[0] end) task_index
        cross join (
            select jsonb_agg(jsonb_build_array(1700000000000 + line, 'o', 'line ' || line || ' of what it wrote')) as lines
            from generate_series(1, 20) line
        ) text
        where at >= week.low and at < week.high order by dag_run_id, task_index;
    end loop;

    update dag set last_dag_run_id = run.dag_run_id, last_state = run.state, last_at = run.at
    from (
        select distinct on (dag_key) dag_key, dag_run_id, at, case when is_failed then 'f'::"char" else 's' end as state
        from past order by dag_key, dag_run_id desc
    ) run
    where dag.dag_key = run.dag_key;
    drop table past;
end
$$
