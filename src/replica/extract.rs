//! extractChanges: what changed between two generations, for whoever asks.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::{
    app::App,
    error::{Error, Result},
    files::Spool,
    model::{
        capability::Capability,
        filter::{Filter, LayerQuery},
        id::{Generation, LayerId},
        layer::{Layer, Service},
        query::{ChangeKinds, Columns},
        replica::SyncModel,
    },
    sql::changes::{Between, Changes},
    store::ReadTx,
    sync::{
        download::AttachmentBytes,
        extract::{self as told, Told},
    },
    wire::{
        extract::{Attachments, ExtractChangesRequest, ExtractedLayer, Output},
        geometry::spatial_reference,
        replica::generations,
    },
};

use super::{
    Run,
    answer::{Answer, Body},
    create::{Lasting, attachment_bytes, filters},
};

/// Tells what changed, in the states at both ends of the window: a row that came and went is not told.
/// `address` is that of the service.
pub(crate) async fn extract(
    app: &App,
    service: &Service,
    address: &str,
    request: &ExtractChangesRequest,
    run: &Run,
) -> Result<Answer> {
    service.require(Capability::ChangeTracking).map_err(Error::NotSupported)?;
    for wanted in &request.layers {
        wanted.layer.require(Capability::ChangeTracking).map_err(Error::NotSupported)?;
    }
    let mut session = app.store.session().await?;
    let mut tx = session.read(service).await?;
    tx.require_srid("outSR", request.srid).await?;
    let mut reached = Vec::with_capacity(request.layers.len());
    for wanted in &request.layers {
        reached.push((wanted.layer.id, check(&tx, wanted)?));
    }
    let layers: Vec<(Arc<Layer>, LayerQuery)> =
        request.layers.iter().map(|wanted| (wanted.layer.clone(), wanted.query.clone())).collect();
    let (_, filters) = filters(&mut tx, service, request.area.as_ref(), &layers, Lasting::Yes).await?;
    let bytes = attachment_bytes(app, address, request.attachments != Some(Attachments::Embedded));
    let extraction = Extraction { service, request, filters: &filters, reached: &reached, bytes };
    let (spool, n_changes) = match request.output {
        Output::Extent { cells } => extraction.write_extent(app.files.spool(&run.progress), &mut tx, cells).await?,
        _ => extraction.write_edits(app.files.spool(&run.progress), &mut tx).await?,
    };
    tx.end().await?;

    let mut head = Map::new();
    generations(SyncModel::PerLayer, &reached, &mut head);
    head.insert("transportType".to_owned(), request.transport.name().into());
    let response =
        if n_changes > 0 { "esriDataChangesResponseTypeEdits" } else { "esriDataChangesResponseTypeNoEdits" };
    head.insert("responseType".to_owned(), response.into());
    tracing::info!(service.name = service.name, n_layers = layers.len(), n_changes, "changes extracted");
    let answer = match n_changes {
        0 => Answer { head, body: Body::Nothing, refused: false },
        _ => Answer::finish(head, request.transport, app, spool).await?,
    };
    let mut tx = session.own().await?;
    answer.register(&mut tx, service, None, run).await?;
    tx.commit().await?;
    Ok(answer)
}

/// The upper end of a layer's window, if the history has all of it.
fn check(tx: &ReadTx<'_>, wanted: &ExtractedLayer) -> Result<Generation> {
    tx.history.require_tracking(&wanted.layer)?;
    let upto = wanted.upto.unwrap_or(tx.generation);
    for presented in [wanted.after, upto] {
        if tx.history.is_lost(presented) {
            return Err(Error::LostGeneration { presented });
        }
        if presented > tx.generation {
            return Err(Error::invalid(
                "serverGens",
                format!(
                    "generation {presented} lies in the future of this service, whose newest is {}; it is not of this service, or the service was restored to an earlier state",
                    tx.generation
                ),
            ));
        }
    }
    let history_from = tx.history.from(wanted.layer.key);
    if wanted.after < history_from {
        return Err(Error::invalid(
            "serverGens",
            format!(
                "the changes since generation {} are no longer kept (minServerGen is {history_from}); read the features with query, and go on from the serverGen that changeTrackingInfo names",
                wanted.after
            ),
        ));
    }
    Ok(upto)
}

struct Extraction<'a> {
    service: &'a Service,
    request: &'a ExtractChangesRequest,
    filters: &'a [Filter],
    /// The upper ends, in the order of the layers.
    reached: &'a [(LayerId, Generation)],
    /// How the bytes of attachments are given.
    bytes: AttachmentBytes<'a>,
}

