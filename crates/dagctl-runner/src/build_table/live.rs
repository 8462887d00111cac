//! What the live table is, who depends on it, and what forbids to replace it by rename.

use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::sql_text::literal;

use super::staging::Build;
use crate::sql::session::Session;

/// The table that readers read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    /// Its number in the catalog; empty where the catalog is not asked.
    pub(crate) oid: String,
}

/// A view that reads the live table directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Schema and name, quoted.
    pub(crate) name: String,
    /// Its owner, quoted.
    pub(crate) owner: String,
    /// `with (…)`, or nothing.
    pub(crate) options: String,
}

/// Finds the live table, if there is one; fails where its name belongs to something else.
pub(crate) async fn look(session: &mut Session, build: &Build) -> Result<Option<Live>, Failure> {
    let (schema, name) = (literal(&build.schema), literal(&build.name));
    if session.is_redshift() {
        let sql = format!(
            "select 1 from information_schema.tables where table_schema = {schema} and table_name = {name}"
        );
        let found = session.query(&sql).await?;
        return Ok((!found.is_empty()).then(|| Live { oid: String::new() }));
    }
    let sql = format!(
        "select c.oid, c.relkind from pg_catalog.pg_class c
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = {schema} and c.relname = {name}"
    );
    let found = session.query(&sql).await?.into_iter().next();
    let Some([Some(oid), Some(kind)]) = found.as_deref() else {
        return Ok(None);
    };
    let what = match kind.as_str() {
        "r" | "p" => return Ok(Some(Live { oid: oid.clone() })),
        "v" => "a view",
        "m" => "a materialized view",
        "f" => "a foreign table",
        "S" => "a sequence",
        "i" | "I" => "an index",
        _ => "not a table",
    };
    let message = format!(
        "{} is {what}: choose another `table`, or drop it first",
        build.table()
    );
    Err(Failure::new(FailureKind::Definition, message))
}

/// Why the staging table cannot take the live one's name; nothing if it can.
pub(crate) async fn obstacle(
    session: &mut Session,
    live: &Live,
) -> Result<Option<String>, Failure> {
    let sql = OBSTACLES.replace("$live", &live.oid);
    let rows = session.query_again(&sql).await?;
    let reasons: Vec<_> = rows.into_iter().flatten().flatten().collect();
    Ok((!reasons.is_empty()).then(|| reasons.join("; ")))
}

/// Foreign keys of any table that refer to the live one, for a person; nothing if there is none.
pub(crate) async fn referring(
    session: &mut Session,
    live: &Live,
) -> Result<Option<String>, Failure> {
    let sql = format!(
        "select format('foreign key %I of %s', conname, conrelid::regclass)
         from pg_catalog.pg_constraint where confrelid = {} and contype = 'f' order by conname limit 1",
        live.oid
    );
    let name = session.text(&sql).await?;
    Ok((!name.is_empty()).then_some(name))
}

/// The views that read the live table directly; of two that read each other, the outer first.
pub(crate) async fn views(session: &mut Session, live: &Live) -> Result<Vec<View>, Failure> {
    let sql = VIEWS.replace("$live", &live.oid);
    let rows = session.query_again(&sql).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| match <[Option<String>; 3]>::try_from(row) {
            Ok([Some(name), Some(owner), Some(options)]) => Some(View {
                name,
                owner,
                options,
            }),
            _ => None,
        })
        .collect())
}

// Found by what reads what, from the table upwards: a catalog of thousands of views costs nothing.
const VIEWS: &str = "
with recursive above as (
    select $live::oid as view, 0 as depth
    union
    select v.oid, above.depth + 1
    from above
    join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = above.view
        and d.classid = 'pg_catalog.pg_rewrite'::regclass
    join pg_catalog.pg_rewrite r on r.oid = d.objid
    join pg_catalog.pg_class v on v.oid = r.ev_class and v.relkind = 'v'
    where v.oid <> above.view and above.depth < 100
)
select format('%I.%I', n.nspname, v.relname), quote_ident(pg_get_userbyid(v.relowner)),
       coalesce('with (' || array_to_string(v.reloptions, ', ') || ')', '')
from (select view, max(depth) as depth from above group by view having min(depth) = 1) place
join pg_catalog.pg_class v on v.oid = place.view
join pg_catalog.pg_namespace n on n.oid = v.relnamespace
order by place.depth desc, v.oid";

