-- Mapped tasks. A mapped task's row with map_index -1 stands for the whole task: it is queued to find out its items, and
-- settles with the last of its instances, the rows with map_index 0 and above.

alter table task_instance add column open_instances smallint;   -- instances not settled; null: not expanded

-- What `expand` made of its lists: the names and values of one instance.
create table map_item (
    dag_run_id bigint not null,
    task_index int not null,
    map_index int not null,
    value jsonb not null,
    primary key (dag_run_id, task_index, map_index)
) partition by range (dag_run_id);

-- A run with a limit on its tasks: more of them than `max_active_tasks`, or a number that nobody knows beforehand.
alter table dag_version add column is_mapped boolean not null default false;
alter table dag_version add column is_limited boolean
    generated always as (task_count > max_active_tasks or is_mapped) stored;

alter table dag_task add column max_tis_per_dagrun int;         -- instances queued or running at once; null: no limit

-- Makes the partitions of all history tables for the weeks from `since` to `until`. Safe to repeat.
create or replace function ensure_partitions(since timestamptz, until timestamptz) returns void
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
        foreach parent in array array['task_instance', 'attempt', 'output', 'log_chunk', 'map_item'] loop
            if to_regclass(format('%I', parent || to_char(week at time zone 'UTC', '_YYYYMMDD'))) is null then
                execute format(
                    'create table %I partition of %I for values from (%s) to (%s)%s',
                    parent || to_char(week at time zone 'UTC', '_YYYYMMDD'), parent, low, high,
                    case when parent = 'task_instance' then ' with (fillfactor = 70)' else '' end
                );
            end if;
        end loop;
        week := week + interval '7 days';
    end loop;
end
$$;
-- Runs of all weeks may go on.
select ensure_partitions(
    coalesce((select to_timestamp((min(dag_run_id) >> 20) / 1000.0) from dag_run), now()), now() + interval '28 days'
);
