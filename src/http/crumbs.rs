//! Where a page stands: the pages above it, its title, and what it is about.

use crate::{
    app::App,
    model::{id::LayerId, layer::Layer, value::brief},
    wire::url::encode,
};

use super::{
    books, editing,
    html::{Crumb, Kind},
    route::{OfAdmin, OfLayer, OfService, Route, SigningIn},
    uploads,
};

const SERVICES: &str = "/arcgis/rest/services";

/// The way to a page, its title, and what it is about.
pub(super) fn crumbs(app: &App, route: &Route) -> (Vec<Crumb>, String, Kind) {
    let Route::Service(name, what) = route else { return elsewhere(route) };
    let mut path = vec![crumb("Home", SERVICES.to_owned()), crumb("services", SERVICES.to_owned())];
    let catalogue = app.store.catalogue();
    let service = catalogue.service(name);
    let name = service.map_or_else(|| brief(name), |service| service.name.clone());
    let root = format!("{SERVICES}/{}/FeatureServer", encode(&name));
    let shown = format!("{name} (FeatureServer)");
    path.push(crumb(&shown, root.clone()));
    let mut operation = |text: &str, kind: Kind| {
        path.push(crumb(text, format!("{root}/{text}")));
        (format!("{} ({name})", spelled(text)), kind)
    };
    let (title, kind) = match what {
        OfService::Itself => (shown, Kind::Service),
        OfService::Layers => operation("layers", Kind::AllLayers),
        OfService::Query => operation("query", Kind::ServiceQuery),
        OfService::Relationships => operation("relationships", Kind::Other),
        OfService::QueryDomains => operation("queryDomains", Kind::Other),
        OfService::Admin(id, what) => {
            let layer = id.map(|id| (id, service.and_then(|service| service.layer(LayerId(id)))));
            administration(layer.map(|(id, layer)| (id, layer.map(AsRef::as_ref))), *what, &name, &root, &mut path)
        }
        OfService::ApplyEdits => operation("applyEdits", Kind::ServiceEdits),
        OfService::CreateReplica => operation("createReplica", Kind::CreateReplica),
        OfService::SynchronizeReplica => operation("synchronizeReplica", Kind::SynchronizeReplica),
        OfService::UnregisterReplica => operation("unRegisterReplica", Kind::UnregisterReplica),
        OfService::ImportReplica => operation("importReplica", Kind::ImportReplica),
        OfService::ExtractChanges => operation("extractChanges", Kind::ExtractChanges),
        OfService::Replicas => {
            operation("replicas", Kind::Replicas);
            (format!("All Replicas ({name})"), Kind::Replicas)
        }
        OfService::Replica(id) => {
            operation("replicas", Kind::Replicas);
            path.push(crumb(&brief(id), format!("{root}/replicas/{}", encode(id))));
            (format!("Replica ({name})"), Kind::Replica)
        }
        OfService::ReplicaStatus(id) => {
            operation("replicas", Kind::Replicas);
            path.push(crumb(&brief(id), format!("{root}/replicas/{}", encode(id))));
            path.push(crumb("status", format!("{root}/replicas/{}/status", encode(id))));
            (format!("Replica status ({name})"), Kind::Other)
        }
        OfService::CleanUp => {
            let root = root.replacen("/rest/", "/rest/admin/", 1);
            path.push(crumb("admin", root.clone()));
            path.push(crumb("cleanupChangeTracking", format!("{root}/cleanupChangeTracking")));
            (
                format!("{} ({name})", spelled("cleanupChangeTracking")),
                Kind::Definition { operation: "cleanupChangeTracking" },
            )
        }
        OfService::ReplicaFile(_) => ("Result file".to_owned(), Kind::Other),
        OfService::Jobs => {
            operation("jobs", Kind::Jobs);
            (format!("All Jobs ({name})"), Kind::Jobs)
        }
        OfService::Job(id) => {
            operation("jobs", Kind::Jobs);
            path.push(crumb(&brief(id), format!("{root}/jobs/{}", encode(id))));
            (format!("Job ({name})"), Kind::Job)
        }
        OfService::Uploads(what) => {
            operation("uploads", Kind::Uploads);
            uploads::crumbs(what, &name, &mut path)
        }
        OfService::Books(what) => {
            path.extend(below(&root, what.steps()));
            let kind = match what.post_only() {
                Some(operation) => Kind::Books { operation },
                None if what.is_list() => Kind::Entries,
                None if what.is_entry() => Kind::Entry,
                None => Kind::Other,
            };
            (books::title(what, &name), kind)
        }
        OfService::Layer(id, what) => {
            let layer = service.and_then(|service| service.layer(LayerId(*id)));
            of_layer(layer.map(AsRef::as_ref), *id, *what, &root, &mut path)
        }
    };
    (path, title, kind)
}

