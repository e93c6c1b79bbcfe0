//! importReplica: the other side of a replica that two servers keep of each other.
//!
//! In one transaction: rows, and the registration under the same id, with the opposite direction. Its sibling generation
//! is that of the document, its own that of the transaction, so that what was loaded is not sent back.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use tokio::sync::mpsc;

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        edit::LayerEdits,
        id::{Generation, LayerId},
        layer::{Layer, Service},
    },
    store::{WriteTx, replicas::Holding},
    sync::{
        apply::{Sender, apply_all},
        order,
    },
    uploads::payloads::store_payloads,
    wire::{
        attachments::parse_stored_attachments,
        edits::parse_stored,
        import::{ImportReplicaRequest, Piece, Source},
        params::Params,
        replica::generations,
    },
};

use super::owner::require_unlimited;

/// Loads the document of another server's createReplica and registers the replica here.
pub(crate) async fn import(app: &App, service: &Service, mut params: Params, source: Source) -> Result<Json> {
    let (ids, members) = outline(source.clone()).await?;
    for (name, value) in members {
        params.push(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    let request = ImportReplicaRequest::parse(&params, &ids, service)?;
    require_unlimited(service, true)?;
    let replica = &request.replica;
    let mut session = app.store.session_for_replica(request.id).await?;
    if session.own().await?.replica_exists(request.id).await? {
        return Err(Error::invalid(
            "replicaID",
            format!(
                "replica {} is registered in this database already; the two sides of a replica are in two databases, and each imports it once",
                request.id
            ),
        ));
    }
    let mut tx = session.write(service.key, Some(request.id)).await?;
    let mut loads: Vec<Load> = replica
        .layers
        .iter()
        .map(|(layer, _)| Load { layer: layer.clone(), n_features: 0, n_attachments: 0 })
        .collect();
    let tables: Vec<Arc<Layer>> = loads.iter().flat_map(|load| load.tables().map(|(table, _)| table)).collect();
    tx.close_layers(&tables).await?;
    // The document has its layers in an order of its own, and is read once for each.
    for index in parents_first(service, loads.iter().map(|load| &load.layer)) {
        if let Some(load) = loads.get_mut(index) {
            load.take(app, service, &mut tx, source.clone(), replica.srid).await?;
        }
    }
    for load in &loads {
        for (table, n_loaded) in load.tables() {
            check_loaded(&mut tx, service, load, &table, n_loaded).await?;
        }
    }
    let (mut tx, generation) = tx.stamp().await?;
    let holdings: Vec<Holding> = request
        .siblings
        .iter()
        .map(|(_, sibling)| Holding {
            area: None,
            given: generation,
            sibling: Some(*sibling),
            policy: None,
            hidden: Vec::new(),
        })
        .collect();
    let name = tx.replica_insert(service, request.id, replica, &holdings).await?;
    if replica.name.as_ref().is_some_and(|wanted| *wanted != name) {
        return Err(Error::invalid(
            "replicaName",
            format!(
                "service {} has another replica named '{}'; both sides have the same name, by which clients find them. \
                 Unregister the other one, or create the replica under another name",
                service.name,
                replica.name.as_deref().unwrap_or_default()
            ),
        ));
    }
    tx.commit().await?;
    let n_features: u64 = loads.iter().map(|load| load.n_features).sum();
    tracing::info!(service.name = service.name, replica.id = %request.id, %generation, n_features, "replica imported");
    Ok(answer(&request, &name, generation, &loads))
}

/// A layer, and what was loaded into it.
struct Load {
    layer: Arc<Layer>,
    n_features: u64,
    n_attachments: u64,
}

impl Load {
    /// Loads the rows that the document has of the layer.
    async fn take(
        &mut self,
        app: &App,
        service: &Service,
        tx: &mut WriteTx<'_>,
        source: Source,
        srid: i32,
    ) -> Result<()> {
        let mut pieces = pieces(source);
        while let Some(piece) = pieces.parts.recv().await {
            let edits = match &piece {
                Piece::Features(id, features) if *id == self.layer.id => {
                    self.n_features += features.len() as u64;
                    LayerEdits { layer: self.layer.clone(), edits: parse_stored(features, &self.layer, srid) }
                }
                Piece::Attachments(id, attachments) if *id == self.layer.id => {
                    self.n_attachments += attachments.len() as u64;
                    store_payloads(app, None, parse_stored_attachments(attachments, &self.layer)?).await?
                }
                _ => continue,
            };
            for (_, results) in apply_all(tx, service, &[edits], Sender::Server).await? {
                if results.iter().any(|result| result.error.is_some()) {
                    return Err(Error::RolledBack { n_before: 0, results: vec![(self.layer.id, results)] });
                }
            }
        }
        pieces.done.await.map_err(|error| Error::internal("reading a document", error))?
    }

    /// Its tables, with the number of rows that each must have afterwards.
    fn tables(&self) -> impl Iterator<Item = (Arc<Layer>, u64)> {
        let attachments = self.layer.attachments.clone().map(|table| (table, self.n_attachments));
        std::iter::once((self.layer.clone(), self.n_features)).chain(attachments)
    }
}

/// Refuses what would leave the two sides different from the beginning: no delta would ever tell one side of what the other
/// had before.
async fn check_loaded(
    tx: &mut WriteTx<'_>,
    service: &Service,
    load: &Load,
    table: &Layer,
    n_loaded: u64,
) -> Result<()> {
    let (n_rows, n_changed) = tx.loaded(table).await?;
    if n_changed == 0 && u64::try_from(n_rows) == Ok(n_loaded) {
        return Ok(());
    }
    let what = if table.attached_to.is_some() { "attachments" } else { "rows" };
    Err(Error::invalid(
        "layers",
        format!(
            "layer {} of service {} has {what} that the document does not have, or has otherwise: with the {n_loaded} of the \
             document it would have {n_rows} {what}, {n_changed} of them changed. A replica is imported into empty layers, or into \
             layers that hold the same already; nothing was imported",
            load.layer.id, service.name
        ),
    ))
}

fn answer(request: &ImportReplicaRequest, name: &str, generation: Generation, loads: &[Load]) -> Json {
    let replica = &request.replica;
    let mut shown = Map::new();
    shown.insert("success".to_owned(), true.into());
    shown.insert("replicaName".to_owned(), name.into());
    shown.insert("replicaID".to_owned(), request.id.to_string().into());
    shown.insert("targetType".to_owned(), replica.target.name().into());
    shown.insert("syncModel".to_owned(), replica.sync_model.name().into());
    shown.insert("syncDirection".to_owned(), replica.direction.name().into());
    let own: Vec<(LayerId, Generation)> = loads.iter().map(|load| (load.layer.id, generation)).collect();
    generations(replica.sync_model, &own, &mut shown);
    let layers: Json = loads
        .iter()
        .map(|load| json!({"id": load.layer.id.0, "count": load.n_features, "attachmentCount": load.n_attachments}))
        .collect();
    shown.insert("layers".to_owned(), layers);
    Json::Object(shown)
}

/// The positions of layers, each after those that its rows belong to.
pub(super) fn parents_first<'a>(service: &Service, layers: impl Iterator<Item = &'a Arc<Layer>>) -> Vec<usize> {
    let none: Vec<LayerEdits> = layers.map(|layer| LayerEdits { layer: layer.clone(), edits: Vec::new() }).collect();
    order::parents_first(service, &none)
}

/// The ids of the layers of a document, and its other members.
pub(super) async fn outline(source: Source) -> Result<(Vec<LayerId>, Map<String, Json>)> {
    let read = move || {
        let mut ids = Vec::new();
        let members = source.read(&mut |piece| {
            if let Piece::Layer(id) = piece {
                ids.push(id);
            }
            true
        })?;
        Ok((ids, members))
    };
    tokio::task::spawn_blocking(read).await.map_err(|error| Error::internal("reading a document", error))?
}

/// The parts of a document, as they are read.
pub(super) struct Pieces {
    pub(super) parts: mpsc::Receiver<Piece>,
    pub(super) done: tokio::task::JoinHandle<Result<()>>,
}

pub(super) fn pieces(source: Source) -> Pieces {
    // The reader is never far ahead of the database.
    let (sender, parts) = mpsc::channel(2);
    let done =
        tokio::task::spawn_blocking(move || source.read(&mut |piece| sender.blocking_send(piece).is_ok()).map(|_| ()));
    Pieces { parts, done }
}
