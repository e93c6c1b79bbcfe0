//! Publishing tables: which there are, what publishing one would do, and doing it.

use serde_json::{Value as Json, json};

use crate::{
    app::App,
    error::Result,
    model::candidate::{Candidate, Wanted},
    store::publish::{Publication, Published},
    wire::console::Publish,
};

/// A page of the tables of the database, with what each lacks to be published.
pub(crate) async fn tables(app: &App, mut wanted: Wanted) -> Result<Json> {
    let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    // One more than a page tells whether there is another.
    wanted.limit += 1;
    let found = app.store.candidates(&wanted).await?;
    let more = found.len() > limit;
    let shown: Json = found.iter().take(limit).map(table).collect();
    Ok(json!({"tables": shown, "exceededTransferLimit": more}))
}

fn table(one: &Candidate) -> Json {
    let (service, layer) = match &one.layer {
        Some((service, layer)) => (Some(service), Some(layer.0)),
        None => (None, None),
    };
    json!({
        "schema": one.schema, "table": one.table, "kind": one.kind, "rows": one.n_rows, "geometry": one.geometry,
        "publishable": one.layer.is_none() && one.problem.is_none(),
        "adds": one.adds, "problem": one.problem, "service": service, "layerId": layer,
    })
}

/// Publishes a table, or tells what that would do.
pub(crate) async fn publish(app: &App, wanted: &Publish) -> Result<Published> {
    let publication = Publication {
        service: wanted.service.clone(),
        table_schema: wanted.schema.clone(),
        table_name: wanted.table.clone(),
        layer_name: wanted.layer_name.clone(),
    };
    let mut published = app.store.publish(&publication, wanted.preview).await?;
    if wanted.attachments {
        if wanted.preview {
            published.notices.push("a table for the attachments is made in the schema syncline".to_owned());
        } else {
            app.store.enable_attachments(&published.service, published.layer_id).await?;
        }
    }
    Ok(published)
}

/// What publishing did, or would do.
pub(crate) fn published(done: &Published, is_preview: bool) -> Json {
    let mut answer = json!({
        "success": true, "service": done.service, "layerId": done.layer_id.0, "notices": done.notices,
    });
    if is_preview {
        answer["statements"] = done.statements.iter().map(|statement| Json::from(statement.text())).collect();
    }
    answer
}
