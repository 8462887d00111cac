-- Limits on single tasks, and an order of claiming in which nobody waits for ever.

alter table dag_task add column pool_slots int not null default 1;
-- What the task weighs by itself; `priority` is by its `weight_rule`. Both are negative weights: the smallest comes first.
alter table dag_task add column own_priority int not null default -1;
alter table dag_task add column max_tis_per_dag int;            -- instances queued or running at once in all runs; null: no limit
create index dag_task_across_runs on dag_task (dag_version_id, task_index) where max_tis_per_dag is not null;

alter table dag_version add column limits_tasks boolean not null default false;   -- one of its tasks has max_tis_per_dag
alter table dag_version drop column is_limited;
alter table dag_version add column is_limited boolean
    generated always as (task_count > max_active_tasks or is_mapped or limits_tasks) stored;

-- The smallest urgency is claimed first: ten minutes of waiting count as one point of weight. It is worked out when a task
-- is queued and never again: who waits is overtaken by nobody who comes later by more than the weight between them.
drop index ready_claim;
alter table ready add column pool_slots int not null default 1;
alter table ready add column own_priority int not null default -1;
alter table ready add column urgency bigint not null generated always as (
    priority::bigint * 600 + date_part('epoch', queued_at - timestamptz '1970-01-01 00:00:00+00')::bigint
) stored;
create index ready_claim on ready (pool_key, queue_key, urgency, seq) where worker_id is null;
