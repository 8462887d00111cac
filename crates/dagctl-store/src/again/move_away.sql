-- Gives what one run is made of new places, below zero for now.
with place as (
    select old, -1 - new as new from unnest($2::int[], $3::int[]) as it (old, new)
), instances as (
    update task_instance t set task_index = p.new from place p where t.dag_run_id = $1 and t.task_index = p.old
), attempts as (
    update attempt t set task_index = p.new from place p where t.dag_run_id = $1 and t.task_index = p.old
), outputs as (
    update output t set task_index = p.new from place p where t.dag_run_id = $1 and t.task_index = p.old
), items as (
    update map_item t set task_index = p.new from place p where t.dag_run_id = $1 and t.task_index = p.old
)
update log_chunk t set task_index = p.new from place p where t.dag_run_id = $1 and t.task_index = p.old
