//! The tables of the database that can be published, or why not.

use sqlx::{Row as _, postgres::PgRow};

use crate::{
    error::{Error, Result},
    model::{
        candidate::{Candidate, Wanted},
        id::LayerId,
    },
};

use super::Store;

/// Refuses to publish a table of Syncline's own, or of the system: whoever could edit these could do anything.
pub(super) fn refuse_reserved(schema: &str, table: &str) -> Result<()> {
    if schema == "syncline" || schema == "information_schema" || schema.starts_with("pg_") {
        return Err(Error::NotSupported(format!(
            "{schema}.{table} is one of the tables that Syncline or the database is made of, which are not published; publish a table of your own"
        )));
    }
    Ok(())
}

impl Store {
    /// Tables and views, in the order of their names, without those of Syncline, the system and extensions. Looks into none of them.
    pub(crate) async fn candidates(&self, wanted: &Wanted) -> Result<Vec<Candidate>> {
        let rows = sqlx::query(
            "-- candidate_list
             select n.nspname::text as schema, c.relname::text as name, c.relkind::text as kind,
               exists (select from pg_inherits i where c.oid in (i.inhrelid, i.inhparent)) as inherits,
               case when c.reltuples >= 0 then c.reltuples::int8 end as n_rows, g.type as geometry, g.has_index,
               exists (select from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
                 where i.indrelid = c.oid and i.indisunique and i.indpred is null and i.indnkeyatts = 1 and a.attnotnull
                   and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)) as has_key,
               exists (select from pg_attribute a where a.attrelid = c.oid and not a.attisdropped and a.atttypid = 'uuid'::regtype
                 and lower(a.attname::text) in ('globalid', 'global_id')) as has_global_id,
               pg_has_role(c.relowner, 'USAGE') or has_table_privilege(c.oid, 'TRIGGER') as may, current_user::text as who,
               s.name as service, l.layer_id
             from pg_class c join pg_namespace n on n.oid = c.relnamespace
             left join lateral (
               select format_type(a.atttypid, a.atttypmod) as type,
                 exists (select from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
                   where i.indrelid = c.oid and m.amname = 'gist' and i.indkey[0] = a.attnum) as has_index
               from pg_attribute a join pg_type t on t.oid = a.atttypid
               where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and t.typname = 'geometry' order by a.attnum limit 1) g on true
             left join syncline.layer l on l.table_schema = n.nspname and l.table_name = c.relname and l.attached_to is null
             left join syncline.service s using (service_id)
             where c.relkind in ('r', 'v', 'm', 'p', 'f') and c.relpersistence <> 't'
               and n.nspname not in ('syncline', 'information_schema') and n.nspname !~ '^pg_'
               and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
               and ($1::text is null or position(lower($1) in lower(n.nspname || '.' || c.relname)) > 0)
               and ($2::bool is null or (l.layer_key is not null) = $2)
             order by n.nspname, c.relname offset $3 limit $4",
        )
        .bind(&wanted.text)
        .bind(wanted.is_published)
        .bind(wanted.offset)
        .bind(wanted.limit)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(candidate).collect()
    }
}

fn candidate(row: &PgRow) -> Result<Candidate> {
    let (schema, table): (String, String) = (row.try_get("schema")?, row.try_get("name")?);
    let code: String = row.try_get("kind")?;
    let geometry: Option<String> = row.try_get("geometry")?;
    let (inherits, may): (bool, bool) = (row.try_get("inherits")?, row.try_get("may")?);
    let kind = match code.as_str() {
        "v" => "view",
        "m" => "materialized view",
        "p" => "partitioned table",
        "f" => "foreign table",
        _ => "table",
    };
    let problem = if code != "r" {
        Some("Only ordinary tables can be published, since changes are recorded by triggers on them.".to_owned())
    } else if inherits {
        Some("It is a partition, or inherits from a table or is inherited from; edits made through the other table could not be recorded.".to_owned())
    } else if !may {
        let who: String = row.try_get("who")?;
        Some(format!(
            "The server uses the database as {who}, who may not put triggers on it; make {who} its owner, or grant {who} the role that is."
        ))
    } else {
        None
    };
    let lacks = |column: &str| row.try_get::<bool, _>(column).map(|has| !has);
    let mut adds = Vec::new();
    if problem.is_none() {
        if lacks("has_key")? {
            adds.push("an integer key");
        }
        if lacks("has_global_id")? {
            adds.push("global ids");
        }
        if geometry.is_some() && lacks("has_index")? {
            adds.push("a spatial index");
        }
    }
    let (service, layer): (Option<String>, Option<i32>) = (row.try_get("service")?, row.try_get("layer_id")?);
    let layer = service.zip(layer.map(LayerId));
    if layer.is_some() {
        adds.clear();
    }
    Ok(Candidate { schema, table, kind, n_rows: row.try_get("n_rows")?, geometry, adds, problem, layer })
}
