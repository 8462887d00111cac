-- Tasks that wait without a worker. Between two looks, a sensor is a row in `timer` and nothing else.
--
-- Letters: timer.kind       r retry, p next poke of a sensor, w waits for the end of a run, a asks a person
--          approval.answer  a approve, r reject

alter table task_instance add column first_poke_at timestamptz;   -- a sensor's: when its first look began
alter table task_instance add column pokes int;                   -- a sensor's: looks that found nothing

-- The run whose end makes the task go on at once.
alter table timer add column awaits bigint;
create index timer_awaits on timer (awaits) where awaits is not null;
-- Questions are listed; they are few among many timers.
create index timer_asks on timer (dag_run_id) where kind = 'a';

-- Somebody waits for the end of the run: then a look ends it.
alter table dag_run add column is_awaited boolean not null default false;

-- What a sensor asks for by logical date; scheduled runs have an index of their own.
create index run_key_manual_logical on run_key (dag_key, logical_at) where kind = 'm';

-- Questions to people, and what they said. One that nobody can answer any more has no row in `timer`.
create table approval (
    dag_run_id bigint not null,
    task_index int not null,
    map_index int not null,
    epoch smallint not null,
    subject text not null,
    body text not null,
    asked_at timestamptz not null default clock_timestamp(),
    deadline timestamptz,                        -- null: it can wait for ever
    answer "char",
    answered_at timestamptz,
    answered_by text,                            -- null beside an answer: nobody answered in time
    reason text,
    primary key (dag_run_id, task_index, map_index, epoch),
    constraint approval_answer_known check (answer in ('a', 'r')),
    constraint approval_answered check ((answer is null) = (answered_at is null))
);

-- Which task made a run. That it makes no second one is what `trigger_key` is for.
create table triggered_run (
    child_run_id bigint not null primary key,
    dag_run_id bigint not null,
    task_index int not null,
    map_index int not null
);
create index triggered_run_parent on triggered_run (dag_run_id, task_index, map_index);
