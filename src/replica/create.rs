//! createReplica.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::{
    app::App,
    error::{Error, Result},
    files::Spool,
    gdal,
    model::{
        capability::Capability,
        data_format::DataFormat,
        filter::{Area, Filter, LayerQuery, QueryOption},
        guard::RowPolicy,
        id::{Generation, LayerId, ReplicaId},
        layer::{Layer, Service},
        predicate::Predicate,
        query::Columns,
        replica::{NewReplica, Replica, SyncDirection, TargetType},
    },
    sqlite::{esri::Details, geopackage::Documents},
    store::{
        ReadTx, Session,
        replicas::{Holding, filter_of},
    },
    sync::download::{self, AttachmentBytes},
    wire::{
        geometry::{parse_area, spatial_reference},
        options::{Held, Purpose, Reference},
        replica::{CreateReplicaRequest, Transport},
    },
};

use super::{
    Run,
    answer::{Answer, Body, Content, ResponseType, Subject},
    database::{self, NewFile},
    export,
    owner::require_unlimited,
    room::{Written, require_room_for_attachments, require_room_for_features},
};

/// Gives data, registers who holds it, or both. `address` is that of the service.
pub(crate) async fn create(
    app: &App,
    service: &Service,
    address: &str,
    request: CreateReplicaRequest,
    run: &Run,
) -> Result<Answer> {
    let CreateReplicaRequest {
        purpose,
        replica: new,
        transport,
        format,
        open_mirror,
        attachments_by_url,
        fields,
        transformations,
    } = request;
    let needed = if matches!(purpose, Purpose::Export) { Capability::Extract } else { Capability::Sync };
    service.require(needed).map_err(Error::NotSupported)?;
    for (layer, _) in &new.layers {
        layer.require(needed).map_err(Error::NotSupported)?;
    }
    if new.target == TargetType::Server {
        require_unlimited(service, new.direction.uploads())?;
    }
    if let Some(transformations) = transformations {
        require_same_datum(app, service, &new, &transformations).await?;
    }
    gdal::require(format).await?;
    let bytes = attachment_bytes(app, address, attachments_by_url);
    let documents = match format {
        DataFormat::MobileGeodatabase | DataFormat::GeoPackage => Some(database::documents(app, service, &new).await?),
        _ => None,
    };
    let is_geodatabase = format == DataFormat::MobileGeodatabase;
    let details = is_geodatabase.then(|| database::details(service, &new, open_mirror));
    let delivery = Delivery { address, transport, format, documents, details, bytes };
    match purpose {
        Purpose::Replica => with_data(app, service, &new, &delivery, run).await,
        Purpose::Export if !format.is_for_replicas() => {
            export::export(app, service, (&new, &fields), address, format, run).await
        }
        Purpose::Export => export(app, service, (&new, &fields), &delivery, run).await,
        Purpose::Existing(reference) => existing(app, service, new, &reference, run).await,
    }
}

/// How data is given.
struct Delivery<'a> {
    /// The address of the service.
    address: &'a str,
    transport: Transport,
    format: DataFormat,
    /// What a database says of the service.
    documents: Option<Documents>,
    /// What a mobile geodatabase holds beside rows.
    details: Option<Details>,
    /// How a document has the bytes of attachments.
    bytes: AttachmentBytes<'a>,
}

/// Registers a replica and gives its data, both as of one snapshot. The replica is not visible before its data is
/// complete, and nothing remains of it if that fails.
async fn with_data(
    app: &App,
    service: &Service,
    new: &NewReplica,
    delivery: &Delivery<'_>,
    run: &Run,
) -> Result<Answer> {
    let id = ReplicaId(Uuid::new_v4());
    let mut session = app.store.session().await?;
    // Known now rather than when all is written.
    session.own().await?.quota_replicas(&app.config.quotas(), service).await?;
    let mut tx = session.read(service).await?;
    let generation = tx.generation;
    for (layer, _) in &new.layers {
        tx.history.require_tracking(layer)?;
    }
    let (areas, filters) = filters(&mut tx, service, new.area.as_ref(), &new.layers, Lasting::Yes).await?;
    let file = NewFile {
        service,
        address: delivery.address,
        new,
        fields: &[],
        id: Some(id),
        becomes: None,
        documents: delivery.documents.as_ref(),
        details: delivery.details.as_ref(),
    };
    let content = write_content_as(app, &mut tx, delivery, &file, &filters, run).await?;
    tx.end().await?;

    let holdings: Vec<Holding> = areas
        .into_iter()
        .zip(&new.layers)
        .map(|(area, (layer, _))| Holding {
            area,
            given: generation,
            sibling: None,
            policy: layer.guard.read.clone(),
            hidden: new.hidden(layer),
        })
        .collect();
    let mut tx = session.own().await?;
    tx.quota_replicas(&app.config.quotas(), service).await?;
    let name = tx.replica_insert(service, id, new, &holdings).await?;
    tx.replica_note_client(id, &run.client).await?;
    let mut head = head(id, &name, new, &holdings, delivery.transport, ResponseType::Data);
    if new.target == TargetType::Server {
        // What the other server needs to know beside, to register the same replica.
        head.insert("syncDirection".to_owned(), new.direction.name().into());
        head.insert("spatialReference".to_owned(), spatial_reference(new.srid));
        head.insert("returnAttachments".to_owned(), new.return_attachments.into());
        head.insert("attachmentsSyncDirection".to_owned(), new.attachments_direction.name().into());
    }
    let answer = match content {
        Content::Document(spool) => Answer::finish(head, delivery.transport, app, spool).await?,
        Content::Database(database, format) => {
            Answer::of_file(head, app, database.finish(Some(name)).await?, format).await?
        }
    };
    answer.register(&mut tx, service, Some(id), run).await?;
    tx.commit().await?;
    tracing::info!(
        service.name = service.name, replica.id = %id, %generation, n_layers = new.layers.len(), by_url = delivery.transport == Transport::Url,
        format = delivery.format.name(), "replica created"
    );
    Ok(answer)
}

