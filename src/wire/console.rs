//! The parameters of the console's resources. They are Syncline's own.

use crate::{
    error::{Error, Result},
    model::{
        candidate,
        id::{LayerId, ReplicaId},
        principal::Access,
        standing::{Column, Order, Wanted, WantedState},
        value::brief,
    },
};

use super::{books, params::Params};

/// The most replicas that a request may name.
const MAX_IDS: usize = 1000;

/// Reads which replicas are wanted, and in which order.
pub(crate) fn wanted(params: &Params) -> Result<Wanted> {
    let text = |name: &'static str| params.text(name).map(str::to_owned);
    let idle_days = params.integer("idleDays")?;
    if let Some(days) = idle_days.filter(|days| !(0..=36_500).contains(days)) {
        return Err(Error::invalid("idleDays", format!("{days} is not within 0 to 36500")));
    }
    Ok(Wanted {
        service: text("service"),
        owner: text("owner"),
        state: params.word("state", WantedState::WORDS, WantedState::from_name)?,
        text: text("text").map(|text| text.to_lowercase()),
        idle_days,
        order: order(params)?,
    })
}

/// Reads `orderByFields`: one column, and which way.
fn order(params: &Params) -> Result<Order> {
    const NAME: &str = "orderByFields";
    let Some(text) = params.text(NAME) else { return Ok(Order::default()) };
    let (name, way) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let column = Column::from_name(name).ok_or_else(|| {
        Error::invalid(NAME, format!("there is no column '{}'; it is one of {}", brief(name), Column::names()))
    })?;
    let descending = match way.trim().to_ascii_lowercase().as_str() {
        "" | "asc" => false,
        "desc" => true,
        _ => return Err(Error::invalid(NAME, format!("'{}' is neither ASC nor DESC", brief(way)))),
    };
    Ok(Order { column, descending })
}

/// Reads `resultOffset` and `resultRecordCount`.
pub(crate) fn page(params: &Params) -> Result<(i64, i64)> {
    books::page(params)
}

/// Reads `replicaIDs`: the replicas that something is done with.
pub(crate) fn replica_ids(params: &Params) -> Result<Vec<ReplicaId>> {
    const NAME: &str = "replicaIDs";
    let text = params.text(NAME).ok_or_else(|| {
        Error::invalid(NAME, "it is missing; it names replicas by their ids, with commas between them")
    })?;
    let mut ids = Vec::new();
    for part in text.split(',').map(|part| part.trim_matches(|c: char| c.is_whitespace() || "[]\"'".contains(c))) {
        let id = ReplicaId::parse(part)
            .ok_or_else(|| Error::invalid(NAME, format!("'{}' is not the id of a replica", brief(part))))?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if ids.len() > MAX_IDS {
        return Err(Error::invalid(NAME, format!("{} replicas; at most {MAX_IDS} at a time", ids.len())));
    }
    Ok(ids)
}

/// Whose rule of expiry is set.
pub(crate) enum ExpiryOf {
    /// Of these replicas.
    Replicas(Vec<ReplicaId>),
    /// Of a service: of its replicas that have no rule of their own.
    Service(String),
}

/// Reads whose rule of expiry is set, and what it is: days, 0 for never, `None` for none.
pub(crate) fn expiry(params: &Params) -> Result<(ExpiryOf, Option<i32>)> {
    const NAME: &str = "days";
    let of = match (params.text("replicaIDs"), params.text("service")) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("service", "it and replicaIDs are both there; name one or the other"));
        }
        (None, Some(service)) => ExpiryOf::Service(service.to_owned()),
        _ => ExpiryOf::Replicas(replica_ids(params)?),
    };
    let text = params.text(NAME).ok_or_else(|| Error::invalid(NAME, format!("it is missing; it is {EXPIRY_WORDS}")))?;
    let days = match text.to_ascii_lowercase().as_str() {
        "never" => Some(0),
        "default" => None,
        number => match number.parse() {
            Ok(days @ 1..=36_500) => Some(days),
            _ => return Err(Error::invalid(NAME, format!("'{}' is not {EXPIRY_WORDS}", brief(text)))),
        },
    };
    Ok((of, days))
}

