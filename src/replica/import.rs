//! importReplica: the other side of a replica that two servers keep of each other.
//!
//! In one transaction: rows, and the registration under the same id, with the opposite direction. Its sibling generation
//! is that of the document, its own that of the transaction, so that what was loaded is not sent back.

use serde_json::{Map, Value as Json, json, value::RawValue};
use tokio::sync::mpsc;

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        edit::{EditResult, LayerEdits},
        id::{Generation, LayerId},
        layer::{Layer, Service},
    },
    store::{WriteTx, replicas::Holding},
    sync::apply::{Sender, apply_all},
    wire::{
        edits::parse_stored,
        import::{ImportReplicaRequest, Source},
        params::Params,
        replica::generations,
    },
};

/// Loads the document of another server's createReplica and registers the replica here.
pub(crate) async fn import(app: &App, service: &Service, mut params: Params, source: Source) -> Result<Json> {
    let (ids, members) = outline(source.clone()).await?;
    for (name, value) in members {
        params.push(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    let request = ImportReplicaRequest::parse(&params, &ids, service)?;
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
    let layers: Vec<_> = replica.layers.iter().map(|(layer, _)| layer.clone()).collect();
    tx.close_layers(&layers).await?;
    let mut counts: Vec<(LayerId, u64)> = ids.iter().map(|id| (*id, 0)).collect();
    let mut features = features(source);
    while let Some((id, features)) = features.chunks.recv().await {
        let Some(layer) = layers.iter().find(|layer| layer.id == id) else { continue };
        let edits = LayerEdits { layer: layer.clone(), edits: parse_stored(&features, layer, replica.srid) };
        let applied = apply_all(&mut tx, service, &[edits], Sender::Server).await?;
        for (_, results) in applied {
            if results.iter().any(|result| result.error.is_some()) {
                return Err(Error::RolledBack { results: vec![(id, results)] });
            }
            count(&mut counts, id, &results);
        }
    }
    features.done.await.map_err(|error| Error::internal("reading a document", error))??;

    for (layer, (_, n_features)) in layers.iter().zip(&counts) {
        check_loaded(&mut tx, service, layer, *n_features).await?;
    }
    let (mut tx, generation) = tx.stamp().await?;
    let holdings: Vec<Holding> = request
        .siblings
        .iter()
        .map(|(_, sibling)| Holding { area: None, given: generation, sibling: Some(*sibling) })
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
    let n_features: u64 = counts.iter().map(|(_, n_features)| n_features).sum();
    tracing::info!(service.name = service.name, replica.id = %request.id, %generation, n_features, "replica imported");
    Ok(answer(&request, &name, generation, &counts))
}

/// Refuses what would leave the two sides different from the beginning: no delta would ever tell one side of what the other
/// had before.
async fn check_loaded(tx: &mut WriteTx<'_>, service: &Service, layer: &Layer, n_features: u64) -> Result<()> {
    let (n_rows, n_changed) = tx.loaded(layer).await?;
    if n_changed == 0 && u64::try_from(n_rows) == Ok(n_features) {
        return Ok(());
    }
    Err(Error::invalid(
        "layers",
        format!(
            "layer {} of service {} has rows that the document does not have, or has otherwise: with the {n_features} features of the \
             document it would have {n_rows} rows, {n_changed} of them changed. A replica is imported into empty layers, or into \
             layers that hold the same rows already; nothing was imported",
            layer.id, service.name
        ),
    ))
}

fn answer(request: &ImportReplicaRequest, name: &str, generation: Generation, counts: &[(LayerId, u64)]) -> Json {
    let replica = &request.replica;
    let mut shown = Map::new();
    shown.insert("success".to_owned(), true.into());
    shown.insert("replicaName".to_owned(), name.into());
    shown.insert("replicaID".to_owned(), request.id.to_string().into());
    shown.insert("targetType".to_owned(), replica.target.name().into());
    shown.insert("syncModel".to_owned(), replica.sync_model.name().into());
    shown.insert("syncDirection".to_owned(), replica.direction.name().into());
    let own: Vec<(LayerId, Generation)> = counts.iter().map(|(id, _)| (*id, generation)).collect();
    generations(replica.sync_model, &own, &mut shown);
    let layers: Json = counts.iter().map(|(id, n_features)| json!({"id": id.0, "count": n_features})).collect();
    shown.insert("layers".to_owned(), layers);
    Json::Object(shown)
}

fn count(counts: &mut [(LayerId, u64)], id: LayerId, results: &[EditResult]) {
    if let Some((_, n_features)) = counts.iter_mut().find(|(known, _)| *known == id) {
        *n_features += results.len() as u64;
    }
}

/// The ids of the layers of a document, and its other members.
async fn outline(source: Source) -> Result<(Vec<LayerId>, Map<String, Json>)> {
    let read = move || {
        let mut ids = Vec::new();
        let members = source.read(&mut |id, features| {
            if features.is_empty() {
                ids.push(id);
            }
            true
        })?;
        Ok((ids, members))
    };
    tokio::task::spawn_blocking(read).await.map_err(|error| Error::internal("reading a document", error))?
}

/// The features of a document, as they are read.
struct Features {
    chunks: mpsc::Receiver<(LayerId, Vec<Box<RawValue>>)>,
    done: tokio::task::JoinHandle<Result<()>>,
}

fn features(source: Source) -> Features {
    // The reader is never far ahead of the database.
    let (sender, chunks) = mpsc::channel(2);
    let done = tokio::task::spawn_blocking(move || {
        source.read(&mut |id, features| features.is_empty() || sender.blocking_send((id, features)).is_ok()).map(|_| ())
    });
    Features { chunks, done }
}
