//! The watchdog: whether every change of the published tables is recorded, and what to do when not.
//!
//! A gap, once noticed, stays until somebody repairs the publication, also if the triggers are back: what happened in
//! between is not known.

use sqlx::{PgConnection, Row as _};

use crate::{
    error::Result,
    model::{
        id::LayerKey,
        layer::{Layer, Service},
    },
    sql::publish::{TRIGGERS, trigger_name},
};

use super::Store;

/// What the watchdog found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What makes answers wrong or impossible until somebody acts.
    pub problems: Vec<String>,
    /// What somebody should know.
    pub notices: Vec<String>,
}

/// What is wrong with the tracking of a layer.
#[derive(Debug, Default)]
pub(super) struct LayerFindings {
    /// Why changes may have been missed.
    pub(super) gap: Option<String>,
    /// Columns that were added, and other changes that tracking survives.
    pub(super) news: Vec<String>,
    /// Whether its triggers were made by a version that did not note how it made them.
    pub(super) outdated: bool,
}

/// How long a prepared transaction may hold the lock that numbers commits before it is worth an alarm, in seconds.
const PREPARED_LIMIT_SECONDS: i32 = 10;

impl Store {
    /// Looks whether every change of the published tables is recorded. Gaps are noted, so that nobody synchronizes the layer
    /// until it is repaired.
    pub async fn watch(&self) -> Result<Findings> {
        let mut findings = Findings::default();
        let mut session = self.session().await?;
        for service in &self.catalogue().services {
            for layer in service.tracked() {
                let found = inspect_tracking(session.connection(), layer).await?;
                if let Some(reason) = &found.gap {
                    sqlx::query("-- gap_note\nselect syncline.note_gap($1, $2)")
                        .bind(layer.key.0)
                        .bind(reason)
                        .execute(session.connection())
                        .await?;
                }
                let of =
                    format!("{}.{} (layer {} of {})", layer.table_schema, layer.table_name, layer.id, service.name);
                findings.notices.extend(
                    layer.rules.problems.iter().map(|problem| format!("{of}: its definition does not fit: {problem}")),
                );
                findings.notices.extend(found.news.iter().map(|news| format!("{of}: {news}")));
                if found.outdated {
                    findings.notices.push(format!(
                        "{of}: its triggers are those of an earlier version, which let edits of other programs fail when a column is gone; run: {}",
                        remedy(service, layer)
                    ));
                }
                if let Some(reason) = open_gap(session.connection(), layer.key).await? {
                    findings.problems.push(format!(
                        "changes of {of} are not recorded: {reason}; nobody can synchronize it until you run: {}",
                        remedy(service, layer)
                    ));
                }
            }
        }
        self.watch_database(&mut session, &mut findings).await?;
        drop(session);
        let n_foreign = self.foreign_replicas().await?;
        if n_foreign > 0 {
            findings.notices.push(format!(
                "{n_foreign} replicas belong to the original of this database, of which this is a copy, and cannot be synchronized here; \
                 if this server replaces the original, run: syncline replicas adopt --all"
            ));
        }
        Ok(findings)
    }

