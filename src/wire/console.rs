//! The parameters of the console's resources. They are Syncline's own.

use crate::{
    error::{Error, Result},
    model::{
        id::ReplicaId,
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
