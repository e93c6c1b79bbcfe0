//! The settings, to be looked at.

use serde_json::{Value as Json, json};

use crate::{app::App, config::Config};

/// All settings with their values, as the configuration file has them, and whether each is what it is without being set.
/// What is secret of them is not there.
pub(crate) fn settings(app: &App) -> Json {
    let defaults = Config::default().listed();
    let list: Json = app
        .config
        .listed()
        .into_iter()
        .zip(defaults)
        .map(|(set, default)| {
            json!({
                "name": set.name, "group": set.group, "value": set.value, "default": set.value == default.value,
                "description": set.meaning.join(" ").trim(),
            })
        })
        .collect();
    json!({"settings": list, "version": env!("CARGO_PKG_VERSION")})
}
