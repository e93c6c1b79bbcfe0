//! `syncline config`

use clap::{Args, Subcommand};

use crate::{
    config::{Config, reference},
    error::Result,
};

use super::say;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print the settings that are used, from file, environment and command line, without secrets
    Show,
    /// Print all settings with their defaults and what they mean
    Reference(Reference),
}

#[derive(Debug, Args)]
pub(super) struct Reference {
    /// As a configuration file rather than as a page (Markdown)
    #[arg(long)]
    toml: bool,
}

impl ConfigCommand {
    /// Runs the command with the settings that were found.
    pub(super) fn run(self, config: &Config) -> Result<()> {
        match self {
            ConfigCommand::Show => say(config.shown().trim_end()),
            ConfigCommand::Reference(reference) => reference.run(),
        }
    }
}

impl Reference {
    /// Prints the reference.
    pub(super) fn run(&self) -> Result<()> {
        say(if self.toml { reference::toml() } else { reference::markdown() }.trim_end())
    }
}
