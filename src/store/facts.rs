//! What documents say of tables beside what is published: extents, indexes, the last edit.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, MutexGuard, PoisonError},
};

use sqlx::Row as _;

use crate::{
    error::Result,
    model::{
        definition::{Facts, Index},
        id::{Generation, LayerKey},
        layer::{Layer, Service},
        rules::Time,
    },
    sql::{select, selection::Selection},
};

use super::{ReadTx, Store};

/// The largest table whose extents are computed from its rows.
const MAX_SCANNED_BYTES: i64 = 8 << 20;

/// The most that an extent of a larger table may cost which is for one user alone, as the planner sees it: some times what reading all of
/// a table costs that is just not larger. An index for the policy makes it cheap.
const MAX_COST: f64 = 5_000.0;

/// How many values are kept. Of layers with policies, each user has their own.
const MAX_KNOWN: usize = 2_000;

/// A value and the generation for which it is right.
type At<T> = (Generation, T);

/// Some rows of a layer: a condition, and whom it means by `CURRENT_USER`; `None`: all.
type Rows = (LayerKey, Option<(Arc<str>, Arc<str>)>);

/// What was computed from rows.
#[derive(Debug, Default)]
pub(super) struct Known {
    extents: HashMap<Rows, At<Option<[f64; 4]>>>,
    /// With the fields of a time, which a definition may change.
    times: HashMap<(Rows, Time), At<Option<[i64; 2]>>>,
}

/// The rows of a layer that who asks may see.
fn rows(layer: &Layer) -> Rows {
    (layer.key, layer.guard.read.as_ref().map(|policy| (policy.clause.clone(), policy.user.clone())))
}

/// Keeps a value. All are forgotten when there are too many, which costs each layer one look.
fn keep<K: Eq + Hash, V>(known: &mut HashMap<K, V>, key: K, value: V) {
    if known.len() >= MAX_KNOWN {
        known.clear();
    }
    known.insert(key, value);
}

impl Store {
    /// What is known of the tables of a service, in the order of its layers.
    ///
    /// Extents come cheaply. That of a small table is computed from its rows once for each generation; that of a large one is
    /// the box of its spatial index, which covers every row, and shrinks with the next vacuum after rows have gone. The least and the greatest
    /// time of a large table come from indexes of its fields, or not at all.
    ///
    /// For somebody from whom rows are kept, they are those of the rows that they see, and unknown if these are too costly to find. When a service
    /// was last edited is not told to them either.
    pub(crate) async fn facts(&self, service: &Service) -> Result<Vec<Facts>> {
        let mut session = self.session().await?;
        let mut tx = session.read(service).await?;
        let edited_ms = last_edit(&mut tx, service).await?;
        let beginnings = tx.beginnings(service).await?;
        let mut indexes = indexes(&mut tx, service).await?;
        let mut facts = Vec::with_capacity(service.layers.len());
        for layer in &service.layers {
            let (size, indexes) = indexes.remove(&layer.key).unwrap_or_default();
            let extent = self.extent(&mut tx, layer, size).await?;
            let time_extent = self.time_extent(&mut tx, layer, size, &indexes).await?;
            let beginning = beginnings.iter().find(|known| known.layer == layer.key);
            let since_ms = beginning.map_or(0, |known| known.since_us.div_euclid(1000));
            let edited_ms = edited_ms.filter(|_| layer.guard.read.is_none());
            facts.push(Facts { extent, time_extent, indexes, since_ms, edited_ms });
        }
        tx.end().await?;
        Ok(facts)
    }

    async fn extent(&self, tx: &mut ReadTx<'_>, layer: &Layer, size_bytes: i64) -> Result<Option<[f64; 4]>> {
        let Some(shape) = &layer.shape else { return Ok(None) };
        let known = self.known().extents.get(&rows(layer)).copied();
        if let Some((_, extent)) = known.filter(|(generation, _)| *generation == tx.generation) {
            return Ok(extent);
        }
        let everything = || select::extent(layer, &Selection::default(), shape.srid);
        if size_bytes > MAX_SCANNED_BYTES
            && layer.guard.read.is_some()
            && let Some(statement) = everything()
            && tx.estimate(statement).await?.cost > MAX_COST
        {
            return Ok(None);
        }
        if size_bytes > MAX_SCANNED_BYTES
            && layer.guard.read.is_none()
            && let Some(statement) = select::estimated_extent(layer)
            && let Some(extent) = corners(&tx.one(statement).await?)?
        {
            return Ok(Some(extent));
        }
        let Some(statement) = everything() else { return Ok(None) };
        let extent = corners(&tx.one(statement).await?)?;
        keep(&mut self.known().extents, rows(layer), (tx.generation, extent));
        Ok(extent)
    }

