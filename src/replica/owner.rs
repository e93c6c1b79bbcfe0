//! Whose replicas are: what their owners may see, and who may have none of a kind.

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        guard::Caller,
        layer::Service,
        principal::{Principal, UserName},
        replica::Replica,
    },
    store::Session,
};

/// Lets a replica hold what its owner may see, whoever acts for them.
pub(crate) async fn see_as_owner(
    app: &App,
    session: &mut Session,
    service: &Service,
    replica: &mut Replica,
) -> Result<()> {
    let has_rules = service.layers.iter().any(|layer| !layer.rules.row_rules.is_empty());
    if !has_rules || (service.caller.is_somebody() && service.caller.owns(&replica.owner)) {
        return Ok(());
    }
    let seen = seen_by_user(app, session, service, &replica.owner).await?;
    let policies = replica
        .layers
        .iter()
        .map(|known| seen.layer_by_key(known.layer.key).and_then(|layer| layer.guard.read.clone()));
    replica.see(service, policies.collect());
    Ok(())
}

/// A service as a user may use it who does not ask at this moment: the owner of a replica, or of a job. A user who was removed may do what
/// everybody may.
pub(crate) async fn seen_by_user(app: &App, session: &mut Session, service: &Service, name: &str) -> Result<Service> {
    let principal = match name {
        "" => Principal::default(),
        name if app.config.admin_token.is_some() && name == UserName::of_key("admin_token").as_str() => {
            Principal::admin(UserName::of_key("admin_token"))
        }
        name => match session.own().await?.principal_find(name).await? {
            Some(found) => found,
            None => Principal { user: UserName::parse(name).ok(), ..Principal::default() },
        },
    };
    let access = service.access(&principal, app.config.anonymous);
    Ok(service.seen_by(Caller::new(principal, access)))
}

/// Refuses what two servers do with each other to somebody from whom rows are kept: they would carry on what is missing, and say themselves who
/// edited a row.
pub(super) fn require_unlimited(service: &Service) -> Result<()> {
    match service.layers.iter().find(|layer| layer.guard.is_limited()) {
        None => Ok(()),
        Some(layer) => Err(Error::Forbidden(format!(
            "layer {} ({}) has rows that you may not see or change, and servers exchange all; replicas between servers need the right to manage \
             service {}",
            layer.id, layer.name, service.name
        ))),
    }
}
