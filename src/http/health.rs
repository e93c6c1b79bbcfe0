//! What administrators and monitoring systems ask: how replicas, history and tracking are doing.

use serde_json::json;

use crate::{
    app::App,
    error::Result,
    metrics::Page,
    model::{id::ReplicaId, layer::Service},
    replica::life,
    wire::life::{CleanUpRequest, status as status_json},
};

use super::respond::Reply;

/// Whether requests can be served. A gap in one layer's tracking stops the synchronization of that layer, not the server.
pub(super) async fn readiness(app: &App) -> &'static str {
    if !app.store.is_ready().await {
        return "not ready";
    }
    match app.store.has_gaps().await {
        Ok(false) => "ready",
        Ok(true) => "ready, but changes of a layer are not recorded; run syncline check",
        Err(_) => "not ready",
    }
}

/// All figures, as text.
pub(super) async fn metrics(app: &App) -> Result<Reply> {
    let mut page = Page::default();
    app.metrics.write(&mut page);
    app.store.write_figures(app.config.policy(), &mut page).await?;
    page.single(
        "syncline_disk_free_bytes",
        "gauge",
        "What is free of the disk of the data directory",
        app.files.free_bytes()?,
    );
    page.single(
        "syncline_disk_reserve_bytes",
        "gauge",
        "What is left free of it: requests that would take of it are refused",
        app.config.disk_reserve_bytes,
    );
    Ok(Reply::Figures(page.finish()))
}

/// How a replica is doing.
pub(super) async fn status(app: &App, service: &Service, id: ReplicaId) -> Result<Reply> {
    let (life, alone) = life::life(app, service, id).await?;
    let kept_alone = alone.map(|alone| (alone.n_generations, alone.n_changes));
    Ok(Reply::Json(status_json(&life, app.config.policy(), kept_alone)))
}

/// Moves the beginning of the history as somebody wishes, and says how far that was possible.
pub(super) async fn clean_up(app: &App, service: &Service, request: &CleanUpRequest) -> Result<Reply> {
    let done = life::clean_up(app, service, request).await?;
    tracing::info!(
        service.name = service.name, history_from = %done.to, held_by = ?done.held_by, "the history was shortened by request"
    );
    let mut answer = json!({"success": true, "minServerGen": done.to.get()});
    if let Some(replica) = done.held_by {
        answer["limitedByReplica"] = replica.to_string().into();
    }
    Ok(Reply::Json(answer))
}
