-- A small analytics warehouse: three raw tables with the same rows on every machine, and an empty schema
-- for the summary tables. Wherever chance would choose, an md5 hash of the row's number does.
create schema raw_data;
create schema analytics;

-- Who opened which session through which channel: 101,520 rows. The audience grows over the 214 days, so
-- early sessions belong to few users.
create table raw_data.user_session_channel (
    userid integer not null,
    sessionid varchar(32) primary key,
    channel varchar(32) not null
);
insert into raw_data.user_session_channel (userid, sessionid, channel)
select
    1 + ('x' || left(md5('user of ' || n), 7))::bit(28)::integer % (281 + second * 668 / 18489600)::integer,
    md5('session ' || n),
    case ('x' || left(md5('channel of ' || n), 7))::bit(28)::integer % 6
        when 0 then 'Facebook'
        when 1 then 'Google'
        when 2 then 'Instagram'
        when 3 then 'Naver'
        when 4 then 'Organic'
        else 'Youtube'
    end
from generate_series(1, 101520) as n, lateral (select n::bigint * 86413 % 18489600 as second) as start
order by n;

-- When each session began, from 2019-05-01 to 2019-11-30: 100,474 rows. Every 97th session was never
-- stamped, so that an outer join differs from an inner one.
create table raw_data.session_timestamp (
    sessionid varchar(32) primary key,
    ts timestamp not null
);
insert into raw_data.session_timestamp (sessionid, ts)
select
    md5('session ' || n),
    timestamp '2019-05-01' + make_interval(secs => n::bigint * 86413 % 18489600)
from generate_series(1, 101520) as n
where n % 97 <> 0
order by n;

-- Answers to a survey, from 0 to 10: 150,000 rows. Its time is text, as in many a source.
create table raw_data.nps (
    id integer primary key,
    created_at varchar(19) not null,
    score smallint not null check (score between 0 and 10)
);
insert into raw_data.nps (id, created_at, score)
select
    n,
    to_char(
        timestamp '2019-01-01' + make_interval(secs => n::bigint * 7207 % 31536000),
        'YYYY-MM-DD HH24:MI:SS'
    ),
    ('x' || left(md5('score ' || n), 7))::bit(28)::integer % 11
from generate_series(1, 150000) as n
order by n;

-- Redshift rounds a double precision to digits, PostgreSQL only a numeric: with this, SQL written for
-- Redshift runs unchanged.
create function public.round(double precision, integer) returns double precision
language sql immutable strict parallel safe
return pg_catalog.round($1::numeric, $2)::double precision;

analyze;
