-- Whether the places of a run's tasks are counted is for the width of the DAG to say, not for the number of its tasks: of tasks
-- in a row one is under way at a time. Versions that are there keep what was said of them.
alter table dag_version alter column is_limited drop expression;
alter table dag_version alter column is_limited set default false;

-- Tasks of the run went again, or a person counted some as settled: others than the DAG's shape says may be under way at once.
alter table dag_run add column went_again boolean not null default false;
