-- One message about many tasks: a notice is what is sent, its items are what it tells. A notice bears the identity of
-- its first item.

alter table notice add column thread text;       -- what may join it: the event and the notifier; null: nothing
alter table notice add column destination text not null default '';   -- who gets it, whatever it says
create index notice_by_run on notice (dag_run_id);
-- Those that somebody may have to look after.
create index notice_undelivered on notice (notice_id) where state in ('p', 'u', 'd');

create table notice_item (
    item_id bigint generated always as identity primary key,
    identity text not null constraint notice_item_identity_unique unique,   -- told once, in whichever notice
    notice_id bigint not null references notice on delete cascade,
    news jsonb not null
);
create index notice_item_by_notice on notice_item (notice_id, item_id);
insert into notice_item (identity, notice_id, news)
select identity, notice_id, '{}' from notice order by notice_id;
