//! `syncline prune` and `syncline epoch`

use clap::{Args, Subcommand};

use crate::{
    config::Config,
    error::{Error, Result},
    store::{Store, prune::Retention},
};

use super::{counted, say};

#[derive(Debug, Args)]
pub(super) struct Prune {
    /// Change nothing; say what would be forgotten
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    pub(super) async fn run(self, store: &Store, config: &Config) -> Result<()> {
        let keep = Retention {
            history_days: config.keep_history_days,
            receipts_days: config.keep_receipts_days,
            refused_days: config.keep_refused_days,
        };
        let pruned = store.prune(keep, self.dry_run).await?.ok_or_else(|| {
            Error::Unavailable("another process is pruning at the moment; there is nothing to do here".to_owned())
        })?;
        for service in &pruned {
            let held = match service.held_by {
                Some(replica) => format!("; replica {replica} needs what comes next"),
                None => String::new(),
            };
            let verb = if self.dry_run { "to be deleted" } else { "deleted" };
            let changes = counted(service.n_changes, "change");
            say(format!(
                "{}: history begins at generation {} (before: {}), {changes} {verb}{held}",
                service.service, service.to, service.from
            ))?;
        }
        if pruned.is_empty() { say("No services.") } else { Ok(()) }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum EpochCommand {
    /// List the epochs
    List,
    /// Begin an epoch, after a restore that the database does not show by itself, such as a copy of its files
    Begin {
        /// Why, for those who read the list
        #[arg(long, default_value = "begun by an administrator")]
        reason: String,
    },
}

impl EpochCommand {
    pub(super) async fn run(self, store: &Store) -> Result<()> {
        let epochs = match self {
            EpochCommand::List => store.epochs().await?,
            EpochCommand::Begin { reason } => vec![store.begin_epoch(&reason).await?],
        };
        for epoch in epochs {
            let lost = if epoch.lost_upto > epoch.lost_after {
                format!("generations after {} up to {} are of a lost past", epoch.lost_after, epoch.lost_upto)
            } else {
                "nothing can be lost before it".to_owned()
            };
            say(format!("Epoch {}, since {} UTC: {lost}; {}", epoch.id, epoch.began_at, epoch.reason))?;
        }
        Ok(())
    }
}