/// The same for what is not of a service.
fn elsewhere(route: &Route) -> (Vec<Crumb>, String, Kind) {
    let home = || crumb("Home", SERVICES.to_owned());
    let page = |name: &str, address: &str, title: &str, kind: Kind| {
        (vec![home(), crumb(name, address.to_owned())], title.to_owned(), kind)
    };
    match route {
        Route::ConsolePage(shown, segments) => {
            let root = "/arcgis/console";
            let mut path = vec![crumb("console", root.to_owned())];
            path.extend(below(root, segments));
            (path, shown.title().to_owned(), Kind::Console(*shown))
        }
        Route::Console(what) => (below("/arcgis/rest/admin", what.steps()).collect(), what.title(), Kind::Other),
        Route::Catalogue => page("services", SERVICES, "Services", Kind::Catalogue),
        Route::Info => page("info", "/arcgis/rest/info", "Info", Kind::Other),
        Route::SigningIn(SigningIn::GenerateToken) => {
            page("generateToken", "/arcgis/tokens/generateToken", "Generate Token", Kind::GenerateToken)
        }
        Route::SigningIn(_) => page("Login", "/arcgis/login", "Login", Kind::Other),
        Route::Accounts(what) => {
            let address = format!("/arcgis/rest/admin/accounts/{}", what.name());
            page(what.name(), &address, &format!("Accounts: {}", what.name()), Kind::Other)
        }
        Route::Audit => page("audit", "/arcgis/rest/admin/audit", "Audit log", Kind::Other),
        Route::VerifyAudit => (
            vec![
                home(),
                crumb("audit", "/arcgis/rest/admin/audit".to_owned()),
                crumb("verify", "/arcgis/rest/admin/audit/verify".to_owned()),
            ],
            "Verify the audit log".to_owned(),
            Kind::Other,
        ),
        _ => page("services", SERVICES, "Not found", Kind::Other),
    }
}

/// The steps of a way that goes on from `root`.
fn below<S: AsRef<str>>(root: &str, steps: impl IntoIterator<Item = S>) -> impl Iterator<Item = Crumb> {
    let mut href = root.to_owned();
    steps.into_iter().map(move |step| {
        href = format!("{href}/{}", encode(step.as_ref()));
        crumb(&brief(step.as_ref()), href.clone())
    })
}

fn of_layer(layer: Option<&Layer>, id: i32, what: OfLayer, root: &str, path: &mut Vec<Crumb>) -> (String, Kind) {
    let name = layer.map_or_else(|| id.to_string(), |layer| layer.name.clone());
    path.push(crumb(&format!("{name} ({id})"), format!("{root}/{id}")));
    let (operation, kind) = match what {
        OfLayer::Itself => return (format!("Layer: {name} (ID: {id})"), Kind::Layer),
        OfLayer::Query => ("query", Kind::Query { table: layer.is_some_and(|layer| layer.shape.is_none()) }),
        OfLayer::QueryRelatedRecords => ("queryRelatedRecords", Kind::RelatedRecords),
        OfLayer::QueryAttachments => ("queryAttachments", Kind::AttachmentQuery),
        OfLayer::Feature(feature) => {
            path.push(crumb(&feature.to_string(), format!("{root}/{id}/{feature}")));
            return (format!("Feature {feature}: {name} (ID: {id})"), Kind::Feature);
        }
        OfLayer::Attachments(_) => ("attachments", Kind::Attachments),
        edit => editing::page(edit),
    };
    if let Some(feature) = what.feature() {
        path.push(crumb(&feature.to_string(), format!("{root}/{id}/{feature}")));
    }
    let below = match what.feature() {
        Some(feature) => format!("{feature}/{operation}"),
        None => operation.to_owned(),
    };
    let root = if what == OfLayer::Truncate { root.replacen("/rest/", "/rest/admin/", 1) } else { root.to_owned() };
    path.push(crumb(operation, format!("{root}/{id}/{below}")));
    (format!("{}: {name} (ID: {id})", spelled(operation)), kind)
}

/// The way to an operation on a definition: of the service, or of a layer.
fn administration(
    layer: Option<(i32, Option<&Layer>)>,
    what: OfAdmin,
    service_name: &str,
    root: &str,
    path: &mut Vec<Crumb>,
) -> (String, Kind) {
    let mut href = root.replacen("/rest/", "/rest/admin/", 1);
    path.push(crumb("admin", href.clone()));
    let mut of = service_name.to_owned();
    if let Some((id, layer)) = layer {
        of = layer.map_or_else(|| id.to_string(), |layer| layer.name.clone());
        href = format!("{href}/{id}");
        path.push(crumb(&format!("{of} ({id})"), href.clone()));
    }
    let operation = match what {
        OfAdmin::Itself => return (format!("Administration ({of})"), Kind::Administration),
        OfAdmin::Add => "addToDefinition",
        OfAdmin::Update => "updateDefinition",
        OfAdmin::Delete => "deleteFromDefinition",
        OfAdmin::Refresh => "refresh",
    };
    path.push(crumb(operation, format!("{href}/{operation}")));
    (format!("{} ({of})", spelled(operation)), Kind::Definition { operation })
}

/// The name of an operation as people write it: "Create Replica".
fn spelled(operation: &str) -> String {
    if operation == "unRegisterReplica" {
        return "Unregister Replica".to_owned();
    }
    let mut text = String::with_capacity(operation.len() + 4);
    let mut before = ' ';
    for c in operation.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            text.push(' ');
        }
        text.push(if text.is_empty() { c.to_ascii_uppercase() } else { c });
        before = c;
    }
    text
}

fn crumb(text: &str, href: String) -> Crumb {
    Crumb { text: text.to_owned(), href }
}

#[cfg(test)]
mod tests {
    use super::spelled;

    #[test]
    fn operations_are_titled_as_people_write_them() {
        for (operation, title) in [
            ("query", "Query"),
            ("createReplica", "Create Replica"),
            ("validateSQL", "Validate SQL"),
            ("unRegisterReplica", "Unregister Replica"),
            ("queryRelatedRecords", "Query Related Records"),
        ] {
            assert_eq!(spelled(operation), title);
        }
    }
}
