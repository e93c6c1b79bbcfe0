//! The files that pages are made with: style sheets, scripts, and the outline of the land under maps. All are in the program.
//!
//! The address of a file has the digest of its content in it, so a browser may keep it for ever, and a new version of the
//! program has new addresses. A file names another as `"./map.js"`; here, that becomes the other's address.

use std::sync::LazyLock;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::model::digest::hex;

/// A file that a page names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asset {
    /// The look of all pages.
    Style,
    /// The picture in the tab of a browser.
    Icon,
    /// Dark or light, before anything is drawn.
    Theme,
    /// The map library's style.
    LeafletStyle,
    /// The map library.
    Leaflet,
    /// The land under maps that have no base map.
    Land,
    /// `ask`: requests of pages to the server.
    Api,
    /// `showMap`.
    Map,
    /// What makes maps of the places that pages have for them.
    Directory,
    /// The look of the console.
    ConsoleStyle,
    /// What its pages have in common.
    ConsoleKit,
    /// Drawings on the line of time.
    ConsoleDrawing,
    /// Its first page.
    ConsoleOverview,
    /// Its page of all replicas.
    ConsoleReplicas,
    /// Its page of one.
    ConsoleReplica,
    /// Its pages of refused edits and conflicts.
    ConsoleBooks,
    /// Its pages of users, grants, keys and sessions.
    ConsoleAccounts,
    /// Its page that publishes tables.
    ConsolePublish,
    /// Its page of the audit log.
    ConsoleAudit,
    /// Its other pages.
    ConsoleMore,
    /// What finds the page that is asked for.
    Console,
}

/// A file as it is sent.
struct Served {
    /// `map.0123456789abcdef.js`
    name: String,
    address: String,
    tag: String,
    media_type: &'static str,
    content: Bytes,
}

/// All files; one that names others comes after them.
const SOURCES: [(Asset, &str, &str); 21] = [
    (Asset::Style, "style.css", include_str!("../../assets/style.css")),
    (Asset::Icon, "icon.svg", include_str!("../../assets/icon.svg")),
    (Asset::Theme, "theme.js", include_str!("../../assets/theme.js")),
    (Asset::LeafletStyle, "leaflet.css", include_str!("../../assets/vendor/leaflet/leaflet.css")),
    (Asset::Leaflet, "leaflet.js", include_str!("../../assets/vendor/leaflet/leaflet.js")),
    (Asset::Land, "land.json", include_str!("../../assets/land.json")),
    (Asset::Api, "api.js", include_str!("../../assets/api.js")),
    (Asset::Map, "map.js", include_str!("../../assets/map.js")),
    (Asset::Directory, "directory.js", include_str!("../../assets/directory.js")),
    (Asset::ConsoleStyle, "console.css", include_str!("../../assets/console/console.css")),
    (Asset::ConsoleKit, "console-kit.js", include_str!("../../assets/console/kit.js")),
    (Asset::ConsoleDrawing, "console-drawing.js", include_str!("../../assets/console/drawing.js")),
    (Asset::ConsoleOverview, "console-overview.js", include_str!("../../assets/console/overview.js")),
    (Asset::ConsoleReplicas, "console-replicas.js", include_str!("../../assets/console/replicas.js")),
    (Asset::ConsoleReplica, "console-replica.js", include_str!("../../assets/console/replica.js")),
    (Asset::ConsoleBooks, "console-books.js", include_str!("../../assets/console/books.js")),
    (Asset::ConsoleAccounts, "console-accounts.js", include_str!("../../assets/console/accounts.js")),
    (Asset::ConsolePublish, "console-publish.js", include_str!("../../assets/console/publish.js")),
    (Asset::ConsoleAudit, "console-audit.js", include_str!("../../assets/console/audit.js")),
    (Asset::ConsoleMore, "console-more.js", include_str!("../../assets/console/more.js")),
    (Asset::Console, "console.js", include_str!("../../assets/console/console.js")),
];

static SERVED: LazyLock<Vec<Served>> = LazyLock::new(|| {
    let mut served: Vec<Served> = Vec::new();
    for (_, name, source) in SOURCES {
        let mut content = source.to_owned();
        for ((_, name, _), other) in SOURCES.iter().zip(&served) {
            content = content.replace(&format!("\"./{name}\""), &format!("\"./{}\"", other.name));
        }
        let digest = hex(&Sha256::digest(content.as_bytes()));
        let digest = digest.get(..16).unwrap_or(&digest);
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let name = format!("{stem}.{digest}.{extension}");
        served.push(Served {
            address: format!("/arcgis/static/{name}"),
            name,
            tag: format!("\"{digest}\""),
            media_type: match extension {
                "css" => "text/css; charset=utf-8",
                "js" => "text/javascript; charset=utf-8",
                "svg" => "image/svg+xml",
                _ => "application/json; charset=utf-8",
            },
            content: content.into(),
        });
    }
    served
});

impl Asset {
    /// Whether it is a style sheet; else it is a script, or data of one.
    pub(crate) fn is_style(self) -> bool {
        matches!(self, Asset::Style | Asset::LeafletStyle | Asset::ConsoleStyle)
    }

    /// Its absolute path.
    pub(crate) fn address(self) -> &'static str {
        let found = SOURCES.iter().zip(SERVED.iter()).find(|((asset, ..), _)| *asset == self);
        found.map_or("", |(_, served)| &served.address)
    }

    /// The file that has this name in its address. `None` if there is none, or if it is one of another version.
    pub(crate) fn named(name: &str) -> Option<Asset> {
        let found = SOURCES.iter().zip(SERVED.iter()).find(|(_, served)| served.name == name);
        found.map(|((asset, ..), _)| *asset)
    }

    /// The response with its content, or that the browser has it.
    pub(crate) fn send(self, request: &HeaderMap) -> Response {
        let mut response = Response::new(Body::empty());
        let Some((_, served)) = SOURCES.iter().zip(SERVED.iter()).find(|((asset, ..), _)| *asset == self) else {
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        };
        let known = request.get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
        if known.is_some_and(|known| known.contains(&served.tag)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            *response.body_mut() = Body::from(served.content.clone());
        }
        let headers = response.headers_mut();
        let mut insert = |name: HeaderName, value: &'static str| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        insert(header::CONTENT_TYPE, served.media_type);
        insert(header::ETAG, &served.tag);
        insert(header::CACHE_CONTROL, "public, max-age=31536000, immutable");
        insert(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found_by_its_address() {
        for (asset, name, _) in SOURCES {
            let file = asset.address().strip_prefix("/arcgis/static/").unwrap();
            assert_eq!(Asset::named(file), Some(asset));
            assert_eq!(Asset::named(name), None, "without its digest, a file could not be kept for ever");
        }
    }

    #[test]
    fn files_name_each_other_by_their_addresses() {
        for served in SERVED.iter() {
            let content = std::str::from_utf8(&served.content).unwrap();
            for named in content.split("\"./").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(Asset::named(named).is_some(), "{} names {named}", served.name);
            }
        }
    }
}
