//! What makes the staging table like the live one: indexes, constraints, storage, policies, owner, grants, comments.
//!
//! The list is made twice, before the work and again under the publishing transaction's lock: where the two differ,
//! somebody changed the live table in between, and the build must not lose that.

use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::sql_text::literal;

use super::live::Live;
use super::staging::{Build, MAX_NAME, quoted, shortened};
use crate::sql::session::{Session, TextRow};

/// Everything that is carried over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CarryOver {
    /// In the order in which they run.
    steps: Vec<Step>,
    /// Indexes whose names are given back at the swap: the name on staging, the name on the live table.
    pub(crate) renamed: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    what: String,
    sql: String,
}

impl CarryOver {
    /// Reads the live table. Needs a transaction whose `search_path` is `pg_catalog`, for expressions in full.
    pub(crate) async fn plan(
        session: &mut Session,
        build: &Build,
        live: &Live,
        primary_key: &[String],
    ) -> Result<Self, Failure> {
        let mut plan = Self::default();
        let modern = session
            .text("select current_setting('server_version_num')::int >= 140000")
            .await?;
        let compression = if modern == "t" {
            "a.attcompression::text"
        } else {
            "''"
        };
        let ask = |query: &str| {
            query
                .replace("$live", &live.oid)
                .replace("$staging_text", &literal(&build.staging()))
                .replace("$staging_name", &literal(&build.staging_name))
                .replace("$compression", compression)
        };
        plan.add(session.query_again(&ask(COLUMNS)).await?)?;
        let indexes = session.query_again(&ask(INDEXES)).await?;
        plan.add_indexes(build, indexes, primary_key)?;
        plan.add(session.query_again(&ask(REST)).await?)?;
        plan.add(session.query_again(&ask(ACCESS)).await?)?;
        Ok(plan)
    }

    /// Makes the staging table so.
    pub(crate) async fn carry_out(&self, session: &mut Session) -> Result<(), Failure> {
        for step in &self.steps {
            session
                .execute(&step.sql)
                .await
                .map_err(|failure| Failure {
                    message: format!(
                        "cannot carry over {} of the live table: {}",
                        step.what, failure.message
                    ),
                    ..failure
                })?;
        }
        Ok(())
    }

    /// What there is, in words.
    pub(crate) fn words(&self) -> String {
        let mut counts: Vec<(&str, usize)> = vec![];
        for step in &self.steps {
            let kind = step.what.split(' ').next().unwrap_or_default();
            match counts.iter_mut().find(|(name, _)| *name == kind) {
                Some((_, count)) => *count += 1,
                None => counts.push((kind, 1)),
            }
        }
        let words: Vec<_> = counts
            .into_iter()
            .map(|(kind, count)| {
                if count == 1 {
                    kind.to_owned()
                } else {
                    format!("{kind} ({count})")
                }
            })
            .collect();
        words.join(", ")
    }

    fn add(&mut self, rows: Vec<TextRow>) -> Result<(), Failure> {
        for row in rows {
            let Ok([Some(what), Some(sql)]) = <[Option<String>; 2]>::try_from(row) else {
                return Err(unreadable("a property"));
            };
            self.steps.push(Step { what, sql });
        }
        Ok(())
    }

    fn add_indexes(
        &mut self,
        build: &Build,
        rows: Vec<TextRow>,
        primary_key: &[String],
    ) -> Result<(), Failure> {
        let mut has_key = false;
        for row in rows {
            let [
                Some(kind),
                Some(name),
                Some(definition),
                Some(head),
                Some(columns),
                comment,
                clustered,
            ] = &row[..]
            else {
                return Err(unreadable("an index"));
            };
            if kind == "p" && !primary_key.is_empty() && *columns != primary_key.join(",") {
                // The task says what the key is now.
                continue;
            }
            has_key |= kind == "p";
            let temporary = self.temporary(build);
            let staging = build.staging();
            let (what, sql) = if kind == "i" {
                let rest = definition
                    .strip_prefix(head.as_str())
                    .ok_or_else(|| unreadable(&format!("index `{name}` ({definition})")))?;
                let unique = if head.starts_with("CREATE UNIQUE") {
                    "unique "
                } else {
                    ""
                };
                let sql = format!(
                    "create {unique}index {} on {staging}{rest}",
                    quoted(&temporary)
                );
                (format!("index `{name}`"), sql)
            } else {
                let sql = format!(
                    "alter table {staging} add constraint {} {definition}",
                    quoted(&temporary)
                );
                (format!("constraint `{name}`"), sql)
            };
            self.steps.push(Step { what, sql });
            let index = build.in_schema(&temporary);
            if let Some(comment) = comment {
                let sql = format!("comment on index {index} is {}", literal(comment));
                self.steps.push(Step {
                    what: format!("comment of index `{name}`"),
                    sql,
                });
            }
            if clustered.as_deref() == Some("t") {
                let sql = format!("alter table {staging} cluster on {}", quoted(&temporary));
                self.steps.push(Step {
                    what: format!("clustering by `{name}`"),
                    sql,
                });
            }
            self.renamed.push((temporary, name.clone()));
        }
        if !has_key && !primary_key.is_empty() {
            self.add_key(build, primary_key);
        }
        Ok(())
    }

