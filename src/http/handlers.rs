//! One function for each resource and operation: read the parameters, make one call, answer.

use std::{sync::Arc, time::Duration};

use axum::http::Method;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    gdal,
    model::{
        digest::parse_sha256,
        id::{LayerId, ReplicaId},
        job::Operation,
        layer::{Layer, Service},
        principal::Access,
        replica::SyncDirection,
    },
    query,
    replica::{
        self, Run,
        answer::{Answer, Body},
    },
    wire::{
        describe,
        extract::ExtractChangesRequest,
        import::Source,
        job::asynchronous,
        life::CleanUpRequest,
        options::Purpose,
        params::Params,
        query as wire_query,
        replica::{CreateReplicaRequest, Unregister, info, list_item},
        service,
        synchronize::SynchronizeReplicaRequest,
        url,
    },
};

use super::{
    Call, accounts, admin,
    assets::Asset,
    audit, books, console, editing, health, jobs, openapi, permit, queries,
    ranges::Sent,
    respond::{Format, Reply},
    route::{OfLayer, OfService, Portal, Route},
    signing_in, uploads,
};

/// Answers a request.
pub(super) async fn handle(call: &Call, route: &Route) -> Result<Reply> {
    let wrong_method = route.post_only().filter(|_| call.method != Method::POST);
    if let Some(operation) = wrong_method
        && call.format != Format::Html
    {
        return Err(Error::PostOnly { operation });
    }
    permit::authorize(&call.app, &call.principal, route).await?;
    if wrong_method.is_some() {
        return Ok(Reply::Form);
    }
    if call.format.is_for_features() && !route.gives_features(call.format) {
        return Err(Error::invalid("f", "geojson and pbf are formats of a layer's query; ask here with f=json"));
    }
    match route {
        Route::Root => Ok(Reply::Redirect("/arcgis/rest/services".to_owned())),
        Route::Health => Ok(Reply::Text("ok")),
        Route::Ready => Ok(Reply::Text(health::readiness(&call.app).await)),
        Route::Metrics => health::metrics(&call.app).await,
        Route::OpenApi => Ok(Reply::Plain(openapi::document(&call.base))),
        Route::Static(name) => match Asset::named(name) {
            Some(asset) => Ok(Reply::Asset(asset)),
            None => {
                Err(Error::NotFound("File not found: pages of this version of the server name no such file".to_owned()))
            }
        },
        Route::Info => Ok(Reply::Json(service::info(tokens_of(call, "tokens/generateToken").await?.as_deref()))),
        Route::Portal(which) => portal(call, *which).await,
        Route::SigningIn(what) => signing_in::handle(call, *what).await,
        Route::Accounts(what) => accounts::handle(call, *what).await,
        Route::Catalogue => {
            let catalogue = call.app.store.catalogue();
            let seen = catalogue.services.iter().filter(|service| call.access(service) >= Access::View);
            Ok(Reply::Json(service::catalogue(seen.map(AsRef::as_ref))))
        }
        Route::ConsolePage(..) if call.format == Format::Html => Ok(Reply::Form),
        Route::ConsolePage(..) => Err(Error::NotFound(
            "the console has pages only; what they show is below /arcgis/rest/admin, such as /arcgis/rest/admin/replicas".to_owned(),
        )),
        Route::Console(what) => console::handle(call, what).await,
        Route::Audit => audit::list(call).await,
        Route::VerifyAudit => audit::verify(call).await,
        Route::Service(name, what) => of_service(call, &call.service(name).await?, what).await,
        Route::Unknown => Err(Error::NotFound("Invalid URL".to_owned())),
    }
}

/// Where tokens are to be had for passwords, if anybody can sign in.
async fn tokens_of(call: &Call, path: &str) -> Result<Option<String>> {
    Ok(call.app.store.has_accounts().await?.then(|| format!("{}/arcgis/{path}", call.base)))
}

/// What a widely used client asks of a portal before it talks to a server: that it is one, and how to sign in.
async fn portal(call: &Call, which: Portal) -> Result<Reply> {
    Ok(Reply::Json(match which {
        Portal::Root => json!({"currentVersion": "2024.1"}),
        Portal::Info => match tokens_of(call, "sharing/rest/generateToken").await? {
            None => json!({"authInfo": {"isTokenBasedSecurity": false}}),
            Some(url) => json!({"authInfo": {"isTokenBasedSecurity": true, "tokenServicesUrl": url}}),
        },
        Portal::Itself => {
            let mut itself = json!({
                "id": "syncline", "name": "Syncline", "portalName": "Syncline", "portalMode": "singletenant", "isPortal": true,
                "allSSL": false, "access": "public", "supportsHostedServices": false, "currentVersion": "2024.1",
            });
            if !call.principal.is_anonymous() {
                itself["user"] = json!({"username": call.principal.name(), "fullName": call.principal.name()});
            }
            itself
        }
    }))
}

