//! What the database knows about shapes on the ground: distances, and which datum a spatial reference has.

use sqlx::Row as _;

use crate::error::{Error, Result};

use super::Snapshot;

impl Snapshot<'_> {
    /// A shape in longitude and latitude, and a box that holds everything within so many metres of it, both as EWKB.
    pub(crate) async fn around(&mut self, ewkb: &[u8], metres: f64) -> Result<(Vec<u8>, Vec<u8>)> {
        let origin = self.area_for(ewkb, 4326).await?;
        // A degree of latitude has at least 110,574 m. Where the box would reach a pole or the date line, it goes round the world.
        let row = sqlx::query(
            "-- area_around
             select ST_AsEWKB(case
               when b.north > 89 or b.south < -89 or b.west < -180 or b.east > 180
                 then ST_MakeEnvelope(-180, greatest(b.south, -90), 180, least(b.north, 90), 4326)
               else ST_MakeEnvelope(b.west, b.south, b.east, b.north, 4326) end)
             from (select $1::bytea::geometry as g, $2 / 110000.0 as tall) a
             cross join lateral (select ST_YMin(a.g) - a.tall as south, ST_YMax(a.g) + a.tall as north) l
             cross join lateral (select a.tall / greatest(cos(radians(least(greatest(abs(l.south), abs(l.north)), 89.9))), 0.001) as wide) w
             cross join lateral (select l.south, l.north, ST_XMin(a.g) - w.wide as west, ST_XMax(a.g) + w.wide as east) b",
        )
        .bind(&origin)
        .bind(metres)
        .fetch_one(self.connection())
        .await?;
        Ok((origin, row.try_get(0)?))
    }

    /// A box in longitude and latitude, as EWKB, in a spatial reference in which it is a box, too.
    pub(crate) async fn box_for(&mut self, ewkb: &[u8], srid: i32) -> Result<Vec<u8>> {
        let row = sqlx::query(
            "-- area_box
             select ST_AsEWKB(ST_Envelope(ST_Transform(case when $2 = 3857
               then ST_SetSRID(ST_MakeEnvelope(ST_XMin(g), greatest(ST_YMin(g), -85.06), ST_XMax(g), least(ST_YMax(g), 85.06)), 4326)
               else g end, $2)))
             from (select $1::bytea::geometry as g) a",
        )
        .bind(ewkb)
        .bind(srid)
        .fetch_one(self.connection())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Everything within so many metres of a shape, along the ground, in longitude and latitude as EWKB. Round ends are made of
    /// short lines, so that the edge lies up to a thousandth of the distance too far inside.
    pub(crate) async fn buffer(&mut self, ewkb: &[u8], metres: f64) -> Result<Vec<u8>> {
        let origin = self.area_for(ewkb, 4326).await?;
        let row = sqlx::query(
            "-- area_buffer\nselect ST_AsEWKB(ST_Buffer($1::bytea::geometry::geography, $2, 'quad_segs=32')::geometry)",
        )
        .bind(&origin)
        .bind(metres)
        .fetch_one(self.connection())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Refuses a datum transformation that would have to do something: which one is taken is for PostGIS to choose.
    pub(crate) async fn require_same_datum(
        &mut self,
        name: &'static str,
        transformation: &str,
        srids: &[i32],
    ) -> Result<()> {
        let row = sqlx::query(
            "-- srid_datum
             select array_agg(distinct coalesce(substring(srtext from 'DATUM\\[\"([^\"]+)\"'), srid::text)) from spatial_ref_sys where srid = any($1)",
        )
        .bind(srids)
        .fetch_one(self.connection())
        .await?;
        let datums: Vec<String> = row.try_get::<Option<Vec<String>>, _>(0)?.unwrap_or_default();
        if datums.len() > 1 {
            return Err(Error::invalid(
                name,
                format!(
                    "{transformation} cannot be chosen: PostGIS itself chooses how it goes between {}; leave the parameter out",
                    datums.join(" and ")
                ),
            ));
        }
        Ok(())
    }
}
