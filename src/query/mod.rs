//! The connected reading path: queries on layers and on services, related records, attachments, extents.
//!
//! Each answer is read from one snapshot, and each statement of it is bounded in time.

pub(crate) mod attachments;
pub(crate) mod related;
mod weight;

use std::{pin::pin, sync::Arc};

use futures_util::TryStreamExt as _;
use serde_json::{Value as Json, json};
use sqlx::Row as _;

use crate::{
    app::App,
    error::{Error, Result},
    files::{Finished, Spool},
    format::{
        answer::{self, IdsWriter},
        feature_set::{Column, FeatureSetWriter},
        json::integer,
    },
    model::{
        id::{Generation, LayerId},
        layer::{Layer, Service},
        output::{Encoding, Form},
        query::{Area, Choice, Output, Page, Query, SpatialRelation},
        statistics::{Operand, Table},
    },
    sql::{
        fragment::Fragment,
        select,
        selection::{Past, Reach, Selection},
        statistics,
    },
    store::{
        Session, Snapshot,
        share::{self, Turn},
    },
    wire::{
        geometry::{spatial_reference, type_name},
        output::transform,
        service,
        statistics::table_head,
    },
};

/// Runs a query on a layer. The answer is a document in the form that the query asks for; pages are bounded by the record limit, and
/// made in memory.
pub(crate) async fn run(app: &App, service: &Service, layer: &Layer, query: &Query) -> Result<Finished> {
    when_its_turn_is(app, service, &Asked::One(layer, query)).await
}

/// Runs queries on several layers of a service, all on the same state of it, and at the same moment. The answer is JSON.
pub(crate) async fn run_all(app: &App, service: &Service, queries: &[(Arc<Layer>, Query)]) -> Result<Finished> {
    when_its_turn_is(app, service, &Asked::Several(queries)).await
}

/// What is asked in one request.
enum Asked<'a> {
    One(&'a Layer, &'a Query),
    Several(&'a [(Arc<Layer>, Query)]),
}

/// Answers a request; one with a heavy query when it is the caller's turn. Meanwhile nothing is held that others could use, neither a
/// connection nor a snapshot: all is begun anew.
async fn when_its_turn_is(app: &App, service: &Service, asked: &Asked<'_>) -> Result<Finished> {
    let mut turn = None;
    loop {
        if let Some(finished) = attempt(app, service, asked, &mut turn).await? {
            return Ok(finished);
        }
        turn = Some(share::turn().await?);
    }
}

/// Answers a request, or gives `None` if it has a heavy query and it is not the caller's turn.
async fn attempt(app: &App, service: &Service, asked: &Asked<'_>, turn: &mut Option<Turn>) -> Result<Option<Finished>> {
    let mut session = app.store.session().await?;
    let mut spool = app.files.spool(&Arc::default());
    match *asked {
        Asked::One(layer, query) => {
            let (mut tx, past) = begin(app, &mut session, service, &[layer], query.choice.moment).await?;
            let mut sink = Sink { spool: &mut spool, id: None };
            if !answer(app, &mut tx, layer, query, past, turn, &mut sink).await? {
                return Ok(None);
            }
        }
        Asked::Several(queries) => {
            let layers: Vec<&Layer> = queries.iter().map(|(layer, _)| layer.as_ref()).collect();
            let moment = queries.first().and_then(|(_, query)| query.choice.moment);
            let (mut tx, past) = begin(app, &mut session, service, &layers, moment).await?;
            spool.buffer().extend_from_slice(b"{\"layers\":[");
            for (position, (layer, query)) in queries.iter().enumerate() {
                if position > 0 {
                    spool.buffer().push(b',');
                }
                let mut sink = Sink { spool: &mut spool, id: Some(layer.id) };
                if !answer(app, &mut tx, layer, query, past, turn, &mut sink).await? {
                    return Ok(None);
                }
                spool.relieve().await?;
            }
            spool.buffer().extend_from_slice(b"]}");
        }
    }
    spool.finish().await.map(Some)
}

/// Where the answer for a layer is written.
struct Sink<'a> {
    spool: &'a mut Spool,
    /// The layer whose answer it is, if it stands among those of others.
    id: Option<LayerId>,
}

