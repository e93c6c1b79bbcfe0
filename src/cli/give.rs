//! `syncline replicas give`

use clap::Args;
use serde_json::json;

use crate::{
    app::App,
    error::{Error, Result},
    model::id::ReplicaId,
    store::owners::Given,
};

use super::say;

#[derive(Debug, Args)]
pub(super) struct Giving {
    /// The replica's id, in any spelling
    #[arg(required_unless_present = "from")]
    id: Option<String>,
    /// All replicas of this user, who may have been removed
    #[arg(long, value_name = "USER", conflicts_with = "id")]
    from: Option<String>,
    /// The user whose they are from now on
    #[arg(long, value_name = "USER", required_unless_present = "to_anybody")]
    to: Option<String>,
    /// They belong to nobody: anybody who may use the service may synchronize them
    #[arg(long, conflicts_with = "to")]
    to_anybody: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Giving {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        let which = match (&self.id, &self.from) {
            (Some(id), _) => Given::One(ReplicaId::parse(id).ok_or_else(|| Error::ReplicaNotFound { id: id.clone() })?),
            (None, Some(user)) => Given::AllOf(user.clone()),
            (None, None) => return Err(Error::invalid("id", "name a replica, or a user with --from")),
        };
        let given = app.store.give_replicas(&which, self.to.as_deref()).await?;
        if self.json {
            let ids: Vec<String> = given.iter().map(ToString::to_string).collect();
            return say(json!({"replicaIDs": ids, "replicaOwner": self.to.unwrap_or_default()}).to_string());
        }
        let to = self.to.map_or_else(|| "anybody who may use its service".to_owned(), |user| format!("user {user}"));
        for id in &given {
            say(format!("Replica {id} belongs to {to}."))?;
        }
        if given.is_empty() {
            say(format!("User {} has no replicas.", self.from.unwrap_or_default()))?;
        }
        Ok(())
    }
}
