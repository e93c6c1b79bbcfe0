//! Rows that have values which clients cannot be given.
//!
//! Such a value is read as null, and the rest of the row and of the layer as always. It is in nobody's way, and so nobody would learn of it: here it is
//! named.

use sqlx::Row as _;

use crate::{
    error::Result,
    model::layer::{Layer, Service},
    sql::odd::{self, Oddity},
};

use super::Store;

/// The most rows of a layer that are looked for.
const MAX_ROWS: usize = 10_000;
/// How many of them are named.
const MAX_NAMED: usize = 5;

impl Store {
    /// A sentence for each way in which rows of a layer are odd. Every row of every layer is looked at.
    pub async fn odd_rows(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut session = self.session().await?;
        for service in &self.catalogue().services {
            for layer in &service.layers {
                let oddities = odd::possible(layer);
                if oddities.is_empty() {
                    continue;
                }
                let limit = i64::try_from(MAX_ROWS).unwrap_or(i64::MAX);
                let rows = odd::rows(layer, &oddities, limit).query()?.fetch_all(session.connection()).await?;
                let mut ids: Vec<Vec<i64>> = vec![Vec::new(); oddities.len()];
                for row in &rows {
                    let position = usize::try_from(row.try_get::<i32, _>(1)?).unwrap_or_default();
                    ids[position].push(row.try_get(0)?);
                }
                let is_cut = rows.len() == MAX_ROWS;
                let told = oddities.iter().zip(&mut ids).filter(|(_, ids)| !ids.is_empty());
                found.extend(told.map(|(oddity, ids)| sentence(service, layer, *oddity, ids, is_cut)));
            }
        }
        Ok(found)
    }
}

fn sentence(service: &Service, layer: &Layer, oddity: Oddity, ids: &mut [i64], is_cut: bool) -> String {
    ids.sort_unstable();
    let n_rows = match (ids.len(), is_cut) {
        (1, false) => "1 row has".to_owned(),
        (n, false) => format!("{n} rows have"),
        (n, true) => format!("at least {n} rows have"),
    };
    let field = |index: usize| &layer.fields[index].name;
    let what = match oddity {
        Oddity::Misfit => "a geometry of another type or spatial reference than the layer, which clients are not given; declare the type of the column".to_owned(),
        Oddity::Nowhere => {
            "a geometry that lies where its spatial reference has no places, and that clients are not given in another one".to_owned()
        }
        Oddity::Number(index) => {
            format!("a number in {} that is infinite, none, or too great for a double, and that clients get as null", field(index))
        }
        Oddity::Moment(index) => {
            format!("a time in {} that is infinite or not of the years 1 to 9999, and that clients get as null, or files do", field(index))
        }
    };
    let named: Vec<String> = ids.iter().take(MAX_NAMED).map(i64::to_string).collect();
    format!(
        "{}.{} (layer {} of {}): {n_rows} {what}; object id {}{}",
        layer.table_schema,
        layer.table_name,
        layer.id,
        service.name,
        named.join(", "),
        if ids.len() > MAX_NAMED { ", …" } else { "" }
    )
}
