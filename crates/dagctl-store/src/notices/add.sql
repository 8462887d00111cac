-- Writes what a look at one run tells: each item once, whoever asks again. Items of one thread join the message of that
-- thread which nobody has begun to send; else they begin one, which waits for more: $7 seconds the first of its thread
-- in this run, $8 seconds the others. The run's row is locked by the caller, so no two looks make the same thread.
-- A sender that is about to take a message has locked it: it is waited for, and then no longer joined.
with asked as (
    select *, coalesce(thread, identity) as message
    from unnest($2::text[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[]) with ordinality
        as it (identity, thread, destination, payload, news, place)
), fresh as (
    select * from asked a where not exists (select from notice_item i where i.identity = a.identity)
), open as materialized (
    select notice_id, thread from notice
    where dag_run_id = $1 and state = 'p' and lease_until is null and doubtful = 0
        and thread = any (array(select thread from fresh where thread is not null))
    for update
), joined as (
    select thread, max(notice_id) as notice_id from open group by thread
), begun as (
    select distinct on (message) message, identity, thread, destination, payload, place from fresh f
    where not exists (select from joined j where j.thread = f.thread)
    order by message, place
), numbered as (
    insert into notice (identity, dag_run_id, thread, destination, payload, due_at)
    select identity, $1, b.thread, b.destination, b.payload,
        now() + make_interval(secs => case
            when b.thread is null then 0.0::float8
            when exists (select from notice n where n.dag_run_id = $1 and n.thread = b.thread) then $8::float8
            else $7::float8
        end)
    from begun b
    order by b.place
    returning notice_id, identity
)
insert into notice_item (identity, notice_id, news)
select f.identity, coalesce(j.notice_id, n.notice_id), f.news
from fresh f
left join joined j using (thread)
left join begun b using (message)
left join numbered n on n.identity = b.identity
order by f.place
on conflict (identity) do nothing
