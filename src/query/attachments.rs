//! Reading attachments: which a feature has, and what one holds.

use serde_json::{Value as Json, json};
use sqlx::{Row as _, postgres::PgRow};
use tokio::fs::File;

use crate::{
    app::App,
    error::{Error, Result},
    format::attachments::read_info,
    model::{
        attachment::AttachmentInfo,
        id::GlobalId,
        layer::{Layer, Service},
        query::AttachmentQuery,
    },
    sql::{related, select},
    store::share::{self, Turn},
    wire::{related::attachment_field_list, service::attachment_info},
};

use super::{begin, weight};

/// The attachments of the feature with an object id.
pub(crate) async fn list(app: &App, service: &Service, layer: &Layer, feature: i64) -> Result<Vec<AttachmentInfo>> {
    let table = table(layer)?;
    let mut session = app.store.session().await?;
    let mut tx = session.read(service).await?;
    let rows = tx.all(select::attachments(layer, table, Some(feature), None)).await?;
    if rows.is_empty() && tx.all(select::object_id(layer, feature)).await?.is_empty() {
        return Err(Error::NotFound(format!("there is no feature with object id {feature} in layer {}", layer.id)));
    }
    tx.end().await?;
    rows.iter().map(|row| read_info(row, 0)).collect()
}

/// The attachments of features. `url` makes the address of one from the object id of its feature and its own id, if
/// addresses are wanted.
pub(crate) async fn query(
    app: &App,
    service: &Service,
    layer: &Layer,
    wanted: &AttachmentQuery,
    url: impl Fn(i64, i64) -> Option<String>,
) -> Result<Json> {
    let table = table(layer)?;
    let mut turn = None;
    let mut rows = loop {
        match rows(app, service, layer, wanted, &mut turn).await? {
            Some(rows) => break rows,
            None => turn = Some(share::turn().await?),
        }
    };
    let mut groups: Vec<Json> = Vec::new();
    let most = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    let mut last = None;
    for row in &rows {
        let feature: i64 = row.try_get(0)?;
        if wanted.count {
            let global_id = GlobalId(row.try_get(1)?);
            let n_attachments: i64 = row.try_get(2)?;
            groups.push(
                json!({"parentObjectId": feature, "parentGlobalId": global_id.to_string(), "count": n_attachments}),
            );
            continue;
        }
        let info = read_info(row, 1)?;
        let mut shown = attachment_info(&info);
        if let Some(url) = url(feature, info.id) {
            shown["url"] = url.into();
        }
        if last != Some(feature) {
            groups.push(
                json!({"parentObjectId": feature, "parentGlobalId": info.parent.to_string(), "attachmentInfos": []}),
            );
            last = Some(feature);
        }
        if let Some(infos) = groups.last_mut().and_then(|group| group["attachmentInfos"].as_array_mut()) {
            infos.push(shown);
        }
    }
    let mut answer = json!({"fields": attachment_field_list(table), "attachmentGroups": groups});
    if more {
        answer["exceededTransferLimit"] = true.into();
    }
    Ok(answer)
}

/// The rows of an answer, and one more if there are more than wanted. `None`: the query is heavy, and it is not the caller's turn.
async fn rows(
    app: &App,
    service: &Service,
    layer: &Layer,
    wanted: &AttachmentQuery,
    turn: &mut Option<Turn>,
) -> Result<Option<Vec<PgRow>>> {
    let table = table(layer)?;
    let mut session = app.store.session().await?;
    let (mut tx, past) = begin(app, &mut session, service, &[layer, table], wanted.features.moment).await?;
    let limit = wanted.limit + 1;
    let statement = || match wanted.count {
        true => related::attachment_counts(layer, table, wanted, past, limit),
        false => related::attachments(layer, table, wanted, past, limit),
    };
    let is_bounded = wanted.features.object_ids.is_some() || wanted.features.global_ids.is_some();
    if !weight::may_run(app, &mut tx, (!is_bounded).then(statement), turn).await? {
        return Ok(None);
    }
    tx.all(statement()).await.map(Some)
}

/// An attachment by its id, and its bytes. If a feature is named, it must be that one's.
pub(crate) async fn find(
    app: &App,
    service: &Service,
    layer: &Layer,
    feature: Option<i64>,
    id: i64,
) -> Result<(AttachmentInfo, File)> {
    let table = table(layer)?;
    let mut session = app.store.session().await?;
    let mut tx = session.read(service).await?;
    let rows = tx.all(select::attachments(layer, table, feature, Some(id))).await?;
    tx.end().await?;
    let row = rows.first().ok_or_else(|| {
        Error::NotFound(format!("there is no attachment {id} in layer {}; it may have been deleted", layer.id))
    })?;
    let info = read_info(row, 0)?;
    match app.files.content(&info.sha256).await? {
        Some((file, _)) => Ok((info, file)),
        None => Err(Error::Unavailable(format!(
            "the bytes of attachment {id} ({}) of layer {} are missing in the data directory; restore them from a back-up",
            info.name, layer.id
        ))),
    }
}

/// The table of a layer's attachments.
pub(crate) fn table(layer: &Layer) -> Result<&Layer> {
    layer
        .attachments
        .as_deref()
        .ok_or_else(|| Error::NotSupported(format!("the features of layer {} have no attachments", layer.id)))
}
