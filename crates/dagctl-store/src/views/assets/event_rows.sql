-- The newest events of a table, those that a run was made for, or those that a DAG has not run for.
select e.asset_event_id, e.name, e.conn_id, e.created_at, d.dag_id, r.run_id, k.task_id,
    array(
        select cd.dag_id || '/' || c.run_id
        from run_asset_event x join dag_run c on c.dag_run_id = x.dag_run_id join dag cd on cd.dag_key = c.dag_key
        where x.asset_event_id = e.asset_event_id
        order by 1
    ) as "runs!"
from asset_event e
join dag_run r on r.dag_run_id = e.dag_run_id
join dag d on d.dag_key = r.dag_key
join dag_task k on k.dag_version_id = r.dag_version_id and k.task_index = e.task_index
where ($1::text is null or e.name = $1)
    and ($2::bigint is null or e.asset_event_id in (
        select asset_event_id from run_asset_event where dag_run_id = $2
    ))
    and ($3::int is null or e.asset_event_id in (select asset_event_id from asset_news where dag_key = $3))
order by e.asset_event_id desc
limit $4
