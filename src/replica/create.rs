//! createReplica.

use uuid::Uuid;

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        filter::{Filter, QueryOption},
        id::{Generation, LayerId, ReplicaId},
        layer::Service,
        replica::NewReplica,
    },
    store::{ReadTx, replicas::filter_of},
    sync::download,
    wire::replica::{CreateReplicaRequest, Transport},
};

use super::answer::{Answer, ResponseType, Subject};

/// Registers a replica and gives its data, both as of one snapshot. The replica is not visible before its data is
/// complete, and nothing remains of it if that fails.
pub(crate) async fn create(app: &App, service: &Service, request: CreateReplicaRequest) -> Result<Answer> {
    let CreateReplicaRequest { replica: new, transport, .. } = request;
    let id = ReplicaId(Uuid::new_v4());
    let mut session = app.store.session().await?;

    let mut tx = session.read(service).await?;
    let generation = tx.generation;
    tx.require_srid("replicaSR", new.srid).await?;
    let (areas, filters) = filters(&mut tx, service, &new).await?;
    let mut spool = app.files.spool();
    spool.buffer().extend_from_slice(b"{\"layers\":[");
    for (position, ((layer, _), filter)) in new.layers.iter().zip(&filters).enumerate() {
        let head = format!("{}{{\"id\":{},\"features\":[", if position > 0 { "," } else { "" }, layer.id);
        spool.buffer().extend_from_slice(head.as_bytes());
        download::snapshot(&mut tx, layer, filter, new.srid, &mut spool).await?;
        spool.buffer().extend_from_slice(b"]}");
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