async fn of_service(call: &Call, service: &Service, what: &OfService) -> Result<Reply> {
    permit::check(service, what)?;
    match what {
        OfService::Itself => {
            let facts = call.app.store.facts(service).await?;
            let (current, oldest) = query::generations(&call.app, service).await?;
            Ok(document(call, service, service::service(service, &facts, current, &oldest)).await)
        }
        OfService::Layers => {
            let facts = call.app.store.facts(service).await?;
            Ok(document(call, service, service::layers(service, &facts)).await)
        }
        OfService::Query => queries::of_service(call, service).await,
        OfService::Relationships => Ok(Reply::Json(describe::relationships(service))),
        OfService::QueryDomains => Ok(Reply::Json(describe::domains(&call.params, service)?)),
        OfService::Admin(layer, what) => admin::handle(call, service, *layer, *what).await,
        OfService::ApplyEdits => editing::operation(call, service, None, Operation::ApplyEdits).await,
        OfService::CreateReplica => create(call, service).await,
        OfService::SynchronizeReplica => synchronize(call, service).await,
        OfService::UnregisterReplica => unregister(call, service).await,
        OfService::ImportReplica => {
            let layers = call.params.text("layers").ok_or_else(|| {
                Error::invalid(
                    "layers",
                    "it is missing; send the document that createReplica answered as the body, as JSON",
                )
            })?;
            let source = Source::Layers(layers.into());
            let params = call.params.clone();
            Ok(Reply::Json(match params.flag(&["rebase"], false)? {
                true => replica::rebase(&call.app, service, params, source).await?,
                false => replica::import(&call.app, service, params, source).await?,
            }))
        }
        OfService::ExtractChanges => extract(call, service).await,
        OfService::Replicas => replicas(call, service).await,
        OfService::Replica(id) => {
            let id = ReplicaId::parse(id).ok_or_else(|| Error::ReplicaNotFound { id: id.clone() })?;
            Ok(Reply::Json(info(&replica::find(&call.app, service, id).await?)))
        }
        OfService::ReplicaStatus(id) => {
            let id = ReplicaId::parse(id).ok_or_else(|| Error::ReplicaNotFound { id: id.clone() })?;
            health::status(&call.app, service, id).await
        }
        OfService::CleanUp => {
            health::clean_up(&call.app, service, &CleanUpRequest::parse(&call.params, service)?).await
        }
        OfService::ReplicaFile(name) => file(call, service, name).await,
        OfService::Jobs => jobs::list(call, service).await,
        OfService::Job(id) => jobs::status(call, service, id).await,
        OfService::Uploads(what) => uploads::handle(call, service, what).await,
        OfService::Books(what) => books::handle(call, service, what).await,
        OfService::Layer(id, what) => {
            let layer = service.layer(LayerId(*id)).ok_or_else(|| {
                Error::NotFound(format!(
                    "Layer {id} not found: service {} has no layer or table with this id",
                    service.name
                ))
            })?;
            of_layer(call, service, layer, *what).await
        }
    }
}

async fn of_layer(call: &Call, service: &Service, layer: &Arc<Layer>, what: OfLayer) -> Result<Reply> {
    match what {
        OfLayer::Itself => {
            let facts = call.app.store.facts(service).await?;
            let index = service.layers.iter().position(|known| known.key == layer.key);
            let facts = index.and_then(|index| facts.get(index)).cloned().unwrap_or_default();
            Ok(document(call, service, service::layer(service, layer, &facts)).await)
        }
        // An empty form, which is how a person begins.
        OfLayer::Query if call.format == Format::Html && !asks_anything(&call.params) => Ok(Reply::Form),
        OfLayer::Query => {
            let wanted = wire_query::parse(&call.params, layer)?;
            Ok(query::run(&call.app, service, layer, &wanted).await?.into())
        }
        OfLayer::QueryRelatedRecords => queries::related(call, service, layer).await,
        OfLayer::QueryAttachments => queries::attachments(call, service, layer).await,
        OfLayer::Feature(id) => queries::feature(call, service, layer, id).await,
        OfLayer::Attachments(feature) => {
            let found = query::attachments::list(&call.app, service, layer, feature).await?;
            Ok(Reply::Json(json!({"attachmentInfos": found.iter().map(service::attachment_info).collect::<Json>()})))
        }
        OfLayer::Attachment { feature, id } => {
            let (info, file) = query::attachments::find(&call.app, service, layer, feature, id).await?;
            let sent = Sent { file, size_bytes: info.size_bytes.cast_unsigned(), sha256: parse_sha256(&info.sha256) };
            Ok(Reply::Attachment(info, sent))
        }
        edit => editing::of_layer(call, service, layer, edit).await,
    }
}

async fn create(call: &Call, service: &Service) -> Result<Reply> {
    let request = CreateReplicaRequest::parse(&call.params, service)?;
    if request.replica.direction != SyncDirection::Download && !matches!(request.purpose, Purpose::Export) {
        permit::require(
            call,
            service,
            Access::Edit,
            "a replica that uploads; syncDirection=download makes one that does not",
        )?;
    }
    if asynchronous(&call.params)? {
        // Known to be wrong now rather than when the job is begun.
        gdal::require(request.format).await?;
        return jobs::submit(call, service, None, Operation::CreateReplica).await;
    }
    let made = replica::create(&call.app, service, &address(call, service), request, &run(call)).await?;
    Ok(answer(call, service, made))
}

