//! Answers that are database files.

use std::{collections::HashMap, sync::Arc};

use crate::{
    app::App,
    error::{Error, Result},
    files::{Files, Place},
    gdal,
    model::{
        data_format::DataFormat,
        definition::Facts,
        edit::EditResult,
        filter::{Area, Filter, LayerQuery},
        id::{Generation, LayerKey, ReplicaId},
        layer::{Layer, Service},
        query::Columns,
        replica::{NewReplica, ReplicaLayer, SyncDirection},
    },
    sqlite::{
        esri::{self, Details},
        geopackage::{self, Documents, Plan, Relation, Synced, Table, table_names},
        message::Message,
        write::Writing,
    },
    store::ReadTx,
    sync::database::Database,
    wire::{
        service,
        synchronize::{PlannedLayer, SyncPlan},
    },
};

use super::{
    Run,
    room::{Written, require_room_for_attachments, require_room_for_features},
    synchronize::Synchronization,
};

/// What a new file is to hold.
pub(super) struct NewFile<'a> {
    pub(super) service: &'a Service,
    /// The address of the service.
    pub(super) address: &'a str,
    pub(super) new: &'a NewReplica,
    /// Of an export: the fields of each layer that are wanted; all where none are named.
    pub(super) fields: &'a [Option<Vec<usize>>],
    /// The replica; `None` for an export.
    pub(super) id: Option<ReplicaId>,
    /// The format to which it is converted, if it is.
    pub(super) becomes: Option<DataFormat>,
    /// What the service says of itself; `None` for what is converted.
    pub(super) documents: Option<&'a Documents>,
    /// What a mobile geodatabase holds beside; `None` for a GeoPackage.
    pub(super) details: Option<&'a Details>,
}

/// Begins a file of the kind that is asked for.
fn begin(place: Place, plan: Plan, details: Option<Details>) -> Writing<Message> {
    match details {
        None => geopackage::write(place, plan),
        Some(_) if plan.only_changes => esri::delta::write(place, plan),
        Some(details) => esri::write(place, plan, details),
    }
}

/// What a file of this format holds beside rows. Takes a connection of its own.
pub(super) async fn documents(app: &App, service: &Service, new: &NewReplica) -> Result<Documents> {
    let facts = app.store.facts(service).await?;
    Ok(documents_with(service, new.layers.iter().map(|(layer, _)| layer), &facts))
}

/// The documents of a service and of its layers. No generations are told: each file has its own.
fn documents_with<'l>(service: &Service, layers: impl Iterator<Item = &'l Arc<Layer>>, facts: &[Facts]) -> Documents {
    let unknown = Facts::default();
    let of_layer = |layer: &Arc<Layer>| {
        let position = service.layers.iter().position(|known| known.key == layer.key);
        let facts = position.and_then(|position| facts.get(position)).unwrap_or(&unknown);
        service::layer(service, layer, facts).to_string()
    };
    Documents {
        service: service::service(service, facts, Generation::ZERO, &[]).to_string(),
        layers: layers.map(of_layer).collect(),
    }
}

/// What the mobile geodatabase of a new replica holds beside, but for its area.
pub(super) fn details(service: &Service, new: &NewReplica, mirror: bool) -> Details {
    let attachments = Some((new.return_attachments, new.attachments_direction));
    Details { service: service.name.clone(), area: None, attachments, mirror }
}

/// The geometry of a new replica in the spatial reference of its file, as EWKB.
async fn area(tx: &mut ReadTx<'_>, new: &NewReplica) -> Result<Option<Vec<u8>>> {
    let Some(Area { geometry, .. }) = &new.area else { return Ok(None) };
    let ewkb = geometry.to_area(new.srid).map_err(|problem| Error::invalid("geometry", problem))?;
    match geometry.srid == new.srid {
        true => Ok(Some(ewkb)),
        false => tx.area_for(&ewkb, new.srid).await.map(Some),
    }
}

impl NewFile<'_> {
    /// What the file has of the layer at a position.
    pub(super) fn columns(&self, position: usize, layer: &Layer) -> Columns {
        let mut columns = self.new.columns(layer);
        if let Some(fields) = self.fields.get(position).and_then(Option::as_ref) {
            columns.fields.clone_from(fields);
            // What a feature is called by in the file.
            if !columns.fields.contains(&layer.object_id) {
                columns.fields.insert(0, layer.object_id);
            }
        }
        columns
    }

    /// Whether the attachments of layers that have some are in it.
    fn holds_attachments(&self) -> bool {
        match self.becomes {
            Some(format) => self.new.return_attachments && gdal::keeps_attachments(format),
            None => self.new.return_attachments || self.new.attachments_direction.uploads(),
        }
    }
}

/// How many rows of a layer were written.
#[derive(Clone, Copy)]
pub(super) struct Counts {
    pub(super) features: u64,
    pub(super) attachments: u64,
}

