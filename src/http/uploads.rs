//! Uploads: files that clients send, whole or in parts.

use axum::http::{HeaderMap, header::CONTENT_LENGTH};
use serde_json::{Value as Json, json};

use crate::{
    app::App,
    error::{Error, Result},
    files::Incoming,
    model::{
        guard::Caller,
        layer::Service,
        principal::Principal,
        upload_item::{ItemId, UploadedFile},
        value::brief,
    },
    uploads,
    wire::{upload_item, url::encode},
};

use super::{
    Call, editing,
    html::{Crumb, Kind},
    params::File,
    respond::Reply,
    route::{OfLayer, OfService, OfUploads, Route},
};

/// Whether a file may come with a request.
pub(super) fn takes_file(route: &Route) -> bool {
    matches!(
        route,
        Route::Service(
            _,
            OfService::Uploads(OfUploads::Upload | OfUploads::Part(_))
                | OfService::Layer(_, OfLayer::AddAttachment(_) | OfLayer::UpdateAttachment(_))
        )
    )
}

/// Where the file of a request goes, if its route takes one. Refuses what is known to be wrong before the file is sent.
pub(super) async fn admit(
    app: &App,
    who: Option<Principal>,
    route: &Route,
    headers: &HeaderMap,
) -> Result<Option<Incoming>> {
    let (name, what) = match route {
        Route::Service(name, OfService::Uploads(what)) => (name, what),
        // It is an attachment at once, and never an item of the service's uploads.
        Route::Service(_, OfService::Layer(_, OfLayer::AddAttachment(_) | OfLayer::UpdateAttachment(_))) => {
            return editing::admit(app, headers).await.map(Some);
        }
        _ => return Ok(None),
    };
    let item = match what {
        OfUploads::Upload => None,
        OfUploads::Part(id) => Some(parse(id)?),
        _ => return Ok(None),
    };
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let service = app.store.service(name).await?;
    // Who is not known yet has sent nothing yet.
    let who = who.unwrap_or_default();
    let access = service.access(&who, app.config.anonymous);
    uploads::admit(app, &service.seen_by(Caller::new(who, access)), item, announced).await.map(Some)
}

/// Answers a request about uploads.
pub(super) async fn handle(call: &Call, service: &Service, what: &OfUploads) -> Result<Reply> {
    let app = &call.app;
    let params = &call.params;
    let description = || params.text("description").unwrap_or_default();
    let answer = match what {
        OfUploads::List => {
            let list: Json = uploads::list(app, service).await?.iter().map(upload_item::item).collect();
            json!({"items": list})
        }
        OfUploads::Upload => {
            let file = file(call)?;
            let name = file.name.as_deref().or_else(|| params.get(&["filename", "itemName"])).unwrap_or_default();
            upload_item::success(&uploads::add(app, service, name, description(), &file.received).await?)
        }
        OfUploads::Register => {
            let name = params.get(&["itemName", "filename"]).ok_or_else(|| {
                Error::invalid("itemName", "it is missing; it is the name of the file that will come")
            })?;
            upload_item::success(&uploads::register(app, service, name, description()).await?)
        }
        OfUploads::Part(id) => {
            let file = file(call)?;
            let number = params
                .integer("partId")?
                .ok_or_else(|| Error::invalid("partId", "it is missing; parts are numbered from 1"))?;
            upload_item::part(&uploads::put_part(app, service, parse(id)?, number, &file.received).await?)
        }
        OfUploads::Parts(id) => upload_item::parts(&uploads::parts(app, service, parse(id)?).await?),
        OfUploads::Commit(id) => {
            let order = params.ids("parts")?;
            let digest = upload_item::claimed_digest(params)?;
            let item = uploads::commit(app, service, parse(id)?, order.as_deref(), digest.as_deref()).await?;
            upload_item::success(&item)
        }
        OfUploads::Item(id) => upload_item::item(&uploads::find(app, service, parse(id)?).await?),
        OfUploads::Delete(id) => {
            uploads::delete(app, service, parse(id)?).await?;
            json!({"success": true})
        }
    };
    Ok(Reply::Json(answer))
}

/// The file that came with the request, which is what the client says it is.
fn file(call: &Call) -> Result<&File> {
    let file = call.file.as_ref().ok_or_else(|| {
        Error::invalid("file", "it is missing; send it as the part 'file' of a multipart/form-data request")
    })?;
    let arrived: &UploadedFile = file.received.arrived();
    uploads::check_digest("checksum", arrived, upload_item::claimed_digest(&call.params)?.as_deref())?;
    uploads::check_digest("file", arrived, file.sha256.as_deref())?;
    Ok(file)
}

fn parse(id: &str) -> Result<ItemId> {
    ItemId::parse(id)
        .ok_or_else(|| Error::NotFound(format!("Upload not found: '{}' is not the id of an upload", brief(id))))
}

/// The title of a page about uploads, and what it is about; `path` leads to all of them, and is prolonged.
pub(super) fn crumbs(what: &OfUploads, service_name: &str, path: &mut Vec<Crumb>) -> (String, Kind) {
    let mut below = |text: &str| {
        let parent = path.last().map_or("", |crumb| crumb.href.as_str());
        let href = format!("{parent}/{}", encode(text));
        path.push(Crumb { text: brief(text), href });
    };
    let (title, kind) = match what {
        OfUploads::List => ("Uploads", Kind::Uploads),
        OfUploads::Upload => ("upload", Kind::Upload),
        OfUploads::Register => ("register", Kind::RegisterUpload),
        OfUploads::Item(_) => ("Upload", Kind::UploadItem),
        OfUploads::Part(_) => ("uploadPart", Kind::UploadPart),
        OfUploads::Parts(_) => ("parts", Kind::Other),
        OfUploads::Commit(_) => ("commit", Kind::CommitUpload),
        OfUploads::Delete(_) => ("delete", Kind::DeleteUpload),
    };
    match what {
        OfUploads::List => {}
        OfUploads::Upload | OfUploads::Register => below(title),
        OfUploads::Item(id) => below(id),
        OfUploads::Part(id) | OfUploads::Parts(id) | OfUploads::Commit(id) | OfUploads::Delete(id) => {
            below(id);
            below(title);
        }
    }
    (format!("{title} ({service_name})"), kind)
}
