-- Tables that active versions name, or one of them, with who writes and reads them and their newest event.
with used as materialized (
    select u.name, u.conn_id, u.kind, d.dag_id, k.task_id
    from asset_use u
    join dag d on d.active_version_id = u.dag_version_id and d.missing_since is null
    left join dag_task k on u.kind <> 's' and k.dag_version_id = u.dag_version_id and k.task_index = u.place
    where $1::text is null or u.name = $1
)
select n.name as "name!",
    array(select distinct conn_id from used u where u.name = n.name and conn_id is not null order by 1) as "conn_ids!",
    array(
        select distinct dag_id || '.' || task_id from used u where u.name = n.name and kind = 'w' order by 1
    ) as "writers!",
    array(
        select distinct dag_id || '.' || task_id from used u where u.name = n.name and kind = 'r' order by 1
    ) as "readers!",
    array(select distinct dag_id from used u where u.name = n.name and kind = 's' order by 1) as "schedules!",
    e.created_at as "last_event_at?"
from (select distinct name from used where $2::text is null or name > $2 order by name limit $3) n
left join lateral (
    select created_at from asset_event e where e.name = n.name order by asset_event_id desc limit 1
) e on true
order by n.name