/// Writes the data of a new replica, or of an export, up to its indexes. Returns the file and what each layer has.
pub(super) async fn write_new<'a>(
    app: &'a App,
    tx: &mut ReadTx<'_>,
    file: &NewFile<'_>,
    filters: &[Filter],
    run: &'a Run,
) -> Result<(Database<'a>, Vec<Counts>)> {
    let NewFile { service, new, becomes, .. } = file;
    let own_keys = becomes.is_some_and(gdal::needs_own_keys);
    tx.require_srid("replicaSR", new.srid).await?;
    let mut tables = Vec::with_capacity(new.layers.len());
    for (position, (layer, query)) in new.layers.iter().enumerate() {
        let columns = file.columns(position, layer);
        let synced = file.id.map(|_| (tx.generation, query, false));
        let table = Table { own_keys, ..table(service, layer, columns, file.holds_attachments(), synced) };
        table.require_distinct_columns(if file.details.is_some() { &esri::RESERVED_COLUMNS } else { &[] })?;
        tables.push(table);
    }
    let replica = file.id.map(|id| geopackage::Replica {
        id,
        name: new.name.clone(),
        service_url: file.address.to_owned(),
        model: new.sync_model,
        direction: new.direction,
    });
    let reference = tx.reference(new.srid).await?;
    let relations = if becomes.is_some() { Vec::new() } else { relations(service, &tables) };
    let layers: Vec<(Columns, bool)> =
        tables.iter().map(|table| (table.columns.clone(), table.attachments && new.return_attachments)).collect();
    let details = match file.details {
        Some(details) => Some(Details { area: area(tx, new).await?, ..details.clone() }),
        None => None,
    };
    let documents = file.documents.cloned();
    let plan = Plan { reference, tables, relations, replica, documents, only_changes: becomes.is_some() };
    let mut database = Database::new(begin(app.files.place(), plan, details), &app.files, &run.progress);
    let mut counts = Vec::with_capacity(layers.len());
    for (position, ((layer, _), filter)) in new.layers.iter().zip(filters).enumerate() {
        let (columns, attachments) = &layers[position];
        counts
            .push(write_whole(&app.files, &mut database, tx, (position, layer), filter, columns, *attachments).await?);
    }
    database.complete().await?;
    Ok((database, counts))
}

async fn write_whole(
    files: &Files,
    database: &mut Database<'_>,
    tx: &mut ReadTx<'_>,
    (position, layer): (usize, &Arc<Layer>),
    filter: &Filter,
    columns: &Columns,
    with_attachments: bool,
) -> Result<Counts> {
    require_room_for_features(tx, layer, filter, columns, files).await?;
    let features = database.snapshot(tx, (position, layer), filter, columns).await?;
    let mut counts = Counts { features, attachments: 0 };
    if let Some(attachments) = layer.attachments.as_ref().filter(|_| with_attachments) {
        let filter = Filter::of_attachments(layer, filter.clone());
        let columns = Columns::all(attachments, 0);
        require_room_for_attachments(tx, attachments, &filter, Written::AsBytes, files).await?;
        counts.attachments = database.snapshot(tx, (position, attachments), &filter, &columns).await?;
    }
    Ok(counts)
}

/// Writes what a replica lacks, and what became of its edits. Returns how many changes and results.
pub(super) async fn write_changes<'a>(
    app: &'a App,
    tx: &mut ReadTx<'_>,
    synchronization: &Synchronization<'_>,
    plan: &SyncPlan,
    reached: &HashMap<LayerKey, Generation>,
    run: &'a Run,
) -> Result<(Database<'a>, u64)> {
    let Synchronization { service, replica, .. } = synchronization;
    let mut tables = Vec::with_capacity(plan.layers.len());
    for planned in &plan.layers {
        let known = &replica.layers[planned.index];
        let layer = &known.layer;
        let generation = reached.get(&layer.key).copied().unwrap_or(known.given);
        let attachments = replica.return_attachments || replica.attachments_direction.uploads();
        let replaces = planned.direction == SyncDirection::Snapshot;
        let synced = Some((generation, &known.query, replaces));
        let table = table(service, layer, replica.columns(layer), attachments, synced);
        table.require_distinct_columns(&[])?;
        tables.push(table);
    }
    let note = geopackage::Replica {
        id: replica.id,
        name: Some(replica.name.clone()),
        service_url: synchronization.address.to_owned(),
        model: replica.sync_model,
        direction: replica.direction,
    };
    let reference = tx.reference(replica.srid).await?;
    let format = synchronization.request.format;
    let layers = plan.layers.iter().map(|planned| &replica.layers[planned.index].layer);
    let documents = Some(documents_with(service, layers, &[]));
    let contents =
        Plan { reference, tables, relations: Vec::new(), replica: Some(note), documents, only_changes: true };
    let writing = match format {
        DataFormat::MobileGeodatabase => begin_geodatabase(app, synchronization, contents, plan),
        _ => begin(app.files.place(), contents, None),
    };
    let mut database = Database::new(writing, &app.files, &run.progress);
    let mut n_changes = 0;
    for (position, planned) in plan.layers.iter().enumerate() {
        let known = &replica.layers[planned.index];
        n_changes += match planned.direction {
            SyncDirection::Snapshot => {
                let columns = replica.columns(&known.layer);
                let attachments = replica.return_attachments;
                let counts = write_whole(
                    &app.files,
                    &mut database,
                    tx,
                    (position, &known.layer),
                    &known.filter,
                    &columns,
                    attachments,
                )
                .await?;
                counts.features + counts.attachments
            }
            _ => changes_of_layer(&mut database, tx, synchronization, (position, planned), known).await?,
        };
    }
    database.complete().await?;
    Ok((database, n_changes))
}