    /// Whether the changes of any layer may have been missed.
    pub async fn has_gaps(&self) -> Result<bool> {
        let row = sqlx::query(
            "-- gap_exists\nselect exists (select from syncline.gap join syncline.layer using (layer_key) where mended_at is null)",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(row.try_get(0)?)
    }

    async fn watch_database(&self, session: &mut super::Session, findings: &mut Findings) -> Result<()> {
        let row = sqlx::query(
            "-- database_watch
             select (select count(*) from syncline.txn where generation is null),
               coalesce((select t.tgenabled::text from pg_trigger t where t.tgrelid = 'syncline.txn'::regclass and t.tgname = 'stamp'), ''),
               (select s.seqcache = 1 and s.seqincrement = 1 and not s.seqcycle from pg_sequence s where s.seqrelid = 'syncline.generation'::regclass),
               array(select p.gid || ' (' || p.owner || ', since ' || to_char(p.prepared, 'YYYY-MM-DD HH24:MI:SS') || ')' from pg_prepared_xacts p
                 where p.database = current_database() and p.prepared < clock_timestamp() - make_interval(secs => $1) order by p.prepared limit 20)",
        )
        .bind(f64::from(PREPARED_LIMIT_SECONDS))
        .fetch_one(session.connection())
        .await?;
        let n_unstamped: i64 = row.try_get(0)?;
        if n_unstamped > 0 {
            findings.problems.push(format!(
                "{n_unstamped} transactions were committed without a generation, so that no delta has their changes; somebody has switched off or \
                 dropped the trigger stamp on syncline.txn: restore it, and repair every layer with syncline repair"
            ));
        }
        if row.try_get::<String, _>(1)? != "A" {
            findings.problems.push(
                "the trigger stamp on syncline.txn is gone or switched off; run: alter table syncline.txn enable always trigger stamp".to_owned(),
            );
        }
        if !row.try_get::<bool, _>(2)? {
            findings.problems.push(
                "the sequence syncline.generation was altered; run: alter sequence syncline.generation increment 1 cache 1 no cycle".to_owned(),
            );
        }
        for prepared in row.try_get::<Vec<String>, _>(3)? {
            findings.problems.push(format!(
                "the prepared transaction {prepared} is open: if it edited a published table, every other edit of that service waits for it; \
                 commit prepared or rollback prepared ends it"
            ));
        }
        Ok(())
    }
}

/// The command that mends a layer.
pub(super) fn remedy(service: &Service, layer: &Layer) -> String {
    format!("syncline repair --service '{}' --layer {}", service.name, layer.id)
}

/// Why changes of a layer may have been missed, if a gap was noted.
pub(super) async fn open_gap(connection: &mut PgConnection, layer: LayerKey) -> Result<Option<String>> {
    let row = sqlx::query(
        "-- gap_find
         select reason || ' (noticed ' || to_char(noticed_at, 'YYYY-MM-DD HH24:MI:SS') || ' UTC)' from syncline.gap
         where layer_key = $1 and mended_at is null order by gap_id limit 1",
    )
    .bind(layer.0)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Keeps how the trigger functions of a layer were made, so that an alteration is noticed.
pub(super) async fn note_tracking(connection: &mut PgConnection, layer: LayerKey) -> Result<()> {
    sqlx::query(
        "-- layer_note_tracking
         update syncline.layer l set tracking = (
           select md5(string_agg(concat(p.proname, p.prosrc, p.prosecdef, p.proconfig), '' order by p.proname))
           from pg_proc p where p.pronamespace = 'syncline'::regnamespace and p.proname like 'track\\_' || l.layer_key || '\\_%')
         where l.layer_key = $1",
    )
    .bind(layer.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Looks at the table of a layer, its triggers, and its columns.
pub(super) async fn inspect_tracking(connection: &mut PgConnection, layer: &Layer) -> Result<LayerFindings> {
    let mut findings = LayerFindings::default();
    let row = sqlx::query(
        "-- tracking_find
         select c.oid::int8, c.relkind = 'r', exists (select from pg_inherits i where c.oid in (i.inhrelid, i.inhparent)),
           to_regclass('syncline.change_' || l.layer_key) is not null,
           l.tracking is null, coalesce(l.tracking = (
             select md5(string_agg(concat(p.proname, p.prosrc, p.prosecdef, p.proconfig), '' order by p.proname))
             from pg_proc p where p.pronamespace = 'syncline'::regnamespace and p.proname like 'track\\_' || l.layer_key || '\\_%'), l.tracking is null),
           exists (select from pg_subscription_rel s where s.srrelid = c.oid)
         from syncline.layer l left join pg_namespace n on n.nspname = l.table_schema
           left join pg_class c on c.relnamespace = n.oid and c.relname = l.table_name where l.layer_key = $1",
    )
    .bind(layer.key.0)
    .fetch_optional(&mut *connection)
    .await?;
    // Somebody has unpublished it meanwhile.
    let Some(row) = row else { return Ok(findings) };
    let Some(table) = row.try_get::<Option<i64>, _>(0)? else {
        findings.gap = Some("the table is gone; it was dropped or renamed".to_owned());
        return Ok(findings);
    };
    let (is_table, inherits, has_changes): (bool, bool, bool) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    findings.gap = if !is_table {
        Some("the table was replaced by something else that has its name".to_owned())
    } else if inherits {
        Some(
            "the table has become a partition, or a parent or child of another table, through which it can be edited"
                .to_owned(),
        )
    } else if row.try_get(6)? {
        Some(
            "a subscription of logical replication writes to the table, which fires no triggers of statements"
                .to_owned(),
        )
    } else if !has_changes {
        Some("its change table was dropped".to_owned())
    } else if let Some(wrong) = wrong_trigger(connection, table, layer.key).await? {
        Some(wrong)
    } else if row.try_get::<Option<bool>, _>(5)? != Some(true) {
        Some("its trigger functions were altered or dropped".to_owned())
    } else {
        None
    };
    findings.outdated = row.try_get(4)?;
    compare_columns(connection, table, layer, &mut findings).await?;
    Ok(findings)
}

/// The first trigger of a layer that is not as it must be.
async fn wrong_trigger(connection: &mut PgConnection, table: i64, layer: LayerKey) -> Result<Option<String>> {
    let rows = sqlx::query(
        "-- trigger_list
         select t.tgname::text, t.tgenabled::text, p.proname::text, t.tgtype::int4, t.tgqual is null and t.tgattr = '' and not t.tgisinternal
         from pg_trigger t join pg_proc p on p.oid = t.tgfoid
         where t.tgrelid = $1::oid and p.pronamespace = 'syncline'::regnamespace",
    )
    .bind(table)
    .fetch_all(connection)
    .await?;
    for event in TRIGGERS {
        let name = trigger_name(event);
        let mut found = None;
        for row in &rows {
            if row.try_get::<String, _>(0)? == name {
                found = Some(row);
            }
        }
        let Some(row) = found else {
            return Ok(Some(format!("changes by {event} are not recorded, since the trigger {name} is gone")));
        };
        let (state, function, kind): (String, String, i32) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        if state != "A" {
            return Ok(Some(format!(
                "changes by {event} are not recorded, or not always: the trigger {name} is switched off or was so for a while"
            )));
        }
        // As in pg_trigger.h: for each row 1, before 2, insert 4, delete 8, update 16, truncate 32.
        let (wanted_function, wanted_kind) = match event {
            "insert" => (format!("track_{}_insert", layer.0), 4),
            "update" => (format!("track_{}_update", layer.0), 16),
            "delete" => (format!("track_{}_delete", layer.0), 8),
            "truncate" => (format!("track_{}_truncate", layer.0), 34),
            _ => ("statement_begins".to_owned(), 30),
        };
        if function != wanted_function || kind != wanted_kind || !row.try_get::<bool, _>(4)? {
            return Ok(Some(format!("the trigger {name} was replaced by another one of that name")));
        }
    }
    Ok(None)
}

/// Compares the columns of a table with those that are published.
async fn compare_columns(
    connection: &mut PgConnection,
    table: i64,
    layer: &Layer,
    findings: &mut LayerFindings,
) -> Result<()> {
    let rows = sqlx::query(
        "-- column_compare
         select f.name, f.column_type, a.attname::text, format_type(a.atttypid, a.atttypmod),
           a.atttypid is not distinct from to_regtype(f.column_type)::oid,
           a.atttypid::regtype::text in ('smallint', 'integer', 'bigint', 'real', 'double precision', 'numeric', 'text', 'character varying', 'character',
             'boolean', 'uuid', 'timestamp with time zone', 'timestamp without time zone', 'date', 'time without time zone')
         from (select name, column_type from syncline.field where layer_key = $2) f
           full join (select * from pg_attribute where attrelid = $1::oid and attnum > 0 and not attisdropped) a on a.attname = f.name
         order by 1, 3",
    )
    .bind(table)
    .bind(layer.key.0)
    .fetch_all(connection)
    .await?;
    let shape = layer.shape.as_ref().map(|shape| shape.column.as_str());
    let mut shape_found = shape.is_none();
    for row in &rows {
        let (published, found): (Option<String>, Option<String>) = (row.try_get(0)?, row.try_get(2)?);
        let lost = match (published, found) {
            (Some(name), None) => Some(format!("column {name} was dropped or renamed")),
            (Some(name), Some(_)) => {
                let (before, now): (String, String) = (row.try_get(1)?, row.try_get(3)?);
                let same_type: bool = row.try_get(4)?;
                if same_type && before != now {
                    findings.news.push(format!("column {name} was {before} and is {now}; syncline repair takes it up"));
                }
                (!same_type).then(|| format!("column {name} was {before} and is {now}"))
            }
            (None, Some(name)) if Some(name.as_str()) == shape => {
                shape_found = true;
                None
            }
            (None, Some(name)) => {
                if row.try_get::<Option<bool>, _>(5)? == Some(true) {
                    findings.news.push(format!("column {name} is not published; syncline repair takes it up"));
                }
                None
            }
            (None, None) => None,
        };
        findings.gap = findings.gap.take().or(lost);
    }
    if !shape_found {
        let lost = format!("geometry column {} was dropped or renamed", shape.unwrap_or_default());
        findings.gap = findings.gap.take().or(Some(lost));
    }
    Ok(())
}
