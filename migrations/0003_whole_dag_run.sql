-- Runs leave the partitions. One row a run is little beside its tasks, and "the newest runs of a DAG" would ask every
-- week that ever was: at 104 weeks planning alone took 7 ms. What a run is made of stays partitioned.
create table dag_run_whole (like dag_run including defaults including constraints)
with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
insert into dag_run_whole select * from dag_run order by dag_run_id;
drop table dag_run;
alter table dag_run_whole rename to dag_run;
alter table dag_run add constraint dag_run_pkey primary key (dag_run_id);
create index dag_run_by_dag on dag_run (dag_key, dag_run_id desc) include (state);
create index dag_run_failed on dag_run (dag_key, dag_run_id desc) where state = 'f';
analyze dag_run;

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
        foreach parent in array array['task_instance', 'attempt', 'output', 'log_chunk'] loop
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

-- The list asks for the problems of each DAG it shows, by name or by file.
create index problem_dag on problem (dag_id);
