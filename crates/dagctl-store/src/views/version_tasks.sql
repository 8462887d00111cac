-- The first tasks of a version, upstream first, each with the places of those it waits for.
select
    t.task_index, t.task_id, t.operator, p.name as pool,
    array(
        select e.parent from dag_edge e
        where e.dag_version_id = t.dag_version_id and e.child = t.task_index
        order by e.parent
    ) as "upstream!"
from dag_task t
join pool p using (pool_key)
where t.dag_version_id = $1
order by t.task_index
limit $2
