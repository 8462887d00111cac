-- The chunks of an attempt's log from the one with line $5 on, about $6 lines of them.
select first_line, lines
from (
    select first_line, lines, sum(line_count) over (order by first_line) - line_count as before
    from (
        select first_line, lines, line_count
        from log_chunk
        where dag_run_id = $1 and task_index = $2 and map_index = $3 and attempt = $4
            and first_line >= coalesce(
                (
                    select max(first_line) from log_chunk
                    where dag_run_id = $1 and task_index = $2 and map_index = $3 and attempt = $4
                        and first_line <= $5::bigint
                ),
                0
            )
            and first_line + line_count > $5
        order by first_line
        -- No chunk is empty.
        limit $6
    ) near
) chunk
where before < $6
order by first_line
