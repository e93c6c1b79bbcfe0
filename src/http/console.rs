//! The resources of the console: routes and handlers. All are for administrators.

use serde_json::{Value as Json, json};

use crate::{
    auth::rights,
    console::{self, documents},
    error::{Error, Result},
    model::{account::Grantee, digest, id::ReplicaId, value::brief},
    wire::{console as wire, url},
};

use super::{Call, respond::Reply};

/// A resource or operation of the console. Texts are ids as they stand in the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Console {
    /// How the server is doing.
    Health,
    /// The settings.
    Settings,
    /// Whether anything changed.
    Pulse,
    /// All replicas.
    Replicas,
    /// How far they lag.
    Lags,
    /// Unregisters several.
    Unregister,
    /// Sets when they expire.
    Expire,
    /// One replica.
    Replica(String),
    /// Its synchronizations.
    Timeline(String),
    /// The tables of the database.
    Tables,
    /// Publishes one.
    Publish,
    /// Ends the publication of one.
    Unpublish,
}

impl Console {
    /// The resource of a path below `admin`: its words in lower case, and as they came.
    pub(super) fn of(words: &[&str], segments: &[String]) -> Option<Console> {
        let own = |index: usize| segments.get(index).cloned().unwrap_or_default();
        Some(match words {
            ["health"] => Console::Health,
            ["settings"] => Console::Settings,
            ["pulse"] => Console::Pulse,
            ["replicas"] => Console::Replicas,
            ["replicas", "lag"] => Console::Lags,
            ["replicas", "unregister"] => Console::Unregister,
            ["replicas", "expire"] => Console::Expire,
            ["replicas", _] => Console::Replica(own(1)),
            ["replicas", _, "timeline"] => Console::Timeline(own(1)),
            ["tables"] => Console::Tables,
            ["tables", "publish"] => Console::Publish,
            ["tables", "unpublish"] => Console::Unpublish,
            _ => return None,
        })
    }

    /// The name of an operation that changes something.
    pub(super) fn post_only(&self) -> Option<&'static str> {
        match self {
            Console::Unregister => Some("unregister"),
            Console::Expire => Some("expire"),
            Console::Publish => Some("publish"),
            Console::Unpublish => Some("unpublish"),
            _ => None,
        }
    }

    /// The steps of the path below `admin`.
    pub(super) fn steps(&self) -> Vec<&str> {
        match self {
            Console::Health => vec!["health"],
            Console::Settings => vec!["settings"],
            Console::Pulse => vec!["pulse"],
            Console::Replicas => vec!["replicas"],
            Console::Lags => vec!["replicas", "lag"],
            Console::Unregister => vec!["replicas", "unregister"],
            Console::Expire => vec!["replicas", "expire"],
            Console::Replica(id) => vec!["replicas", id],
            Console::Timeline(id) => vec!["replicas", id, "timeline"],
            Console::Tables => vec!["tables"],
            Console::Publish => vec!["tables", "publish"],
            Console::Unpublish => vec!["tables", "unpublish"],
        }
    }

    /// The title of a page.
    pub(super) fn title(&self) -> String {
        match self {
            Console::Health => "Health".to_owned(),
            Console::Settings => "Settings".to_owned(),
            Console::Pulse => "Pulse".to_owned(),
            Console::Replicas => "Replicas of all services".to_owned(),
            Console::Lags => "How far replicas lag".to_owned(),
            Console::Unregister => "Unregister replicas".to_owned(),
            Console::Expire => "When replicas expire".to_owned(),
            Console::Replica(id) => format!("Replica {}", brief(id)),
            Console::Timeline(id) => format!("Timeline of {}", brief(id)),
            Console::Tables => "Tables of the database".to_owned(),
            Console::Publish => "Publish a table".to_owned(),
            Console::Unpublish => "Unpublish a layer".to_owned(),
        }
    }
}

fn replica(id: &str) -> Result<ReplicaId> {
    ReplicaId::parse(id).ok_or_else(|| Error::ReplicaNotFound { id: id.to_owned() })
}

async fn publish(call: &Call) -> Result<Json> {
    let app = &call.app;
    let wanted = wire::publish(&call.params)?;
    let done = console::publish(app, &wanted).await?;
    let mut answer = console::published(&done, wanted.preview);
    if !wanted.preview {
        tracing::info!(service.name = done.service, layer = done.layer_id.0, "a table was published by request");
        if let Some(access) = wanted.anonymous {
            let service = app.store.service(&done.service).await?;
            rights::grant(&app.store, &service, &Grantee::Anonymous, Some(access)).await?;
        }
        answer["url"] = format!("{}/{}", url::service(&call.base, &done.service), done.layer_id.0).into();
    }
    Ok(answer)
}

/// Answers a request.
pub(super) async fn handle(call: &Call, what: &Console) -> Result<Reply> {
    let (app, params) = (&call.app, &call.params);
    let policy = app.config.policy();
    let answer: Json = match what {
        Console::Health => console::health(app).await?,
        Console::Settings => console::settings(app),
        Console::Pulse => {
            let numbers = console::pulse(app).await?;
            json!({"pulse": digest::hex(&numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>())})
        }
        Console::Replicas => {
            let (wanted, page) = (wire::wanted(params)?, wire::page(params)?);
            documents::list(&console::list(app, &wanted, page).await?, page.0, policy)
        }
        Console::Lags => documents::lags(&console::lags(app, params.text("service")).await?, policy),
        Console::Unregister => {
            let ids = wire::replica_ids(params)?;
            match params.flag(&["preview"], false)? {
                true => documents::preview(&console::preview(app, &ids).await?, policy),
                false => documents::unregistered(&console::unregister(app, &ids).await?, &call.request_id),
            }
        }
        Console::Expire => {
            let (of, days) = wire::expiry(params)?;
            console::set_expiry(app, &of, days).await?;
            json!({"success": true})
        }
        Console::Replica(id) => {
            let (one, held, extent) = console::find(app, replica(id)?).await?;
            documents::replica(&one, &held, extent, policy)
        }
        Console::Timeline(id) => {
            let (page, more) = console::timeline(app, replica(id)?, wire::page(params)?).await?;
            documents::timeline(&page, more)
        }
        Console::Tables => console::tables(app, wire::tables(params)?).await?,
        Console::Publish => publish(call).await?,
        Console::Unpublish => {
            let wanted = wire::unpublish(params)?;
            match wanted.preview {
                true => console::unpublish_preview(app, &wanted).await?,
                false => console::unpublish(app, &wanted).await?,
            }
        }
    };
    Ok(Reply::Json(answer))
}
