//! Users who do not ask at this moment, but on whose behalf something is done: owners of replicas and of jobs.

use crate::{
    app::App,
    error::Result,
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
