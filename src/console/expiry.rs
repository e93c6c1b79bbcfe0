//! Exceptions from the rule by which replicas expire.

use std::collections::HashSet;

use crate::{
    app::App,
    error::{Error, Result},
    wire::console::ExpiryOf,
};

use super::unregister::service_of;

/// Sets after how many days without a synchronization replicas expire: 0 for never, `None` for whatever holds without a rule
/// of their own. Nothing is set if one of the replicas is not there.
pub(crate) async fn set_expiry(app: &App, of: &ExpiryOf, days: Option<i32>) -> Result<()> {
    let default_days = app.config.policy().expire_days.unwrap_or(0);
    let ids = match of {
        ExpiryOf::Service(name) => {
            let service = app.store.service(name).await?;
            let mut session = app.store.session().await?;
            let mut tx = session.own().await?;
            tx.service_set_expiry(service.key, days, default_days).await?;
            tx.commit().await?;
            tracing::info!(service.name = service.name, ?days, "the rule of expiry of a service was set");
            return Ok(());
        }
        ExpiryOf::Replicas(ids) => ids,
    };
    let mut services = Vec::new();
    for &id in ids {
        let service = service_of(app, id).await?.ok_or_else(|| Error::ReplicaNotFound { id: id.to_string() })?;
        if !services.contains(&service.key) {
            services.push(service.key);
        }
    }
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let mut done = HashSet::new();
    for service in services {
        done.extend(tx.replica_set_expiry(service, ids, days, default_days).await?);
    }
    // Somebody may have unregistered one in between.
    if let Some(missing) = ids.iter().find(|id| !done.contains(id)) {
        return Err(Error::ReplicaNotFound { id: missing.to_string() });
    }
    tx.commit().await?;
    tracing::info!(n_replicas = ids.len(), ?days, "the rule of expiry of replicas was set");
    Ok(())
}