    /// Adds the primary key that the task asks for.
    fn add_key(&mut self, build: &Build, columns: &[String]) {
        let temporary = self.temporary(build);
        let columns: Vec<_> = columns.iter().map(|it| quoted(it)).collect();
        let sql = format!(
            "alter table {} add constraint {} primary key ({})",
            build.staging(),
            quoted(&temporary),
            columns.join(", ")
        );
        self.steps.push(Step {
            what: "key".to_owned(),
            sql,
        });
        let name = shortened(&build.name, "_pkey", MAX_NAME);
        self.renamed.push((temporary, name));
    }

    /// Only the primary key, for a table that has no live one to be like.
    pub(crate) fn first(build: &Build, primary_key: &[String]) -> Self {
        let mut plan = Self::default();
        if !primary_key.is_empty() {
            plan.add_key(build, primary_key);
        }
        plan
    }

    fn temporary(&self, build: &Build) -> String {
        format!("{}_i{}", build.staging_name, self.renamed.len() + 1)
    }
}

// Rather no build than one that loses something.
fn unreadable(what: &str) -> Failure {
    let message = format!("cannot read {what} of the live table, so it cannot be carried over");
    Failure::new(FailureKind::Internal, message)
}

// Columns are matched by name: the query may have dropped some and added others.
const COLUMNS: &str = "
select what, sql from (
    select a.*, a.attnum as place, l.what, l.sql from pg_catalog.pg_attribute a
    join pg_catalog.pg_type t on t.oid = a.atttypid
    cross join lateral (values
        (1, 'default of column ' || quote_ident(a.attname), (
            select format('alter table %s alter column %I set default %s', $staging_text, a.attname, pg_get_expr(d.adbin, d.adrelid))
            from pg_catalog.pg_attrdef d where d.adrelid = a.attrelid and d.adnum = a.attnum)),
        (2, 'not-null of column ' || quote_ident(a.attname), case when a.attnotnull then
            format('alter table %s alter column %I set not null', $staging_text, a.attname) end),
        (3, 'statistics target of column ' || quote_ident(a.attname), case when a.attstattarget >= 0 then
            format('alter table %s alter column %I set statistics %s', $staging_text, a.attname, a.attstattarget) end),
        (4, 'storage of column ' || quote_ident(a.attname), case when a.attstorage <> t.typstorage then
            format('alter table %s alter column %I set storage %s', $staging_text, a.attname,
                case a.attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end) end),
        (5, 'compression of column ' || quote_ident(a.attname), case when $compression <> '' then
            format('alter table %s alter column %I set compression %s', $staging_text, a.attname,
                case $compression when 'l' then 'lz4' else 'pglz' end) end),
        (6, 'options of column ' || quote_ident(a.attname),
            format('alter table %s alter column %I set (%s)', $staging_text, a.attname, array_to_string(a.attoptions, ', '))),
        (7, 'comment of column ' || quote_ident(a.attname),
            format('comment on column %s.%I is %L', $staging_text, a.attname, col_description(a.attrelid, a.attnum)))
    ) as l(step, what, sql)
    where a.attrelid = $live and a.attnum > 0 and not a.attisdropped
      and (l.step <> 6 or a.attoptions is not null)
      and (l.step <> 7 or col_description(a.attrelid, a.attnum) is not null)
      and exists (select from pg_catalog.pg_attribute s where s.attrelid = to_regclass($staging_text)
        and s.attname = a.attname and s.attnum > 0 and not s.attisdropped)
) steps where sql is not null order by place, what";

// kind, name, definition, the head that names table and index, key columns, comment, clustered
const INDEXES: &str = "
select coalesce(c.contype::text, 'i'), x.relname,
    coalesce(pg_get_constraintdef(c.oid), pg_get_indexdef(i.indexrelid)),
    format('CREATE %sINDEX %I ON %I.%I', case when i.indisunique then 'UNIQUE ' else '' end, x.relname, n.nspname, t.relname),
    coalesce((select string_agg(a.attname, ',' order by k.place) from unnest(i.indkey::int2[]) with ordinality as k(attnum, place)
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum), ''),
    obj_description(i.indexrelid, 'pg_class'), i.indisclustered
from pg_catalog.pg_index i
join pg_catalog.pg_class x on x.oid = i.indexrelid
join pg_catalog.pg_class t on t.oid = i.indrelid
join pg_catalog.pg_namespace n on n.oid = t.relnamespace
left join pg_catalog.pg_constraint c on c.conindid = i.indexrelid and c.conrelid = i.indrelid and c.contype in ('p', 'u', 'x')
where i.indrelid = $live and i.indisvalid
order by x.relname";