async fn synchronize(call: &Call, service: &Service) -> Result<Reply> {
    let request = match SynchronizeReplicaRequest::parse(&call.params) {
        Ok(request) => request,
        Err(error) => {
            if let Some(id) = call.params.text("replicaID").and_then(ReplicaId::parse) {
                replica::note_failure(&call.app, service, id, (&run(call), Duration::ZERO), &error).await;
            }
            return Err(error);
        }
    };
    if asynchronous(&call.params)? {
        // Known to be wrong now rather than when the job is begun.
        let found = replica::find(&call.app, service, request.replica).await?;
        replica::require_right(service, &found, &request)?;
        if let Some(id) = request.edits_upload {
            let mut session = call.app.store.session().await?;
            crate::uploads::committed(&mut session, service, "editsUploadId", id).await?;
        }
        return jobs::submit(call, service, None, Operation::SynchronizeReplica).await;
    }
    let address = address(call, service);
    let made = replica::synchronize(&call.app, service, &address, &request, &run(call)).await?;
    Ok(answer(call, service, made))
}

async fn extract(call: &Call, service: &Service) -> Result<Reply> {
    // An empty form, which is how a person begins.
    if call.format == Format::Html && call.method != Method::POST && !asks_changes(&call.params) {
        return Ok(Reply::Form);
    }
    let request = ExtractChangesRequest::parse(&call.params, service)?;
    if asynchronous(&call.params)? {
        return jobs::submit(call, service, None, Operation::ExtractChanges).await;
    }
    let made = replica::extract(&call.app, service, &address(call, service), &request, &run(call)).await?;
    Ok(answer(call, service, made))
}

async fn replicas(call: &Call, service: &Service) -> Result<Reply> {
    let with_last_sync = call.params.flag(&["returnLastSyncDate"], call.format == Format::Html)?;
    let with_version = call.params.flag(&["returnVersion"], false)?;
    // There is one version of the data, which has the name that clients know.
    let of_version = call.params.text("replicaVersion");
    let replicas = match of_version.is_none_or(|name| name.eq_ignore_ascii_case("sde.DEFAULT")) {
        true => replica::list(&call.app, service).await?,
        false => Vec::new(),
    };
    Ok(Reply::Json(replicas.iter().map(|replica| list_item(replica, with_last_sync, with_version)).collect()))
}

/// The document of a service or of layers, with what this installation can do beside, for whoever asks.
pub(super) async fn document(call: &Call, of: &Service, mut document: Json) -> Reply {
    service::limit(&mut document, call.access(of));
    service::add_export_formats(&mut document, gdal::formats().await);
    Reply::Json(document)
}

fn asks_anything(params: &Params) -> bool {
    params.get(&["where", "objectIds", "uniqueIds", "globalIds", "geometry", "time", "outStatistics"]).is_some()
}

fn asks_changes(params: &Params) -> bool {
    params.get(&["serverGens", "layerServerGens"]).is_some()
}

/// The response of a replica operation: the document, or where to fetch it.
pub(super) fn answer(call: &Call, service: &Service, answer: Answer) -> Reply {
    let Answer { mut head, body, .. } = answer;
    match body {
        Body::Nothing => Reply::Json(Json::Object(head)),
        Body::Document(finished) => Reply::Spooled(finished),
        Body::File(export) => {
            let url = url::result_file(&call.base, &service.name, export.id, export.format);
            // Clients look for one or the other.
            head.insert("URL".to_owned(), url.clone().into());
            head.insert("responseUrl".to_owned(), url.into());
            Reply::Json(Json::Object(head))
        }
    }
}

/// Whose request it is.
pub(super) fn run(call: &Call) -> Run {
    Run { request_id: call.request_id.clone(), client: call.client.clone(), ..Run::default() }
}

/// The address of a service, as the client reaches it.
fn address(call: &Call, service: &Service) -> String {
    url::service(&call.base, &service.name)
}

async fn unregister(call: &Call, service: &Service) -> Result<Reply> {
    replica::unregister(&call.app, service, Unregister::parse(&call.params)?).await?;
    Ok(Reply::Json(json!({"success": true})))
}

async fn file(call: &Call, service: &Service, name: &str) -> Result<Reply> {
    let gone = || {
        Error::NotFound("Result file not found: it was never made, or nobody fetched it for so long that it was deleted; repeat the request that made it".to_owned())
    };
    let (id, extension) = name.split_once('.').ok_or_else(gone)?;
    let id = Uuid::try_parse(id).map_err(|_| gone())?;
    let mut session = call.app.store.session().await?;
    let mut tx = session.own().await?;
    let known = tx.export_use(service, id).await?.filter(|known| known.format.extension() == extension);
    let known = known.ok_or_else(gone)?;
    tx.commit().await?;
    match call.app.files.export(id).await? {
        Some((file, size_bytes)) if size_bytes == known.size_bytes => {
            Ok(Reply::File(known.format, Sent { file, size_bytes, sha256: known.sha256 }))
        }
        _ => Err(gone()),
    }
}
