//! Reading attachments: which a feature has, and what one holds.

use tokio::fs::File;

use crate::{
    app::App,
    error::{Error, Result},
    format::attachments::read_info,
    model::{
        attachment::AttachmentInfo,
        layer::{Layer, Service},
    },
    sql::select,
};

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

fn table(layer: &Layer) -> Result<&Layer> {
    layer
        .attachments
        .as_deref()
        .ok_or_else(|| Error::NotSupported(format!("the features of layer {} have no attachments", layer.id)))
}
