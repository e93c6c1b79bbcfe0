//! What administrators see of the whole server, and do with many replicas at once.
//!
//! The pages of the console show nothing but what stands in these resources. Whatever is about all replicas costs a few
//! statements for each service, and none for each replica.

pub(crate) mod documents;
mod expiry;
mod health;
mod publishing;
mod replicas;
mod settings;
mod unpublishing;
mod unregister;

pub(crate) use expiry::set_expiry;
pub(crate) use health::health;
pub(crate) use publishing::{publish, published, tables};
pub(crate) use replicas::{Lags, List, Standing, find, lags, list, timeline};
pub(crate) use settings::settings;
pub(crate) use unpublishing::{unpublish, unpublish_preview};
pub(crate) use unregister::{Outcome, Preview, preview, unregister};

use crate::{app::App, error::Result};

/// Numbers that change whenever something changes that the console shows.
pub(crate) async fn pulse(app: &App) -> Result<Vec<i64>> {
    let mut session = app.store.session().await?;
    session.own().await?.pulse().await
}
