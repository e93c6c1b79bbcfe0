//! The connected reading path: queries, object ids, counts and extents of one layer.

pub(crate) mod attachments;

use std::pin::pin;

use futures_util::TryStreamExt as _;
use serde_json::{Value as Json, json};
use sqlx::Row as _;

use crate::{
    app::App,
    error::{Error, Result},
    format::{
        answer::{self, IdsWriter},
        feature_set::{Column, FeatureSetWriter},
    },
    model::{
        id::Generation,
        layer::{Layer, Service},
        output::{Encoding, Form},
        query::{Output, Page, Query},
    },
    sql::select::{self, Selection},
    store::Snapshot,
    wire::{geometry::spatial_reference, output::transform, service},
};

/// Runs a query on a layer. The answer is a JSON document; pages are bounded by the record limit.
pub(crate) async fn run(app: &App, layer: &Layer, query: &Query) -> Result<Vec<u8>> {
    let mut session = app.store.session().await?;
    let mut tx = session.look().await?;
    let mut area = None;
    if let (Some((geometry, relation)), Some(shape)) = (&query.area, &layer.shape) {
        tx.require_srid("inSR", geometry.srid).await?;
        let ewkb =
            geometry.to_area(shape.srid).map_err(|problem| Error::invalid("geometry", format!("it has {problem}")))?;
        // A box in the layer's own reference is what it should be already.
        let is_ready = geometry.srid == shape.srid && geometry.is_box();
        let ewkb = if is_ready { ewkb } else { tx.area_for(&ewkb, shape.srid).await? };
        area = Some((ewkb, *relation));
    }
    let selection =
        Selection { rows: query.rows.as_ref(), object_ids: query.object_ids.as_deref(), area: area.as_ref() };
    match &query.output {
        Output::Features(page) => features(&mut tx, layer, &selection, page, &query.form).await,
        Output::Ids => ids(&mut tx, layer, &selection, query.form.encoding).await,
        Output::Count => {
            let row = tx.one(select::count(layer, &selection)).await?;
            Ok(answer::count(row.try_get(0)?, query.form.encoding))
        }
        Output::Extent { srid, with_count } => {
            tx.require_srid("outSR", *srid).await?;
            let extent = box_json(&mut tx, layer, &selection, *srid).await?;
            let mut count = None;
            if *with_count {
                count = Some(tx.one(select::count(layer, &selection)).await?.try_get(0)?);
            }
            Ok(answer::extent(extent, count, query.form.encoding))
        }
    }
}

async fn features(
    tx: &mut Snapshot<'_>,
    layer: &Layer,
    selection: &Selection<'_>,
    page: &Page,
    form: &Form,
) -> Result<Vec<u8>> {
    let columns = &page.columns;
    if let Some(srid) = columns.srid.filter(|&srid| layer.shape.as_ref().is_none_or(|shape| shape.srid != srid)) {
        tx.require_srid("outSR", srid).await?;
    }
    let mut head = service::feature_set_head(layer, columns);
    if let Some(grid) = &form.geometry.grid {
        head["transform"] = transform(grid);
    }
    let named: Vec<Column<'_>> = columns.fields.iter().map(|&index| Column::from(&layer.fields[index])).collect();
    let mut writer = FeatureSetWriter::new(&head, &named, columns.srid.is_some(), form);
    let mut n_features = 0;
    let mut more = false;
    if page.limit > 0 {
        // One row more than wanted tells whether there are more.
        let mut rows =
            pin!(tx.stream(select::page(layer, selection, columns, &page.order, page.offset, page.limit + 1))?);
        while let Some(row) = rows.try_next().await? {
            if n_features == page.limit {
                more = true;
                break;
            }
            writer.row(&row)?;
            n_features += 1;
        }
    }
    Ok(writer.finish(more))
}

async fn ids(tx: &mut Snapshot<'_>, layer: &Layer, selection: &Selection<'_>, encoding: Encoding) -> Result<Vec<u8>> {
    let mut writer = IdsWriter::new(&layer.object_id_field().name, encoding);
    let mut rows = pin!(tx.stream(select::object_ids(layer, selection))?);
    while let Some(row) = rows.try_next().await? {
        writer.id(row.try_get(0)?);
    }
    Ok(writer.finish())
}

async fn box_json(tx: &mut Snapshot<'_>, layer: &Layer, selection: &Selection<'_>, srid: i32) -> Result<Json> {
    let Some(statement) = select::extent(layer, selection, srid) else {
        return Err(Error::invalid("returnExtentOnly", "the layer is a table and has no geometry"));
    };
    let row = tx.one(statement).await?;
    let corner = |index| row.try_get::<Option<f64>, _>(index);
    Ok(match (corner(0)?, corner(1)?, corner(2)?, corner(3)?) {
        (Some(xmin), Some(ymin), Some(xmax), Some(ymax)) => {
            json!({"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax, "spatialReference": spatial_reference(srid)})
        }
        // Some clients look for the text.
        _ => {
            json!({"xmin": "NaN", "ymin": "NaN", "xmax": "NaN", "ymax": "NaN", "spatialReference": spatial_reference(srid)})
        }
    })
}

/// A box round each layer of a service, quickly: from the planner's statistics or the spatial index where there are some.
pub(crate) async fn extents(app: &App, service: &Service) -> Result<Vec<Option<[f64; 4]>>> {
    let mut session = app.store.session().await?;
    let mut tx = session.read(service).await?;
    let mut extents = Vec::with_capacity(service.layers.len());
    for layer in &service.layers {
        let mut found = None;
        for statement in [
            select::estimated_extent(layer),
            select::extent(layer, &Selection::default(), layer.shape.as_ref().map_or(0, |s| s.srid)),
        ] {
            let Some(statement) = statement else { continue };
            let row = tx.one(statement).await?;
            let corner = |index| row.try_get::<Option<f64>, _>(index);
            if let (Some(xmin), Some(ymin), Some(xmax), Some(ymax)) = (corner(0)?, corner(1)?, corner(2)?, corner(3)?) {
                found = Some([xmin, ymin, xmax, ymax]);
                break;
            }
        }
        extents.push(found);
    }
    Ok(extents)
}

/// The newest generation of a service, and the oldest from which each of its layers can tell what changed.
pub(crate) async fn generations(app: &App, service: &Service) -> Result<(Generation, Vec<Generation>)> {
    let mut session = app.store.session().await?;
    let tx = session.read(service).await?;
    Ok((tx.generation, service.layers.iter().map(|layer| tx.history.from(layer.key)).collect()))
}
