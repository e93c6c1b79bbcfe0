//! What of a service's history is there, and what a client can be given from it.

use std::collections::HashMap;

use sqlx::{Row as _, postgres::PgRow};

use crate::{
    error::{Error, Result},
    model::{
        id::{Generation, LayerKey},
        layer::{Layer, Service},
        replica::SyncDirection,
    },
};

use super::session::generation_of;

/// The history of a service as one snapshot sees it.
#[derive(Debug)]
pub(crate) struct History {
    /// What the rows of the snapshot add up to.
    current: Generation,
    /// The oldest generation from which a delta can be made, for each layer.
    from: HashMap<LayerKey, Generation>,
    /// Generations after the first, up to the second, were given in a past that is lost.
    lost: Vec<(Generation, Generation)>,
    /// Why changes of a layer, or of one connected with it, may have been missed, and how to mend that.
    gaps: HashMap<LayerKey, String>,
}

/// Reads a history; the first statement of a transaction, which takes its snapshot.
pub(super) const HISTORY_FIND: &str = "-- history_find
    select greatest(s.history_from, (select max(t.generation) from syncline.txn t where t.service_id = s.service_id)),
      array(select l.layer_key from syncline.layer l where l.service_id = s.service_id order by l.layer_key),
      array(select greatest(l.history_from, s.history_from) from syncline.layer l where l.service_id = s.service_id order by l.layer_key),
      array(select e.lost_after from syncline.epoch e where e.lost_upto > e.lost_after order by e.epoch_id),
      array(select e.lost_upto from syncline.epoch e where e.lost_upto > e.lost_after order by e.epoch_id),
      array(select g.layer_key from syncline.gap g join syncline.layer l using (layer_key) where g.mended_at is null order by g.gap_id desc),
      array(select 'changes of layer ' || f.layer_id || ' (' || l.name || ') are not recorded: ' || g.reason
          || '. Nobody can synchronize it until an administrator has run: syncline repair --service ''' || s.name || ''' --layer ' || f.layer_id
        from syncline.gap g join syncline.layer l using (layer_key) join syncline.layer f on f.layer_key = coalesce(l.attached_to, l.layer_key)
        where g.mended_at is null order by g.gap_id desc)
    from syncline.service s where s.service_id = $1";

impl History {
    pub(super) fn read(row: &PgRow, service: &Service) -> Result<History> {
        let keys = |index: usize| -> Result<Vec<LayerKey>> {
            Ok(row.try_get::<Vec<i32>, _>(index)?.into_iter().map(LayerKey).collect())
        };
        let numbers = |index: usize| -> Result<Vec<Generation>> {
            row.try_get::<Vec<i64>, _>(index)?.into_iter().map(super::session::generation).collect()
        };
        let mut history = History {
            current: generation_of(row, 0)?,
            from: keys(1)?.into_iter().zip(numbers(2)?).collect(),
            lost: numbers(3)?.into_iter().zip(numbers(4)?).collect(),
            // Of several gaps in a layer, the first is told.
            gaps: keys(5)?.into_iter().zip(row.try_get::<Vec<String>, _>(6)?).collect(),
        };
        history.spread(service);
        Ok(history)
    }

    /// Which rows of a layer a client held is known by the changes of the layers that its rows belong to, too. So what holds
    /// for a layer holds for all that are connected with it.
    fn spread(&mut self, service: &Service) {
        let relations = service.relationships.iter().map(|relation| (relation.origin, relation.destination));
        let attached = service.tracked().filter_map(|layer| Some((layer.attached_to?, layer.key)));
        let pairs: Vec<(LayerKey, LayerKey)> = relations.chain(attached).collect();
        let mut moved = true;
        while moved {
            moved = false;
            for (one, two) in pairs.iter().flat_map(|&(one, two)| [(one, two), (two, one)]) {
                if let (Some(here), Some(there)) = (self.from.get(&one).copied(), self.from.get(&two).copied())
                    && there < here
                {
                    self.from.insert(two, here);
                    moved = true;
                }
                if let Some(reason) = self.gaps.get(&one).cloned()
                    && !self.gaps.contains_key(&two)
                {
                    self.gaps.insert(two, reason);
                    moved = true;
                }
            }
        }
    }

    /// What the rows of the snapshot add up to.
    pub(crate) fn current(&self) -> Generation {
        self.current
    }

    /// The oldest generation from which a delta of a layer can be made.
    pub(crate) fn from(&self, layer: LayerKey) -> Generation {
        self.from.get(&layer).copied().unwrap_or(self.current)
    }

    /// Whether a generation was given in a past that a restore or a promotion has taken away.
    pub(crate) fn is_lost(&self, generation: Generation) -> bool {
        self.lost.iter().any(|(after, upto)| *after < generation && generation <= *upto)
    }

    /// Refuses a layer some of whose changes were not recorded, rather than to answer as if nothing were.
    pub(crate) fn require_tracking(&self, layer: &Layer) -> Result<()> {
        match self.gaps.get(&layer.key) {
            None => Ok(()),
            Some(reason) => Err(Error::Unavailable(reason.clone())),
        }
    }

    /// Refuses a synchronization of a layer for which the history is not there. Uploads need less of it than downloads.
    pub(crate) fn check(&self, layer: &Layer, direction: SyncDirection, presented: Option<Generation>) -> Result<()> {
        self.require_tracking(layer)?;
        let Some(presented) = presented else { return Ok(()) };
        if self.is_lost(presented) {
            return if wants_delta(direction) { Err(Error::LostGeneration { presented }) } else { Ok(()) };
        }
        self.check_reach(layer, direction, presented)
    }

    /// The same for a generation of which it is known what its holder has, whatever past it is of.
    pub(crate) fn check_reach(&self, layer: &Layer, direction: SyncDirection, presented: Generation) -> Result<()> {
        self.require_tracking(layer)?;
        // After a restore, numbers of the lost past may be above all that there are yet.
        if presented > self.current && !self.is_lost(presented) {
            return Err(Error::FutureGeneration { presented, current: self.current });
        }
        let history_from = self.from(layer.key);
        if wants_delta(direction) && presented < history_from {
            return Err(Error::HistoryGone { presented, history_from });
        }
        Ok(())
    }
}

fn wants_delta(direction: SyncDirection) -> bool {
    matches!(direction, SyncDirection::Download | SyncDirection::Bidirectional)
}
