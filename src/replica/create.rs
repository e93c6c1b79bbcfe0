//! createReplica.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    app::App,
    error::{Error, Result},
    files::Spool,
    model::{
        filter::{Filter, QueryOption},
        id::{Generation, LayerId, ReplicaId},
        layer::{Layer, Service},
        replica::NewReplica,
    },
    store::{ReadTx, replicas::filter_of},
    sync::download::{self, AttachmentBytes},
    wire::replica::{CreateReplicaRequest, Transport},
};

use super::answer::{Answer, ResponseType, Subject};

/// Registers a replica and gives its data, both as of one snapshot. The replica is not visible before its data is
/// complete, and nothing remains of it if that fails.
/// `address` is that of the service.
pub(crate) async fn create(
    app: &App,
    service: &Service,
    address: &str,
    request: CreateReplicaRequest,
) -> Result<Answer> {
    let CreateReplicaRequest { replica: new, transport, attachments_by_url } = request;
    let id = ReplicaId(Uuid::new_v4());
    let mut session = app.store.session().await?;

    let mut tx = session.read(service).await?;
    let generation = tx.generation;
    tx.require_srid("replicaSR", new.srid).await?;
    let (areas, filters) = filters(&mut tx, service, &new).await?;
    let bytes = attachment_bytes(app, address, attachments_by_url);
    let mut spool = app.files.spool();
    spool.buffer().extend_from_slice(b"{\"layers\":[");
    for (position, ((layer, _), filter)) in new.layers.iter().zip(&filters).enumerate() {
        if position > 0 {
            spool.buffer().push(b',');
        }
        let content = LayerContent { layer, filter, srid: new.srid, attachments: new.return_attachments };
        write_content(&mut tx, &content, bytes, &mut spool).await?;
    }
    spool.buffer().push(b']');
    tx.end().await?;

    let mut tx = session.own().await?;
    let name = tx.replica_insert(service, id, &new, &areas, generation).await?;
    let generations: Vec<(LayerId, Generation)> = new.layers.iter().map(|(layer, _)| (layer.id, generation)).collect();
    let subject = Subject {
        id,
        name: &name,
        model: new.sync_model,
        generations: &generations,
        transport,
        response: ResponseType::Data,
    };
    let answer = subject.finish(app, spool).await?;
    answer.register(app, &mut tx, service.key, id).await?;
    tx.commit().await?;
    tracing::info!(
        service.name = service.name, replica.id = %id, %generation, n_layers = new.layers.len(), by_url = transport == Transport::Url,
        "replica created"
    );
    Ok(answer)
}

/// How the bytes of attachments are given in a document.
pub(super) fn attachment_bytes<'a>(app: &'a App, address: &'a str, by_url: bool) -> AttachmentBytes<'a> {
    if by_url { AttachmentBytes::Address(address) } else { AttachmentBytes::Embedded(&app.files) }
}

/// A layer of which everything is given.
pub(super) struct LayerContent<'a> {
    pub(super) layer: &'a Arc<Layer>,
    pub(super) filter: &'a Filter,
    /// The spatial reference in which it is wanted.
    pub(super) srid: i32,
    /// Whether its attachments come along.
    pub(super) attachments: bool,
}

/// Appends `{"id":…,"features":[…],"attachments":[…]}`. Returns how many rows.
pub(super) async fn write_content(
    tx: &mut ReadTx<'_>,
    content: &LayerContent<'_>,
    bytes: AttachmentBytes<'_>,
    spool: &mut Spool,
) -> Result<u64> {
    let LayerContent { layer, filter, srid, attachments } = *content;
    spool.buffer().extend_from_slice(format!("{{\"id\":{},\"features\":[", layer.id).as_bytes());
    let mut n_rows = download::snapshot(tx, layer, filter, srid, bytes, spool).await?;
    spool.buffer().push(b']');
    if let Some(table) = &layer.attachments {
        spool.buffer().extend_from_slice(b",\"attachments\":[");
        if attachments {
            let filter = Filter::of_attachments(layer, filter.clone());
            n_rows += download::snapshot(tx, table, &filter, srid, bytes, spool).await?;
        }
        spool.buffer().push(b']');
    }
    spool.buffer().push(b'}');
    Ok(n_rows)
}

/// What each layer's query means: its area in its own reference, and the filter of it.
async fn filters(
    tx: &mut ReadTx<'_>,
    service: &Service,
    new: &NewReplica,
) -> Result<(Vec<Option<Vec<u8>>>, Vec<Filter>)> {
    if let Some(area) = &new.area {
        tx.require_srid("inSR", area.geometry.srid).await?;
    }
    let (mut areas, mut filters) = (Vec::new(), Vec::new());
    for (layer, query) in &new.layers {
        let restricts = query.option == QueryOption::UseFilter && query.use_geometry;
        let area = match (&new.area, &layer.shape) {
            (Some(area), Some(shape)) if restricts => {
                let ewkb = area.geometry.to_area(shape.srid);
                let ewkb = ewkb.map_err(|problem| Error::invalid("geometry", format!("it has {problem}")))?;
                Some(tx.area_for(&ewkb, shape.srid).await?)
            }
            _ => None,
        };
        let filter = filter_of(layer, query, area.clone())?;
        if let Filter::Matching { rows: Some(rows), .. } = &filter
            && rows.is_volatile()
        {
            return Err(Error::invalid(
                "layerQueries",
                format!(
                    "layer {}: the where clause asks for the current time, so rows would enter and leave the replica without any edit; \
                     compare with a fixed date instead",
                    layer.id
                ),
            ));
        }
        areas.push(area);
        filters.push(filter);
    }
    let filters = Filter::with_relationships(service, &new.layers, &filters);
    Ok((areas, filters))
}
