//! The judge of conflicts: what an upload overwrote that its device had not seen, out of a plain list of who did what.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{
    device::Rows,
    model::{Fields, Row},
};

/// What a transaction did to a row.
struct Touch {
    generation: i64,
    /// The device, if it came from one.
    by: Option<usize>,
    layer: usize,
    id: Uuid,
    before: Option<Row>,
    after: Option<Row>,
}

/// A conflict: whether the edit was a delete, and the names of what was lost.
pub type Lost = (bool, BTreeSet<String>);

/// All that was done.
#[derive(Default)]
pub struct Log(Vec<Touch>);

/// The values of a row by their names; none for no row.
fn values(row: Option<&Row>) -> BTreeMap<&'static str, String> {
    let Some(row) = row else { return BTreeMap::new() };
    BTreeMap::from([
        ("species", format!("{:?}", row.species)),
        ("girth", format!("{:?}", row.girth)),
        ("geometry", format!("{:?}", row.x)),
    ])
}

impl Log {
    /// Notes how a transaction changed the tables.
    pub fn note(&mut self, generation: i64, by: Option<usize>, before: &Rows, after: &Rows) {
        for (layer, (before, after)) in before.iter().zip(after).enumerate() {
            let ids: BTreeSet<Uuid> = before.keys().chain(after.keys()).copied().collect();
            for id in ids.into_iter().filter(|id| before.get(id) != after.get(id)) {
                let (before, after) = (before.get(&id).cloned(), after.get(&id).cloned());
                self.0.push(Touch { generation, by, layer, id, before, after });
            }
        }
    }

    /// What an applied edit overwrote that others did after the generation that the device had seen. `sent` is `None` for a
    /// delete; `stood` is the row that the edit met.
    pub fn lost(
        &self,
        (device, known): (usize, i64),
        (layer, id): (usize, Uuid),
        stood: Option<&Row>,
        sent: Option<&Fields>,
    ) -> Option<Lost> {
        let (mut last, mut deleted_by_others) = (BTreeMap::new(), false);
        for touch in self.0.iter().filter(|touch| touch.generation > known && (touch.layer, touch.id) == (layer, id)) {
            let (before, after) = (values(touch.before.as_ref()), values(touch.after.as_ref()));
            for name in before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name)) {
                last.insert(*name, touch.by);
            }
            if touch.before.is_some() != touch.after.is_some() {
                deleted_by_others = touch.after.is_none() && touch.by != Some(device);
            }
        }
        let by_others = |name: &&str| last.get(*name).is_some_and(|by| *by != Some(device));
        let Some(sent) = sent else {
            stood?;
            let of_layer = ["species", "girth", "geometry"].into_iter().take(if layer == 0 { 3 } else { 2 });
            let lost: BTreeSet<String> = of_layer.filter(by_others).map(str::to_owned).collect();
            return (!lost.is_empty()).then_some((true, lost));
        };
        let mut new = Row::default();
        sent.apply(&mut new);
        let named: Vec<&str> =
            [sent.species.as_ref().map(|_| "species"), sent.girth.map(|_| "girth"), sent.x.map(|_| "geometry")]
                .into_iter()
                .flatten()
                .collect();
        let Some(stood) = stood else {
            return deleted_by_others.then(|| (false, named.into_iter().map(str::to_owned).collect()));
        };
        let (old, new) = (values(Some(stood)), values(Some(&new)));
        let lost: BTreeSet<String> =
            named.into_iter().filter(by_others).filter(|name| old[name] != new[name]).map(str::to_owned).collect();
        (!lost.is_empty()).then_some((false, lost))
    }
}