impl Sink<'_> {
    /// Writes an answer or, if more follows in the spool, how it begins.
    fn begin(&mut self, answer: Vec<u8>) {
        let out = self.spool.buffer();
        match self.id {
            None => *out = answer,
            Some(id) => {
                out.extend_from_slice(b"{\"id\":");
                integer(id.0.into(), out);
                out.push(b',');
                // The answer is an object with members.
                out.extend_from_slice(answer.get(1..).unwrap_or_default());
            }
        }
    }
}

/// A snapshot for a query on layers of a service, and the past that it asks for, if it does. What it is the snapshot of need only
/// be known for that.
async fn begin<'s>(
    app: &App,
    session: &'s mut Session,
    service: &Service,
    layers: &[&Layer],
    moment: Option<i64>,
) -> Result<(Snapshot<'s>, Option<Past>)> {
    let limit_seconds = app.config.max_query_seconds;
    match moment {
        None => Ok((session.look(limit_seconds).await?, None)),
        Some(moment) => {
            let mut tx = session.read(service).await?;
            let past = tx.past(service, layers, moment).await?;
            Ok((tx.into_limited(limit_seconds).await?, past))
        }
    }
}

/// Writes the answer for a layer. False if it is not: the query is heavy, and it is not the caller's turn.
async fn answer(
    app: &App,
    tx: &mut Snapshot<'_>,
    layer: &Layer,
    query: &Query,
    past: Option<Past>,
    turn: &mut Option<Turn>,
    sink: &mut Sink<'_>,
) -> Result<bool> {
    let (choice, encoding) = (&query.choice, query.form.encoding);
    let out_srid = match &query.output {
        Output::Features(page) => page.columns.srid,
        Output::Extent { srid, .. } => Some(*srid),
        _ => None,
    };
    if let Some(srid) = out_srid.filter(|&srid| layer.shape.as_ref().is_none_or(|shape| shape.srid != srid)) {
        tx.require_srid("outSR", srid).await?;
    }
    let reach = reach(tx, layer, choice, out_srid).await?;
    let selection = Selection { choice: Some(choice), reach: reach.as_ref(), past };
    if !weight::may_run(app, tx, weight::doubtful(layer, &query.output, &selection), turn).await? {
        return Ok(false);
    }
    let whole = match &query.output {
        Output::Features(page) => features(tx, layer, &selection, page, &query.form).await?,
        Output::Table(table) => rows(tx, layer, &selection, table, &query.form).await?,
        Output::Ids { order, unique } => {
            ids(tx, layer, &selection, order, *unique, encoding, sink).await?;
            return Ok(true);
        }
        Output::TableCount(table) => {
            let row = tx.one(statistics::count(layer, &selection, table)).await?;
            answer::count(row.try_get(0)?, encoding)
        }
        Output::Count => answer::count(count(tx, layer, &selection).await?, encoding),
        Output::Extent { srid, with_count } => {
            let extent = box_json(tx, layer, &selection, *srid).await?;
            let count = if *with_count { Some(count(tx, layer, &selection).await?) } else { None };
            answer::extent(extent, count, encoding)
        }
    };
    sink.begin(whole);
    Ok(true)
}

/// Brings the shape of a choice into a form in which the database can compare features with it; `None` if it has none.
pub(crate) async fn reach(
    tx: &mut Snapshot<'_>,
    layer: &Layer,
    choice: &Choice,
    out_srid: Option<i32>,
) -> Result<Option<Reach>> {
    let Some(shape) = &layer.shape else { return Ok(None) };
    if let Some(transformation) = &choice.transformation {
        let mut srids = vec![shape.srid];
        srids.extend(choice.area.as_ref().map(|area| area.geometry.srid).into_iter().chain(out_srid));
        tx.require_same_datum("datumTransformation", transformation, &srids).await?;
    }
    let Some(Area { geometry, relation, distance_m }) = &choice.area else { return Ok(None) };
    tx.require_srid("inSR", geometry.srid).await?;
    let invalid = |problem: String| Error::invalid("geometry", format!("it has {problem}"));
    let Some(metres) = *distance_m else {
        let ewkb = geometry.to_area(shape.srid).map_err(invalid)?;
        // A box in the layer's own reference is what it should be already.
        let is_ready = geometry.srid == shape.srid && geometry.is_box();
        let ewkb = if is_ready { ewkb } else { tx.area_for(&ewkb, shape.srid).await? };
        return Ok(Some(Reach::Shape(ewkb, *relation)));
    };
    let ewkb = geometry.to_area(4326).map_err(invalid)?;
    if *relation != SpatialRelation::Intersects {
        let buffer = tx.buffer(&ewkb, metres).await?;
        return Ok(Some(Reach::Shape(tx.area_for(&buffer, shape.srid).await?, *relation)));
    }
    let (origin, bounds) = tx.around(&ewkb, metres).await?;
    // Where degrees are not straight, the box of the corners is not that of the shape.
    let is_straight = shape.srid == 3857 || (4000..5000).contains(&shape.srid);
    let bounds = if is_straight { Some(tx.box_for(&bounds, shape.srid).await?) } else { None };
    Ok(Some(Reach::Around { origin, metres, bounds }))
}