const REST: &str = "
with live as (select * from pg_catalog.pg_class where oid = $live)
select what, sql from (
    select 1 as place, 'constraint ' || quote_ident(conname) as what,
        format('alter table %s add constraint %I %s', $staging_text, conname, pg_get_constraintdef(oid)) as sql
    from pg_catalog.pg_constraint where conrelid = $live and contype in ('c', 'f') and conislocal
    union all
    select 2, 'comment of constraint ' || quote_ident(conname),
        format('comment on constraint %I on %s is %L', conname, $staging_text, obj_description(oid, 'pg_constraint'))
    from pg_catalog.pg_constraint where conrelid = $live and contype in ('c', 'f') and obj_description(oid, 'pg_constraint') is not null
    union all
    select 3, 'storage parameters', format('alter table %s set (%s)', $staging_text, array_to_string(reloptions, ', '))
    from live where reloptions is not null
    union all
    select 4, 'storage parameters of its long values', format('alter table %s set (%s)', $staging_text,
        (select string_agg('toast.' || o, ', ') from unnest(t.reloptions) as o))
    from live join pg_catalog.pg_class t on t.oid = live.reltoastrelid where t.reloptions is not null
      -- Without a column of long values, staging has nowhere to keep them.
      and exists (select from pg_catalog.pg_class s where s.oid = to_regclass($staging_text) and s.reltoastrelid <> 0)
    union all
    select 5, 'tablespace', format('alter table %s set tablespace %I', $staging_text, spcname)
    from live join pg_catalog.pg_tablespace s on s.oid = live.reltablespace
    union all
    select 6, 'being unlogged', format('alter table %s set unlogged', $staging_text) from live where relpersistence = 'u'
    union all
    select 7, 'replica identity', format('alter table %s replica identity %s', $staging_text,
        case relreplident when 'f' then 'full' else 'nothing' end)
    from live where relreplident in ('f', 'n')
    union all
    select 8, 'comment', format('comment on table %s is %L', $staging_text, obj_description($live, 'pg_class'))
    from live where obj_description($live, 'pg_class') is not null
    union all
    select 9, 'policy ' || quote_ident(polname), format('create policy %I on %s as %s for %s to %s%s%s',
        polname, $staging_text, case when polpermissive then 'permissive' else 'restrictive' end,
        case polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
        (select string_agg(case r when 0 then 'public' else quote_ident(pg_get_userbyid(r)) end, ', ') from unnest(polroles) as r),
        ' using (' || pg_get_expr(polqual, polrelid) || ')', ' with check (' || pg_get_expr(polwithcheck, polrelid) || ')')
    from pg_catalog.pg_policy where polrelid = $live
    union all
    select 10, 'row security', format('alter table %s enable row level security', $staging_text) from live where relrowsecurity
    union all
    select 11, 'row security of its owner', format('alter table %s force row level security', $staging_text) from live where relforcerowsecurity
) steps order by place, what";

// After the owner, who is given all rights, come the rights of the others. Default privileges may have
// given rights on staging that nobody has on the live table, so it starts from none. Where neither table was ever given
// any, both are their owner's alone.
const ACCESS: &str = "
with live as (select * from pg_catalog.pg_class where oid = $live),
is_given as (
    select from live left join pg_catalog.pg_class s on s.oid = to_regclass($staging_text)
    where live.relacl is not null or s.relacl is not null
),
grants as (
    select coalesce(nullif(quote_ident(pg_get_userbyid(nullif(a.grantee, 0))), ''), 'public') as grantee,
        a.privilege_type, a.is_grantable, null::name as column
    from live, is_given, aclexplode(coalesce(live.relacl, acldefault('r', live.relowner))) a
    union all
    select coalesce(nullif(quote_ident(pg_get_userbyid(nullif(a.grantee, 0))), ''), 'public'),
        a.privilege_type, a.is_grantable, c.attname
    from pg_catalog.pg_attribute c, aclexplode(c.attacl) a
    where c.attrelid = $live and c.attnum > 0 and not c.attisdropped
      and exists (select from pg_catalog.pg_attribute s where s.attrelid = to_regclass($staging_text)
        and s.attname = c.attname and s.attnum > 0 and not s.attisdropped)
)
select what, sql from (
    select 1 as place, 'owner' as what, format('alter table %s owner to %I', $staging_text, pg_get_userbyid(relowner)) as sql from live
    union all
    select 2, 'grants', format('do $do$ declare r text; begin for r in
        select distinct coalesce(nullif(quote_ident(pg_get_userbyid(nullif(a.grantee, 0))), ''''), ''public'')
        from pg_catalog.pg_class c, aclexplode(c.relacl) a where c.oid = to_regclass(%L)
        loop execute format(''revoke all on %%s from %%s'', %L, r); end loop; end $do$', $staging_text, $staging_text) from is_given
    union all
    select 3, 'grants of ' || grantee, format('grant %s%s on %s to %s%s', privilege_type,
        coalesce(' (' || quote_ident(\"column\") || ')', ''), $staging_text, grantee, case when is_grantable then ' with grant option' else '' end)
    from grants
) steps order by place, what, sql";
