//! What whoever runs a server sees and does: figures, logs, settings.

mod audit;
mod logs;
mod metrics;
mod settings;
