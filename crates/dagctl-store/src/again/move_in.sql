-- Puts what one run is made of into its new places.
with instances as (
    update task_instance set task_index = -1 - task_index where dag_run_id = $1 and task_index < 0
), attempts as (
    update attempt set task_index = -1 - task_index where dag_run_id = $1 and task_index < 0
), outputs as (
    update output set task_index = -1 - task_index where dag_run_id = $1 and task_index < 0
), items as (
    update map_item set task_index = -1 - task_index where dag_run_id = $1 and task_index < 0
)
update log_chunk set task_index = -1 - task_index where dag_run_id = $1 and task_index < 0
