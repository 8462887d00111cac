-- Forgets what one run knows of tasks that its new version lacks.
with instances as (
    delete from task_instance where dag_run_id = $1 and task_index = any($2)
), attempts as (
    delete from attempt where dag_run_id = $1 and task_index = any($2)
), outputs as (
    delete from output where dag_run_id = $1 and task_index = any($2)
), items as (
    delete from map_item where dag_run_id = $1 and task_index = any($2)
)
delete from log_chunk where dag_run_id = $1 and task_index = any($2)