/// Gives data of which nothing is kept in mind.
async fn export(
    app: &App,
    service: &Service,
    (new, fields): (&NewReplica, &[Option<Vec<usize>>]),
    delivery: &Delivery<'_>,
    run: &Run,
) -> Result<Answer> {
    let mut session = app.store.session().await?;
    let mut tx = session.read(service).await?;
    let (_, filters) = filters(&mut tx, service, new.area.as_ref(), &new.layers, Lasting::No).await?;
    let file = NewFile {
        service,
        address: delivery.address,
        new,
        fields,
        id: None,
        becomes: None,
        documents: delivery.documents.as_ref(),
        details: delivery.details.as_ref(),
    };
    let content = write_content_as(app, &mut tx, delivery, &file, &filters, run).await?;
    tx.end().await?;

    let head = export_head(new, delivery.transport);
    let answer = match content {
        Content::Document(spool) => Answer::finish(head, delivery.transport, app, spool).await?,
        Content::Database(database, format) => Answer::of_file(head, app, database.finish(None).await?, format).await?,
    };
    let mut tx = session.own().await?;
    answer.register(&mut tx, service, None, run).await?;
    tx.commit().await?;
    tracing::info!(
        service.name = service.name,
        n_layers = new.layers.len(),
        by_url = delivery.transport == Transport::Url,
        format = delivery.format.name(),
        "data exported"
    );
    Ok(answer)
}

/// The members that describe an export.
pub(super) fn export_head(new: &NewReplica, transport: Transport) -> Map<String, Json> {
    let mut head = Map::new();
    head.insert("replicaName".to_owned(), new.name.as_deref().unwrap_or_default().into());
    // Clients look for the member; there is nothing that could be synchronized under it.
    head.insert("replicaID".to_owned(), "".into());
    head.insert("transportType".to_owned(), transport.name().into());
    head.insert("responseType".to_owned(), ResponseType::Data.name().into());
    head.insert("syncModel".to_owned(), "none".into());
    head.insert("targetType".to_owned(), new.target.name().into());
    head
}

/// Writes the data in the form that is asked for.
async fn write_content_as<'a>(
    app: &'a App,
    tx: &mut ReadTx<'_>,
    delivery: &Delivery<'_>,
    file: &NewFile<'_>,
    filters: &[Filter],
    run: &'a Run,
) -> Result<Content<'a>> {
    Ok(match delivery.format {
        DataFormat::Json => {
            let spool = app.files.spool(&run.progress);
            Content::Document(write_layers(spool, tx, (file.new, file.fields), filters, delivery.bytes).await?)
        }
        _ => {
            let (database, _) = database::write_new(app, tx, file, filters, run).await?;
            Content::Database(database, delivery.format)
        }
    })
}