/// Begins a file of changes, or, if all layers are given anew, a whole mobile geodatabase.
fn begin_geodatabase(
    app: &App,
    synchronization: &Synchronization<'_>,
    contents: Plan,
    plan: &SyncPlan,
) -> Writing<Message> {
    let Synchronization { service, replica, .. } = synchronization;
    if plan.layers.iter().all(|planned| planned.direction != SyncDirection::Snapshot) {
        return begin(app.files.place(), contents, Some(Details::default()));
    }
    let attachments = Some((replica.return_attachments, replica.attachments_direction));
    let details = Details { service: service.name.clone(), attachments, ..Details::default() };
    let relations = relations(service, &contents.tables);
    let contents = Plan { relations, only_changes: false, ..contents };
    begin(app.files.place(), contents, Some(details))
}

/// Writes the changes of a layer and of its attachments.
async fn changes_of_layer(
    database: &mut Database<'_>,
    tx: &mut ReadTx<'_>,
    synchronization: &Synchronization<'_>,
    (position, planned): (usize, &PlannedLayer),
    known: &ReplicaLayer,
) -> Result<u64> {
    let mut n_changes = 0;
    let presented = planned.presented.filter(|_| planned.direction.downloads());
    let with_attachments = synchronization.replica.attachments_direction.downloads();
    let attachments = known
        .layer
        .attachments
        .as_ref()
        .map(|table| (table, Filter::of_attachments(&known.layer, known.filter.clone())));
    let features = (&known.layer, known.filter.clone());
    for (layer, filter) in std::iter::once(features).chain(attachments) {
        let is_attachments = layer.attached_to.is_some();
        if let Some(presented) = presented.filter(|_| with_attachments || !is_attachments) {
            let columns = synchronization.replica.columns(layer);
            let batches = synchronization.own_batches(presented, known.presented.max(presented));
            let before = synchronization.before(known, is_attachments, presented);
            let held = (&filter, before.as_ref(), &columns);
            let wanted = synchronization.delta(tx, known, held, presented, &batches);
            n_changes += database.delta(tx, (position, layer), &wanted).await?;
        }
        let results = synchronization.results(layer.key);
        let told: Vec<EditResult> = results.iter().filter(|result| synchronization.is_told(result)).cloned().collect();
        if !told.is_empty() {
            n_changes += told.len() as u64;
            database.results(position, is_attachments, told).await?;
        }
    }
    Ok(n_changes)
}

/// The name of a layer's table, out of those of its service.
pub(super) fn table_name(service: &Service, names: &[String], layer: &Layer) -> String {
    let position = service.layers.iter().position(|known| known.key == layer.key);
    let name = position.and_then(|position| names.get(position).cloned());
    name.unwrap_or_else(|| format!("layer_{}", layer.id))
}

fn table(
    service: &Service,
    layer: &Arc<Layer>,
    columns: Columns,
    attachments: bool,
    synced: Option<(Generation, &LayerQuery, bool)>,
) -> Table {
    Table {
        name: table_name(service, &table_names(service), layer),
        layer: layer.clone(),
        columns,
        attachments: attachments && layer.attachments.is_some(),
        own_keys: false,
        synced: synced.map(|(generation, query, replaces)| Synced { generation, query: query.clone(), replaces }),
    }
}

/// The relationships of which both ends, and their keys, are in the file.
fn relations(service: &Service, tables: &[Table]) -> Vec<Relation> {
    let end = |key: LayerKey, field: usize| {
        let position =
            tables.iter().position(|table| table.layer.key == key && table.columns.fields.contains(&field))?;
        Some((position, tables[position].layer.fields[field].name.clone()))
    };
    let mut found = Vec::new();
    for relationship in &service.relationships {
        let origin = end(relationship.origin, relationship.origin_field);
        let destination = end(relationship.destination, relationship.destination_field);
        if let (Some(origin), Some(destination)) = (origin, destination) {
            found.push(Relation { name: relationship.name.clone(), origin, destination, single: relationship.single });
        }
    }
    found
}