impl Extraction<'_> {
    fn changes<'c>(&'c self, tx: &ReadTx<'_>, index: usize, columns: &'c Columns) -> Changes<'c> {
        let wanted = &self.request.layers[index];
        let kinds = self.request.kinds;
        Changes {
            window: self.window(tx, index, &self.filters[index]),
            columns,
            compared: &wanted.compared,
            kinds: ChangeKinds {
                // What updates changed may be asked without the updates themselves.
                updates: kinds.updates || self.request.has_geometry_updates || !wanted.compared.is_empty(),
                ..kinds
            },
        }
    }

    fn window<'c>(&self, tx: &ReadTx<'_>, index: usize, filter: &'c Filter) -> Between<'c> {
        let (after, upto) = (self.request.layers[index].after, self.reached[index].1);
        Between {
            service: self.service.key.0,
            filter,
            after: after.get(),
            upto: upto.get(),
            is_past: upto < tx.generation,
        }
    }

    /// Writes `{"edits":[…]`.
    async fn write_edits(&self, mut spool: Spool, tx: &mut ReadTx<'_>) -> Result<(Spool, u64)> {
        let mut n_changes = 0;
        spool.buffer().extend_from_slice(b"{\"edits\":[");
        for (index, wanted) in self.request.layers.iter().enumerate() {
            let layer = &wanted.layer;
            let columns = Columns::visible(layer, self.request.srid);
            let changes = self.changes(tx, index, &columns);
            let wish = Told {
                ids_only: self.request.output == Output::Ids,
                deleted_features: self.request.output == Output::Features { deleted: true },
                updates: self.request.kinds.updates,
            };
            let what = if wish.ids_only { "objectIds" } else { "features" };
            let head = format!("{}{{\"id\":{},\"{what}\":{{", if index > 0 { "," } else { "" }, layer.id);
            spool.buffer().extend_from_slice(head.as_bytes());
            let found = told::changes(tx, layer, &changes, wish, self.bytes, &mut spool).await?;
            spool.buffer().push(b'}');
            n_changes += found.n_rows;
            if !wish.ids_only {
                n_changes += self.write_attachments(&mut spool, tx, index).await?;
            }
            if self.request.has_geometry_updates {
                let text = format!(",\"hasGeometryUpdates\":{}", found.geometry_changed);
                spool.buffer().extend_from_slice(text.as_bytes());
            }
            if !wanted.compared.is_empty() {
                let text = json!(found.field_updates).to_string();
                spool.buffer().extend_from_slice(b",\"fieldUpdates\":");
                spool.buffer().extend_from_slice(text.as_bytes());
            }
            spool.buffer().push(b'}');
        }
        spool.buffer().push(b']');
        Ok((spool, n_changes))
    }

    /// Writes `,"attachments":{…}`. Their lists are always there, since clients ask for their length.
    async fn write_attachments(&self, spool: &mut Spool, tx: &mut ReadTx<'_>, index: usize) -> Result<u64> {
        spool.buffer().extend_from_slice(b",\"attachments\":{");
        let layer = &self.request.layers[index].layer;
        let n_changes = match layer.attachments.as_ref().filter(|_| self.request.attachments.is_some()) {
            None => {
                spool.buffer().extend_from_slice(b"\"adds\":[],\"updates\":[],\"deleteIds\":[]");
                0
            }
            Some(table) => {
                let columns = Columns::visible(table, self.request.srid);
                let kinds = self.request.kinds;
                let filter = match &self.filters[index] {
                    // When a feature goes, its attachments go in the same transaction.
                    Filter::All => Filter::All,
                    features => Filter::of_attachments(layer, features.clone()),
                };
                let window = self.window(tx, index, &filter);
                let changes = Changes { window, columns: &columns, compared: &[], kinds };
                let wish = Told { ids_only: false, deleted_features: false, updates: kinds.updates };
                told::changes(tx, table, &changes, wish, self.bytes, spool).await?.n_rows
            }
        };
        spool.buffer().push(b'}');
        Ok(n_changes)
    }

    /// Writes `{"extent":{…}` and, if it is to be divided, `,"extents":[…]`.
    async fn write_extent(&self, mut spool: Spool, tx: &mut ReadTx<'_>, cells: Option<i32>) -> Result<(Spool, u64)> {
        let srid = self.request.srid;
        let mut whole: Option<[f64; 4]> = None;
        for (index, wanted) in self.request.layers.iter().enumerate() {
            let columns = Columns::visible(&wanted.layer, srid);
            let found = told::extent(tx, &wanted.layer, &self.changes(tx, index, &columns), srid).await?;
            whole = match (whole, found) {
                (Some(a), Some(b)) => Some([a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]),
                (a, b) => a.or(b),
            };
        }
        let Some(whole) = whole else {
            spool.buffer().push(b'{');
            return Ok((spool, 0));
        };
        let mut document = json!({"extent": envelope(whole, srid)});
        if let Some(n_cells) = cells {
            let mut reached: Vec<(i32, i32)> = Vec::new();
            for (index, wanted) in self.request.layers.iter().enumerate() {
                let columns = Columns::visible(&wanted.layer, srid);
                let changes = self.changes(tx, index, &columns);
                reached.extend(told::cells(tx, &wanted.layer, &changes, srid, whole, n_cells).await?);
            }
            reached.sort_unstable_by_key(|(column, row)| (*row, *column));
            reached.dedup();
            document["extents"] =
                reached.into_iter().map(|cell| envelope(cell_box(whole, n_cells, cell), srid)).collect();
        }
        let text = document.to_string();
        // Open, for the members that describe it.
        spool.buffer().extend_from_slice(text.strip_suffix('}').unwrap_or(&text).as_bytes());
        Ok((spool, 1))
    }
}

fn cell_box([xmin, ymin, xmax, ymax]: [f64; 4], n_cells: i32, (column, row): (i32, i32)) -> [f64; 4] {
    let (width, height) = ((xmax - xmin) / f64::from(n_cells), (ymax - ymin) / f64::from(n_cells));
    let at = |from: f64, step: f64, index: i32| from + step * f64::from(index);
    [at(xmin, width, column), at(ymin, height, row), at(xmin, width, column + 1), at(ymin, height, row + 1)]
}

fn envelope([xmin, ymin, xmax, ymax]: [f64; 4], srid: i32) -> Json {
    json!({"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax, "spatialReference": spatial_reference(srid)})
}
