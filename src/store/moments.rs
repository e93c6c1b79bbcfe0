//! Past moments: which generation stood at a time, and since when that is known.
//!
//! Generations know no clock, and the clock of a machine may be set back, so a moment is only as exact as the times that
//! commits noted. What is asked of the history is a generation, as everywhere.

use sqlx::Row as _;

use crate::{
    error::{Error, Result},
    model::{
        id::LayerKey,
        layer::{Layer, Service},
    },
    sql::selection::Past,
};

use super::ReadTx;

/// For each layer of a service: its key; since when its rows are known, in microseconds since 1970, and as a person reads it.
/// That is its publication or, if its history begins later, the commit with which it begins, or else the first after that.
const BEGINNINGS: &str = "-- moment_beginnings
    select k.layer_key, (extract(epoch from k.since) * 1000000)::int8,
      to_char(k.since at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')
    from (
      select l.layer_key, greatest(l.published_at, case
          when b.generation is not null then b.committed_at
          when l.pruned_to > 0 then coalesce((
            select min(t.committed_at) from syncline.txn t where t.service_id = s.service_id and t.generation > f.generation), now())
          end) as since
      from syncline.layer l join syncline.service s using (service_id)
        cross join lateral (select greatest(l.history_from, s.history_from) as generation) f
        left join syncline.txn b on b.service_id = s.service_id and b.generation = f.generation
      where l.service_id = $1) k";

/// Since when the rows of a layer are known.
pub(crate) struct Beginning {
    /// The key of the layer.
    pub(crate) layer: LayerKey,
    /// Microseconds since 1970.
    pub(crate) since_us: i64,
    /// The same for people.
    text: String,
}

impl ReadTx<'_> {
    /// The past state of a service at a moment, in microseconds since 1970, as far as these layers need it. `None` if that is
    /// not past.
    pub(crate) async fn past(&mut self, service: &Service, layers: &[&Layer], moment: i64) -> Result<Option<Past>> {
        // What the database can hold, with room to spare.
        let bound = moment.clamp(-188_000_000_000_000_000, i64::MAX / 64);
        let row = sqlx::query(
            "-- moment_generation
             select (extract(epoch from clock_timestamp()) * 1000000)::int8,
               (select max(t.generation) from syncline.txn t
                where t.service_id = $1 and t.committed_at <= timestamptz 'epoch' + $2 * interval '1 microsecond')",
        )
        .bind(service.key.0)
        .bind(bound)
        .fetch_one(self.connection())
        .await?;
        if row.try_get::<i64, _>(0)? <= moment {
            return Ok(None);
        }
        let mut generation = row.try_get::<Option<i64>, _>(1)?.unwrap_or(0);
        let beginnings = self.beginnings(service).await?;
        for layer in layers {
            self.history.require_tracking(layer)?;
            if let Some(beginning) = beginnings.iter().find(|known| known.layer == layer.key && moment < known.since_us)
            {
                return Err(Error::invalid(
                    "historicMoment",
                    format!(
                        "{} lies before the history of layer {}, which begins at {} ({}); ask for that or later",
                        moment.div_euclid(1000),
                        layer.id,
                        beginning.since_us.div_euclid(1000),
                        beginning.text
                    ),
                ));
            }
            generation = generation.max(self.history.from(layer.key).get());
        }
        Ok(Some(Past { service: service.key.0, generation }))
    }

    /// Since when the rows of each layer of a service are known.
    pub(crate) async fn beginnings(&mut self, service: &Service) -> Result<Vec<Beginning>> {
        let rows = sqlx::query(BEGINNINGS).bind(service.key.0).fetch_all(self.connection()).await?;
        rows.iter()
            .map(|row| {
                Ok(Beginning { layer: LayerKey(row.try_get(0)?), since_us: row.try_get(1)?, text: row.try_get(2)? })
            })
            .collect()
    }
}