async fn features(
    tx: &mut Snapshot<'_>,
    layer: &Layer,
    selection: &Selection<'_>,
    page: &Page,
    form: &Form,
) -> Result<Vec<u8>> {
    let columns = &page.columns;
    let mut head = service::feature_set_head(layer, columns);
    if let Some(grid) = &form.geometry.grid {
        head["transform"] = transform(grid);
    }
    // A widely used reader of protocol buffers must know the type of geometries also where none come.
    if let (Encoding::Pbf, Some(shape)) = (form.encoding, &layer.shape) {
        head["geometryType"] = type_name(shape.geometry_type).into();
    }
    let named: Vec<Column<'_>> = columns.fields.iter().map(|&index| Column::from(&layer.fields[index])).collect();
    let begin = || FeatureSetWriter::new(&head, &named, columns.srid.is_some(), form);
    // One row more than wanted tells whether there are more.
    let statement = select::page(layer, selection, columns, &page.order, page.offset, page.limit + 1);
    feature_set(tx, statement, begin, page.limit, page.all_or_none).await
}

async fn rows(
    tx: &mut Snapshot<'_>,
    layer: &Layer,
    selection: &Selection<'_>,
    table: &Table,
    form: &Form,
) -> Result<Vec<u8>> {
    let head = table_head(layer, table);
    let named: Vec<Column<'_>> = table.shown().iter().map(|column| Column::from(&column.field)).collect();
    let begin = || FeatureSetWriter::new(&head, &named, false, form);
    let statement = statistics::rows(layer, selection, table, table.limit + 1);
    feature_set(tx, statement, begin, table.limit, table.all_or_none).await
}

/// Writes at most so many rows of a statement and, if there are more, that there are.
async fn feature_set(
    tx: &mut Snapshot<'_>,
    statement: Fragment,
    begin: impl Fn() -> FeatureSetWriter,
    limit: i64,
    all_or_none: bool,
) -> Result<Vec<u8>> {
    let mut writer = begin();
    // Some clients ask for no rows, to see the fields.
    if limit == 0 {
        return Ok(writer.finish(false));
    }
    let mut n_rows = 0;
    let mut rows = pin!(tx.stream(statement)?);
    while let Some(row) = rows.try_next().await? {
        if n_rows == limit {
            let writer = if all_or_none { begin() } else { writer };
            return Ok(writer.finish(true));
        }
        writer.row(&row)?;
        n_rows += 1;
    }
    Ok(writer.finish(false))
}

/// Writes all ids, of which there may be more than memory should hold.
async fn ids(
    tx: &mut Snapshot<'_>,
    layer: &Layer,
    selection: &Selection<'_>,
    order: &[(Operand, bool)],
    unique: bool,
    encoding: Encoding,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let name = &layer.object_id_field().name;
    let mut head = Vec::new();
    let mut writer = match unique {
        false => IdsWriter::begin(name, encoding, &mut head),
        true => IdsWriter::begin_unique(name, &mut head),
    };
    sink.begin(head);
    let mut rows = pin!(tx.stream(select::object_ids(layer, selection, order))?);
    while let Some(row) = rows.try_next().await? {
        writer.id(row.try_get(0)?, sink.spool.buffer())?;
        sink.spool.relieve().await?;
    }
    writer.end(sink.spool.buffer());
    Ok(())
}

async fn count(tx: &mut Snapshot<'_>, layer: &Layer, selection: &Selection<'_>) -> Result<i64> {
    Ok(tx.one(select::count(layer, selection)).await?.try_get(0)?)
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

/// The newest generation of a service, and the oldest from which each of its layers can tell what changed.
pub(crate) async fn generations(app: &App, service: &Service) -> Result<(Generation, Vec<Generation>)> {
    let mut session = app.store.session().await?;
    let tx = session.read(service).await?;
    Ok((tx.generation, service.layers.iter().map(|layer| tx.history.from(layer.key)).collect()))
}