/// Registers a replica of which the client has the data already, as a copy of another replica's.
async fn existing(app: &App, service: &Service, new: NewReplica, reference: &Reference, run: &Run) -> Result<Answer> {
    let id = ReplicaId(Uuid::new_v4());
    let mut session = app.store.session().await?;
    // Whose it is does not matter: a copy that one user made is handed out to others.
    let found = match reference.replica() {
        Some(id) => session.own().await?.replica_refer(service, id).await?,
        None => None,
    };
    let new = match &found {
        Some(found) => like(found, new)?,
        None if new.layers.is_empty() => {
            return Err(Error::invalid(
                "replicaOptions",
                format!(
                    "reference replica not found: '{}' is not registered with this service, or no longer; name layers and layerQueries of the copy",
                    crate::model::value::brief(reference.id.as_deref().unwrap_or_default())
                ),
            ));
        }
        None => new,
    };
    let mut tx = session.read(service).await?;
    tx.require_srid("replicaSR", new.srid).await?;
    let (areas, _) = filters(&mut tx, service, new.area.as_ref(), &new.layers, Lasting::Yes).await?;
    let mut holdings = Vec::with_capacity(areas.len());
    for ((layer, _), area) in new.layers.iter().zip(areas) {
        let given = held(&tx, &reference.held, layer)?;
        // The copy has what could be seen by whom it was made for; the next synchronization brings it to what may be seen now.
        let (policy, hidden) = match &found {
            Some(found) => (found.policy_of(layer.key, given), found.hidden_of(layer.key, given).to_vec()),
            None => (layer.guard.read.clone(), new.hidden(layer)),
        };
        holdings.push(Holding { area, given, sibling: None, policy, hidden });
    }
    tx.end().await?;
    let answer = register(app, &mut session, service, (id, &new, &holdings), run).await?;
    tracing::info!(service.name = service.name, replica.id = %id, "replica of existing data registered");
    Ok(answer)
}

async fn register(
    app: &App,
    session: &mut Session,
    service: &Service,
    (id, new, holdings): (ReplicaId, &NewReplica, &[Holding]),
    run: &Run,
) -> Result<Answer> {
    let mut tx = session.own().await?;
    tx.quota_replicas(&app.config.quotas(), service).await?;
    let name = tx.replica_insert(service, id, new, holdings).await?;
    tx.replica_note_client(id, &run.client).await?;
    let head = head(id, &name, new, holdings, Transport::Embedded, ResponseType::Info);
    let answer = Answer { head, body: Body::Nothing, refused: false };
    answer.register(&mut tx, service, Some(id), run).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Refuses datum transformations that would have to do something, for any layer of a replica.
async fn require_same_datum(app: &App, service: &Service, new: &NewReplica, transformations: &str) -> Result<()> {
    let of_layers = new.layers.iter().filter_map(|(layer, _)| Some(layer.shape.as_ref()?.srid));
    let mut srids: Vec<i32> = of_layers.collect();
    srids.push(new.srid);
    srids.extend(new.area.as_ref().map(|area| area.geometry.srid));
    let mut session = app.store.session().await?;
    let mut tx = session.read(service).await?;
    tx.require_same_datum("datumTransformations", transformations, &srids).await?;
    tx.end().await
}

/// How recent the copy of a layer is, if a delta can begin there.
fn held(tx: &ReadTx<'_>, held: &Held, layer: &Layer) -> Result<Generation> {
    let generation = match held {
        Held::Current => tx.generation,
        Held::All(generation) => *generation,
        Held::Layers(list) => {
            let found = list.iter().find(|(id, _)| *id == layer.id);
            found.map(|(_, generation)| *generation).ok_or_else(|| {
                Error::invalid(
                    "replicaOptions",
                    format!(
                        "refLayerServerGens has no generation of layer {}; every layer of the replica needs one",
                        layer.id
                    ),
                )
            })?
        }
    };
    tx.history.check(layer, SyncDirection::Download, Some(generation))?;
    Ok(generation)
}

/// What was asked for, with the definition of another replica.
fn like(found: &Replica, new: NewReplica) -> Result<NewReplica> {
    let area = match &found.area_json {
        None => None,
        Some(json) => parse_area("geometry", json, found.srid)?.map(|geometry| Area { geometry, json: json.clone() }),
    };
    Ok(NewReplica {
        sync_model: found.sync_model,
        srid: found.srid,
        area,
        return_attachments: found.return_attachments,
        attachments_direction: found.attachments_direction,
        layers: found.layers.iter().map(|layer| (layer.layer.clone(), layer.query.clone())).collect(),
        ..new
    })
}

/// The members that describe an answer about a new replica.
fn head(
    id: ReplicaId,
    name: &str,
    new: &NewReplica,
    holdings: &[Holding],
    transport: Transport,
    response: ResponseType,
) -> Map<String, Json> {
    let generations: Vec<(LayerId, Generation)> =
        new.layers.iter().zip(holdings).map(|((layer, _), holding)| (layer.id, holding.given)).collect();
    let (model, target) = (new.sync_model, new.target);
    Subject { id, name, model, target, generations: &generations, transport, response }.head()
}

/// Writes `{"layers":[…]`, the rows of each layer that pass its filter; all fields where none are named.
async fn write_layers(
    mut spool: Spool,
    tx: &mut ReadTx<'_>,
    (new, fields): (&NewReplica, &[Option<Vec<usize>>]),
    filters: &[Filter],
    bytes: AttachmentBytes<'_>,
) -> Result<Spool> {
    tx.require_srid("replicaSR", new.srid).await?;
    spool.buffer().extend_from_slice(b"{\"layers\":[");
    for (position, ((layer, _), filter)) in new.layers.iter().zip(filters).enumerate() {
        if position > 0 {
            spool.buffer().push(b',');
        }
        let fields = fields.get(position).and_then(Option::as_ref);
        let mut columns = new.columns(layer);
        if let Some(fields) = fields {
            columns.fields.clone_from(fields);
        }
        let content = LayerContent { layer, filter, columns, attachments: new.return_attachments };
        write_content(tx, &content, bytes, &mut spool).await?;
    }
    spool.buffer().push(b']');
    Ok(spool)
}

/// How the bytes of attachments are given in a document.
pub(super) fn attachment_bytes<'a>(app: &'a App, address: &'a str, by_url: bool) -> AttachmentBytes<'a> {
    if by_url { AttachmentBytes::Address(address) } else { AttachmentBytes::Embedded(&app.files) }
}

/// A layer of which everything is given.
pub(super) struct LayerContent<'a> {
    pub(super) layer: &'a Arc<Layer>,
    pub(super) filter: &'a Filter,
    /// What of its features.
    pub(super) columns: Columns,
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
    let LayerContent { layer, filter, columns, attachments } = content;
    spool.buffer().extend_from_slice(format!("{{\"id\":{},\"features\":[", layer.id).as_bytes());
    require_room_for_features(tx, layer, filter, columns, spool.files()).await?;
    let mut n_rows = download::snapshot(tx, layer, filter, columns, bytes, spool).await?;
    spool.buffer().push(b']');
    if let Some(table) = &layer.attachments {
        spool.buffer().extend_from_slice(b",\"attachments\":[");
        if *attachments {
            let filter = Filter::of_attachments(layer, (*filter).clone());
            require_room_for_attachments(tx, table, &filter, Written::AsText(bytes), spool.files()).await?;
            // They have no geometry that would need a spatial reference.
            n_rows += download::snapshot(tx, table, &filter, &Columns::all(table, 0), bytes, spool).await?;
        }
        spool.buffer().push(b']');
    }
    spool.buffer().push(b'}');
    Ok(n_rows)
}