// Everything that hangs on the table's number rather than on its name, except what is carried over:
// its own indexes, constraints, defaults and policies, and the views that can be pointed at the new table.
const OBSTACLES: &str = "
with live as (select * from pg_catalog.pg_class where oid = $live)
select 'the table is partitioned' from live where relkind = 'p'
union all select 'the table is a partition' from live where relispartition
union all select 'the table has a row type of its own' from live where reloftype <> 0
union all select format('the table belongs to %I, and %I is no member of that role', pg_get_userbyid(relowner), current_user)
    from live where not pg_has_role(relowner, 'usage')
union all select 'its replica identity is an index' from live where relreplident = 'i'
union all select 'the table inherits or is inherited from' from live
    where exists (select from pg_catalog.pg_inherits where $live in (inhrelid, inhparent)) and not relispartition
union all select format('foreign key %I of %s refers to it', conname, conrelid::regclass)
    from pg_catalog.pg_constraint where confrelid = $live and contype = 'f'
union all select format('it is in publication %I', p.pubname)
    from pg_catalog.pg_publication p, pg_get_publication_tables(p.pubname) t where t.relid = $live
union all select format('it has trigger %I', tgname) from pg_catalog.pg_trigger where tgrelid = $live and not tgisinternal
union all select format('it has rule %I', rulename) from pg_catalog.pg_rewrite where ev_class = $live
union all select format('column %I is an identity or generated column', attname)
    from pg_catalog.pg_attribute where attrelid = $live and attnum > 0 and not attisdropped and attidentity::text || attgenerated::text <> ''
union all select format('sequence %s belongs to it', s.oid::regclass)
    from pg_catalog.pg_depend d join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S'
    where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
      and d.refobjid = $live and d.deptype = 'a'
union all select format('it has the extended statistics %I', stxname) from pg_catalog.pg_statistic_ext where stxrelid = $live
union all select format('view %s belongs to %I, and %I is no member of that role', v.oid::regclass, pg_get_userbyid(v.relowner), current_user)
    from pg_catalog.pg_class v where v.relkind = 'v' and not pg_has_role(v.relowner, 'usage')
      and v.oid in (select r.ev_class from pg_catalog.pg_depend d join pg_catalog.pg_rewrite r on r.oid = d.objid
        where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = $live)
union all select distinct case
        when m.relkind = 'm' then format('materialized view %s reads it', m.oid::regclass)
        else pg_describe_object(d.classid, d.objid, 0) || ' depends on it' end
    from pg_catalog.pg_depend d
    left join pg_catalog.pg_rewrite r on d.classid = 'pg_catalog.pg_rewrite'::regclass and r.oid = d.objid
    left join pg_catalog.pg_class m on m.oid = r.ev_class
    where d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = $live and d.deptype = 'n'
      and not (d.classid = 'pg_catalog.pg_rewrite'::regclass and m.relkind = 'v' and r.rulename = '_RETURN')
      and not (d.classid = 'pg_catalog.pg_class'::regclass and d.objid = $live)
      and not (d.classid = 'pg_catalog.pg_class'::regclass and exists (select from pg_catalog.pg_inherits where inhrelid = d.objid))
      and not (d.classid = 'pg_catalog.pg_constraint'::regclass
        and exists (select from pg_catalog.pg_constraint c where c.oid = d.objid and $live in (c.conrelid, c.confrelid)))
      and not (d.classid = 'pg_catalog.pg_attrdef'::regclass
        and exists (select from pg_catalog.pg_attrdef a where a.oid = d.objid and a.adrelid = $live))
      and not (d.classid = 'pg_catalog.pg_policy'::regclass
        and exists (select from pg_catalog.pg_policy p where p.oid = d.objid and p.polrelid = $live))
      and not (d.classid = 'pg_catalog.pg_trigger'::regclass
        and exists (select from pg_catalog.pg_trigger t where t.oid = d.objid and t.tgisinternal))
union all select pg_describe_object(d.classid, d.objid, d.objsubid) || ' uses its row type'
    from pg_catalog.pg_depend d
    where d.refclassid = 'pg_catalog.pg_type'::regclass and d.deptype <> 'i' and d.refobjid = any(array(
        select unnest(array[t.oid, t.typarray]) from live join pg_catalog.pg_type t on t.oid = live.reltype))";
