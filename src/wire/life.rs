//! Documents about the life of replicas, and the parameters of cleanupChangeTracking.
//!
//! API reference: *Cleanup Change Tracking*. The status of a replica is Syncline's own.

use serde_json::{Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        id::{Generation, LayerId, LayerKey, ReplicaId},
        layer::Service,
        life::{Life, Policy, Wish},
    },
};

use super::params::Params;

/// The status of a replica. `kept_alone` is the history that is kept for its sake alone: generations and changes.
pub(crate) fn status(life: &Life, policy: Policy, kept_alone: Option<(i64, i64)>) -> Json {
    let (n_generations, n_changes) = kept_alone.unwrap_or((0, 0));
    json!({
        "replicaID": life.id.to_string(),
        "replicaName": life.name,
        "replicaOwner": life.owner,
        "state": life.state(policy).name(),
        "creationDate": life.created_ms,
        "lastSyncDate": life.last_sync_ms,
        "idleDays": life.idle_days(),
        "expiredDate": life.expired_ms,
        "expiryDate": life.ends_ms(policy).filter(|_| life.expired_ms.is_none()),
        "unregisterDate": life.ends_ms(policy).filter(|_| life.expired_ms.is_some()),
        "givenServerGen": life.given.map(Generation::get),
        "acknowledgedServerGen": life.acknowledged.map(Generation::get),
        "needsSnapshot": !life.can_go_on,
        "changesBehind": life.n_behind,
        "moreChangesBehind": life.has_more,
        "historyKeptAlone": {"generations": n_generations, "changes": n_changes},
    })
}

/// What cleanupChangeTracking asks for.
#[derive(Debug)]
pub(crate) struct CleanUpRequest {
    /// The layers; none means all.
    pub(crate) layers: Vec<LayerKey>,
    /// How far.
    pub(crate) wish: Wish,
}

impl CleanUpRequest {
    /// Reads the parameters.
    pub(crate) fn parse(params: &Params, service: &Service) -> Result<CleanUpRequest> {
        if params.flag(&["async"], false)? {
            return Err(Error::NotSupported(
                "async=true is not supported for this operation, which takes moments; leave it out".to_owned(),
            ));
        }
        let mut layers = Vec::new();
        for id in params.ids("layers")?.into_iter().flatten() {
            let layer = i32::try_from(id).ok().and_then(|id| service.layer(LayerId(id)));
            layers.push(layer.map(|layer| layer.key).ok_or_else(|| {
                Error::invalid("layers", format!("service {} has no layer or table {id}", service.name))
            })?);
        }
        let period = params.integer("retentionPeriod")?;
        let generation = params.integer("minServerGen")?;
        let replica = params.text("replicaId");
        let wish = match (period, generation, replica) {
            (Some(period), None, None) => Wish::OlderThan { seconds: seconds(params, period)? },
            (None, Some(generation), None) => Wish::Upto(Generation::new(generation).ok_or_else(|| {
                Error::invalid("minServerGen", format!("{generation} is not a generation; it is from 0 to 2^53"))
            })?),
            (None, None, Some(id)) => {
                Wish::HeldBy(ReplicaId::parse(id).ok_or_else(|| Error::ReplicaNotFound { id: id.to_owned() })?)
            }
            (None, None, None) => {
                return Err(Error::invalid(
                    "retentionPeriod",
                    "it is missing; say how far to forget with one of retentionPeriod (and retentionPeriodUnits), minServerGen, replicaId",
                ));
            }
            _ => {
                return Err(Error::invalid(
                    "retentionPeriod",
                    "only one of retentionPeriod, minServerGen and replicaId can say how far to forget",
                ));
            }
        };
        Ok(CleanUpRequest { layers, wish })
    }
}

fn seconds(params: &Params, period: i64) -> Result<i64> {
    let unit = params.word("retentionPeriodUnits", "days, hours, minutes, seconds", |text| {
        match text.to_ascii_lowercase().as_str() {
            "days" => Some(86_400),
            "hours" => Some(3_600),
            "minutes" => Some(60),
            "seconds" => Some(1),
            _ => None,
        }
    })?;
    period.checked_mul(unit.unwrap_or(86_400)).filter(|seconds| (0..=3_200_000_000).contains(seconds)).ok_or_else(
        || Error::invalid("retentionPeriod", format!("{period} is out of range; it is from 0 to 100 years")),
    )
}
