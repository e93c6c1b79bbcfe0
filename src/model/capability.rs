//! What clients may do with a service or a layer.

use std::fmt;

/// What is allowed. Of a layer, both its own and its service's must allow something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the API, and they do not depend on each other")]
pub struct Capabilities {
    /// Reading features and attachments.
    pub query: bool,
    /// Adding features.
    pub create: bool,
    /// Changing features.
    pub update: bool,
    /// Deleting features.
    pub delete: bool,
    /// Sending files before it is said what for.
    pub uploads: bool,
    /// Making and synchronizing replicas.
    pub sync: bool,
    /// Taking data out without a replica.
    pub extract: bool,
    /// Asking what changed.
    pub change_tracking: bool,
}

/// One thing that a request may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Reading features and attachments.
    Query,
    /// Editing anything in any way.
    Editing,
    /// Changing features.
    Update,
    /// Deleting features.
    Delete,
    /// Sending files before it is said what for.
    Uploads,
    /// Making and synchronizing replicas.
    Sync,
    /// Taking data out without a replica.
    Extract,
    /// Asking what changed.
    ChangeTracking,
}

/// Everything.
impl Default for Capabilities {
    fn default() -> Capabilities {
        Capabilities {
            query: true,
            create: true,
            update: true,
            delete: true,
            uploads: true,
            sync: true,
            extract: true,
            change_tracking: true,
        }
    }
}

/// The words, in the order in which documents list them. `Editing` is made of the others.
const WORDS: [&str; 9] =
    ["Create", "Delete", "Query", "Update", "Uploads", "Editing", "Sync", "Extract", "ChangeTracking"];

impl Capabilities {
    /// Nothing.
    pub const NONE: Capabilities = Capabilities {
        query: false,
        create: false,
        update: false,
        delete: false,
        uploads: false,
        sync: false,
        extract: false,
        change_tracking: false,
    };

    /// Reads a list with commas, in any case. `Editing` alone stands for adding, changing and deleting. The error says
    /// which word is not known.
    pub fn parse(list: &str) -> Result<Capabilities, String> {
        let mut found = Capabilities::NONE;
        let mut editing = false;
        for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word.to_ascii_lowercase().as_str() {
                "query" => found.query = true,
                "create" => found.create = true,
                "update" => found.update = true,
                "delete" => found.delete = true,
                "uploads" => found.uploads = true,
                "editing" => editing = true,
                "sync" => found.sync = true,
                "extract" => found.extract = true,
                "changetracking" => found.change_tracking = true,
                _ => return Err(format!("'{word}' is no capability; they are {}", WORDS.join(", "))),
            }
        }
        if editing && !found.edits() {
            (found.create, found.update, found.delete) = (true, true, true);
        }
        Ok(found)
    }

    /// Checks that something is allowed by `of`, which these are the capabilities of. The error names both.
    pub fn require(self, needed: Capability, of: &str) -> Result<(), String> {
        let has = match needed {
            Capability::Query => self.query,
            Capability::Editing => self.edits(),
            Capability::Update => self.update,
            Capability::Delete => self.delete,
            Capability::Uploads => self.uploads,
            Capability::Sync => self.sync,
            Capability::Extract => self.extract,
            Capability::ChangeTracking => self.change_tracking,
        };
        if has {
            return Ok(());
        }
        Err(format!(
            "Requested operation is not supported by this service: {of} does not have the capability {needed:?}; it has '{self}'"
        ))
    }

    /// Whether anything may be edited.
    pub fn edits(self) -> bool {
        self.create || self.update || self.delete
    }

    /// What both allow.
    #[must_use]
    pub fn and(self, other: Capabilities) -> Capabilities {
        Capabilities {
            query: self.query && other.query,
            create: self.create && other.create,
            update: self.update && other.update,
            delete: self.delete && other.delete,
            uploads: self.uploads && other.uploads,
            sync: self.sync && other.sync,
            extract: self.extract && other.extract,
            change_tracking: self.change_tracking && other.change_tracking,
        }
    }

    /// What may be done with the attachments of features with which this may be done: they are part of their feature, so
    /// that whoever may add or change features may attach something.
    #[must_use]
    pub fn of_attachments(self) -> Capabilities {
        Capabilities { create: self.create || self.update, delete: self.update || self.delete, ..self }
    }
}

/// The list as documents have it: without blanks, which one client does not expect.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed = [
            self.create,
            self.delete,
            self.query,
            self.update,
            self.uploads,
            self.edits(),
            self.sync,
            self.extract,
            self.change_tracking,
        ];
        let words: Vec<&str> = WORDS.into_iter().zip(allowed).filter(|(_, on)| *on).map(|(word, _)| word).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_any_case_and_written_in_one_order() {
        let read = |list| Capabilities::parse(list).unwrap().to_string();
        assert_eq!(read("query, Update ,CREATE"), "Create,Query,Update,Editing");
        assert_eq!(read("Query,Editing"), "Create,Delete,Query,Update,Editing");
        assert_eq!(read("Query,Update,Editing"), "Query,Update,Editing", "Editing adds nothing to what is named");
        assert_eq!(read(""), "");
        assert_eq!(read(&Capabilities::default().to_string()), Capabilities::default().to_string());
        assert!(Capabilities::parse("Query,Fly").unwrap_err().contains("'Fly'"));
    }

    #[test]
    fn attachments_may_be_added_by_whoever_may_change_features() {
        let only_update = Capabilities { update: true, ..Capabilities::NONE }.of_attachments();
        assert!(only_update.create && only_update.delete);
        let only_create = Capabilities { create: true, ..Capabilities::NONE }.of_attachments();
        assert!(only_create.create && !only_create.update && !only_create.delete);
    }
}