const EXPIRY_WORDS: &str =
    "a number of days from 1 to 36500, never, or default (what holds for the service, or the settings)";

/// Reads which tables of the database are wanted.
pub(crate) fn tables(params: &Params) -> Result<candidate::Wanted> {
    let (offset, limit) = page(params)?;
    let is_published = params.text("published").map(|_| params.flag(&["published"], false)).transpose()?;
    Ok(candidate::Wanted { text: params.text("text").map(str::to_owned), is_published, offset, limit })
}

/// A table that somebody wants to publish.
#[derive(Debug)]
pub(crate) struct Publish {
    /// The service; made if it does not exist.
    pub(crate) service: String,
    /// The schema of the table.
    pub(crate) schema: String,
    /// The table.
    pub(crate) table: String,
    /// The name of the layer; the table's if `None`.
    pub(crate) layer_name: Option<String>,
    /// Whether its features may have attachments.
    pub(crate) attachments: bool,
    /// What everybody may do with the service; `None`: what was said of it before, or what the settings say.
    pub(crate) anonymous: Option<Access>,
    /// Whether it is only told what would be done.
    pub(crate) preview: bool,
}

/// The longest name of a layer, in characters.
const MAX_LAYER_NAME: usize = 200;

/// Reads what is to be published.
pub(crate) fn publish(params: &Params) -> Result<Publish> {
    let needed = |name: &'static str, what: &str| {
        params.text(name).map(str::to_owned).ok_or_else(|| Error::invalid(name, format!("it is missing: {what}")))
    };
    let layer_name = params.text("layerName").map(str::to_owned);
    if layer_name.as_ref().is_some_and(|name| name.chars().count() > MAX_LAYER_NAME) {
        return Err(Error::invalid("layerName", format!("it is longer than {MAX_LAYER_NAME} characters; shorten it")));
    }
    let anonymous = params.word("anonymous", "none, view, edit", |word| {
        Access::from_name(word).filter(|access| *access <= Access::Edit)
    })?;
    Ok(Publish {
        service: needed(
            "service",
            "the service that the table becomes a layer of; it is made if there is none of this name",
        )?,
        schema: params.text("schema").unwrap_or("public").to_owned(),
        table: needed("table", "the name of the table, without its schema")?,
        layer_name,
        attachments: params.flag(&["attachments"], false)?,
        anonymous,
        preview: params.flag(&["preview"], false)?,
    })
}

/// A layer whose publication somebody wants to end.
#[derive(Debug)]
pub(crate) struct Unpublish {
    /// The service.
    pub(crate) service: String,
    /// The layer or table.
    pub(crate) layer: LayerId,
    /// Whether it is done although something is lost.
    pub(crate) force: bool,
    /// Whether it is only told what would be lost.
    pub(crate) preview: bool,
}

/// Reads what is to be unpublished.
pub(crate) fn unpublish(params: &Params) -> Result<Unpublish> {
    const NAME: &str = "layerId";
    let missing = |name: &'static str, what: &str| Error::invalid(name, format!("it is missing: {what}"));
    let id = params.integer(NAME)?.ok_or_else(|| missing(NAME, "the id of the layer or table in its service"))?;
    let layer = i32::try_from(id).map_err(|_| Error::invalid(NAME, format!("{id} cannot be the id of a layer")))?;
    Ok(Unpublish {
        service: params
            .text("service")
            .map(str::to_owned)
            .ok_or_else(|| missing("service", "the service of the layer"))?,
        layer: LayerId(layer),
        force: params.flag(&["force"], false)?,
        preview: params.flag(&["preview"], false)?,
    })
}