    async fn time_extent(
        &self,
        tx: &mut ReadTx<'_>,
        layer: &Layer,
        size_bytes: i64,
        indexes: &[Index],
    ) -> Result<Option<[i64; 2]>> {
        let Some(time) = layer.rules.time else { return Ok(None) };
        let known = self.known().times.get(&(rows(layer), time)).copied();
        if let Some((_, extent)) = known.filter(|(generation, _)| *generation == tx.generation) {
            return Ok(extent);
        }
        let is_indexed = |field: usize| {
            indexes.iter().any(|index| index.fields.first().is_some_and(|name| *name == layer.fields[field].name))
        };
        if size_bytes > MAX_SCANNED_BYTES {
            let is_quick = match layer.guard.read {
                None => [Some(time.start), time.end].into_iter().flatten().all(is_indexed),
                Some(_) => tx.estimate(select::time_extent(layer, time)).await?.cost <= MAX_COST,
            };
            if !is_quick {
                return Ok(None);
            }
        }
        let row = tx.one(select::time_extent(layer, time)).await?;
        let ends: (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        let extent = ends.0.zip(ends.1).map(|(from, to)| [from, to.max(from)]);
        keep(&mut self.known().times, (rows(layer), time), (tx.generation, extent));
        Ok(extent)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn corners(row: &sqlx::postgres::PgRow) -> Result<Option<[f64; 4]>> {
    let corner = |index| row.try_get::<Option<f64>, _>(index);
    Ok(match (corner(0)?, corner(1)?, corner(2)?, corner(3)?) {
        (Some(xmin), Some(ymin), Some(xmax), Some(ymax)) => Some([xmin, ymin, xmax, ymax]),
        _ => None,
    })
}

async fn last_edit(tx: &mut ReadTx<'_>, service: &Service) -> Result<Option<i64>> {
    let row = sqlx::query(
        "-- txn_last
         select (extract(epoch from committed_at) * 1000)::int8 from syncline.txn
         where service_id = $1 and generation is not null order by generation desc limit 1",
    )
    .bind(service.key.0)
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// The size of the table of each layer in bytes, and its indexes by plain columns.
async fn indexes(tx: &mut ReadTx<'_>, service: &Service) -> Result<HashMap<LayerKey, (i64, Vec<Index>)>> {
    let rows = sqlx::query(
        "-- index_list
         select l.layer_key, pg_relation_size(c.oid), i.relname::text, x.indisunique, x.indoption[0] & 1 = 0, coalesce(obj_description(i.oid, 'pg_class'), ''),
           array(select case when a.attname = l.geometry_column then 'Shape' else a.attname::text end
             from unnest(x.indkey::int2[]) with ordinality k(attnum, position) join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
             where k.position <= x.indnkeyatts order by k.position)
         from syncline.layer l join pg_namespace n on n.nspname = l.table_schema
           join pg_class c on c.relnamespace = n.oid and c.relname = l.table_name
           left join pg_index x on x.indrelid = c.oid and x.indisvalid and x.indpred is null and x.indexprs is null
           left join pg_class i on i.oid = x.indexrelid
         where l.service_id = $1 and l.attached_to is null order by l.layer_key, x.indisprimary desc, i.relname",
    )
    .bind(service.key.0)
    .fetch_all(tx.connection())
    .await?;
    let mut found: HashMap<LayerKey, (i64, Vec<Index>)> = HashMap::new();
    for row in &rows {
        let of_layer = found.entry(LayerKey(row.try_get(0)?)).or_insert((row.try_get(1)?, Vec::new()));
        if let Some(name) = row.try_get(2)? {
            of_layer.1.push(Index {
                name,
                unique: row.try_get(3)?,
                ascending: row.try_get(4)?,
                description: row.try_get(5)?,
                fields: row.try_get(6)?,
            });
        }
    }
    Ok(found)
}