/// Whether filters are asked again later, and must then mean the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasting {
    /// They belong to a replica, or to two ends of a window.
    Yes,
    /// They are asked once.
    No,
}

type AreasAndFilters = (Vec<Option<Vec<u8>>>, Vec<Filter>);

/// What each layer's query means: its area in its own reference, and the filter of it.
pub(super) async fn filters(
    tx: &mut ReadTx<'_>,
    service: &Service,
    area: Option<&Area>,
    layers: &[(Arc<Layer>, LayerQuery)],
    lasting: Lasting,
) -> Result<AreasAndFilters> {
    if let Some(area) = area {
        tx.require_srid("inSR", area.geometry.srid).await?;
    }
    let (mut areas, mut own) = (Vec::new(), Vec::new());
    for (layer, query) in layers {
        let restricts = query.option == QueryOption::UseFilter && query.use_geometry;
        let area = match (area, &layer.shape) {
            (Some(area), Some(shape)) if restricts => {
                let ewkb = area.geometry.to_area(shape.srid);
                let ewkb = ewkb.map_err(|problem| Error::invalid("geometry", format!("it has {problem}")))?;
                Some(tx.area_for(&ewkb, shape.srid).await?)
            }
            _ => None,
        };
        // One that is registered already keeps a condition on a field that clients see no more.
        if let (QueryOption::UseFilter, Some(text)) = (query.option, &query.where_clause) {
            Predicate::parse(text, &layer.nameable_fields()).map_err(|error| {
                Error::invalid("layerQueries", format!("layer {}: where clause: {error}", layer.id))
            })?;
        }
        let filter = filter_of(layer, query, area.clone())?;
        if let Filter::Matching { rows: Some(rows), .. } = &filter
            && lasting == Lasting::Yes
            && rows.is_volatile()
        {
            return Err(Error::invalid(
                "layerQueries",
                format!(
                    "layer {}: the where clause asks for the current time, so rows would enter and leave without any edit; \
                     compare with a fixed date instead",
                    layer.id
                ),
            ));
        }
        areas.push(area);
        own.push(filter);
    }
    let policies: Vec<Option<RowPolicy>> = layers.iter().map(|(layer, _)| layer.guard.read.clone()).collect();
    Ok((areas, Filter::with_relationships(service, layers, &own, &policies)))
}
