-- Counts anew, for every task of one run that has upstream tasks, how many of these have not settled, and how many
-- settled without success. The run's row is locked by the caller.
update task_instance t set pending = c.open, n_bad = c.bad
from (
    select e.child, count(*) filter (where p.state = 'n')::smallint as open,
        count(*) filter (where p.state not in ('n', 's'))::smallint as bad
    from dag_edge e join task_instance p on p.dag_run_id = $1 and p.task_index = e.parent and p.map_index = -1
    where e.dag_version_id = $2
    group by 1
) c
where t.dag_run_id = $1 and t.task_index = c.child and t.map_index = -1 and (t.pending, t.n_bad) is distinct from (c.open, c.bad)
