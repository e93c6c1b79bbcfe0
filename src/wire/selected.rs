//! Which rows an operation is to change: the parameters of deleteFeatures and calculate.
//!
//! API reference: *Delete Features*, *Calculate*. Conditions that are given together must all be true.

use crate::{
    error::{Error, Result},
    model::{geometry::Geometry, layer::Layer, predicate::Predicate, query::SpatialRelation},
};

use super::{
    geometry::{parse_area, parse_spatial_reference},
    params::Params,
    query::relation,
};

/// The rows that an operation is to change: all of them if nothing is said.
#[derive(Debug, Default)]
pub(crate) struct SelectedRows {
    /// The where clause.
    pub(crate) rows: Option<Predicate>,
    /// Object ids to choose from.
    pub(crate) object_ids: Option<Vec<i64>>,
    /// A shape that they must stand in a relation to.
    pub(crate) area: Option<(Geometry, SpatialRelation)>,
}

impl SelectedRows {
    /// Reads them.
    pub(crate) fn parse(params: &Params, layer: &Layer) -> Result<SelectedRows> {
        let rows = match params.text("where") {
            Some(text) => Some(
                Predicate::parse(text, &layer.fields).map_err(|error| Error::invalid("where", error.to_string()))?,
            ),
            None => None,
        };
        let area = match (params.text("geometry"), &layer.shape) {
            (None, _) => None,
            // Passed over, it would let more rows be changed than were meant.
            (Some(_), None) => {
                return Err(Error::invalid(
                    "geometry",
                    format!("layer {} is a table and has no geometry; nothing was changed", layer.id),
                ));
            }
            (Some(text), Some(shape)) => {
                let srid = match params.text("inSR") {
                    Some(text) => parse_spatial_reference("inSR", text)?.unwrap_or(shape.srid),
                    None => shape.srid,
                };
                let relation = params
                    .word(
                        "spatialRel",
                        "esriSpatialRelIntersects, Contains, Within, Crosses, Touches, Overlaps, EnvelopeIntersects",
                        relation,
                    )?
                    .unwrap_or(SpatialRelation::Intersects);
                parse_area("geometry", text, srid)?.map(|area| (area, relation))
            }
        };
        Ok(SelectedRows { rows, object_ids: params.ids("objectIds")?, area })
    }

    /// Whether nothing was said.
    pub(crate) fn is_all(&self) -> bool {
        self.rows.is_none() && self.object_ids.is_none() && self.area.is_none()
    }
}
