//! The judge of conflicts: what an upload overwrote that its device had not seen, out of a plain list of who did what.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{
    device::{Files, Rows},
    model::{Fields, N_LAYERS, Row},
};

/// The values of a row or of an attachment, by their names.
pub type Values = BTreeMap<&'static str, String>;

/// What all tables hold; the last one has the attachments.
pub type Tables = [BTreeMap<Uuid, Values>; N_LAYERS + 1];

/// The table of attachments.
pub const FILES: usize = N_LAYERS;

/// What a transaction did to a row.
struct Touch {
    generation: i64,
    /// The device, if it came from one.
    by: Option<usize>,
    table: usize,
    id: Uuid,
    before: Option<Values>,
    after: Option<Values>,
}

/// A conflict: whether the edit was a delete, and the names of what was lost.
pub type Lost = (bool, BTreeSet<String>);

/// All that was done.
#[derive(Default)]
pub struct Log(Vec<Touch>);

pub fn of_row(layer: usize, row: &Row) -> Values {
    let mut values = BTreeMap::from([("species", format!("{:?}", row.species)), ("girth", format!("{:?}", row.girth))]);
    if layer == 0 {
        values.insert("geometry", format!("{:?}", row.x));
    }
    values
}

/// What an edit says of a row.
pub fn of_fields(layer: usize, fields: &Fields) -> Values {
    let mut row = Row::default();
    fields.apply(&mut row);
    let mut values = of_row(layer, &row);
    let named =
        [("species", fields.species.is_some()), ("girth", fields.girth.is_some()), ("geometry", fields.x.is_some())];
    values.retain(|name, _| named.contains(&(name, true)));
    values
}

/// What an edit says of an attachment, whose content follows from its name.
pub fn of_named_file((tree, name): &(Uuid, String)) -> Values {
    BTreeMap::from([
        ("parent_globalid", tree.to_string()),
        ("name", name.clone()),
        ("content_type", "text/plain".to_owned()),
        ("size_bytes", name.len().to_string()),
        ("sha256", name.clone()),
    ])
}

/// Nobody gives keywords.
fn of_file(file: &(Uuid, String)) -> Values {
    let mut values = of_named_file(file);
    values.insert("keywords", String::new());
    values
}

pub fn tables(rows: &Rows, files: &Files) -> Tables {
    let mut tables = Tables::default();
    for (layer, rows) in rows.iter().enumerate() {
        tables[layer] = rows.iter().map(|(id, row)| (*id, of_row(layer, row))).collect();
    }
    tables[FILES] = files.iter().map(|(id, file)| (*id, of_file(file))).collect();
    tables
}

impl Log {
    /// Notes how a transaction changed the tables.
    pub fn note(&mut self, generation: i64, by: Option<usize>, before: &Tables, after: &Tables) {
        for (table, (before, after)) in before.iter().zip(after).enumerate() {
            let ids: BTreeSet<Uuid> = before.keys().chain(after.keys()).copied().collect();
            for id in ids.into_iter().filter(|id| before.get(id) != after.get(id)) {
                let (before, after) = (before.get(&id).cloned(), after.get(&id).cloned());
                self.0.push(Touch { generation, by, table, id, before, after });
            }
        }
    }

    /// What an applied edit overwrote that others did after the generation that the device had seen. `sent` is `None` for a
    /// delete; `stood` is the row that the edit met.
    pub fn lost(
        &self,
        (device, known): (usize, i64),
        (table, id): (usize, Uuid),
        stood: Option<&Values>,
        sent: Option<&Values>,
    ) -> Option<Lost> {
        let (mut last, mut deleted_by_others) = (BTreeMap::new(), false);
        for touch in self.0.iter().filter(|touch| touch.generation > known && (touch.table, touch.id) == (table, id)) {
            let none = Values::new();
            let (before, after) = (touch.before.as_ref().unwrap_or(&none), touch.after.as_ref().unwrap_or(&none));
            for name in before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name)) {
                last.insert(*name, touch.by);
            }
            if touch.before.is_some() != touch.after.is_some() {
                deleted_by_others = touch.after.is_none() && touch.by != Some(device);
            }
        }
        let by_others = |name: &&&str| last.get(**name).is_some_and(|by| *by != Some(device));
        let Some(sent) = sent else {
            stood?;
            let lost: BTreeSet<String> = last.keys().filter(by_others).map(|name| (*name).to_owned()).collect();
            return (!lost.is_empty()).then_some((true, lost));
        };
        let names = || sent.keys();
        let Some(stood) = stood else {
            return deleted_by_others.then(|| (false, names().map(|name| (*name).to_owned()).collect()));
        };
        let lost: BTreeSet<String> = names()
            .filter(by_others)
            .filter(|name| stood.get(**name) != sent.get(**name))
            .map(|name| (*name).to_owned())
            .collect();
        (!lost.is_empty()).then_some((false, lost))
    }
}
