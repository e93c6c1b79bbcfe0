//! The domains of a mobile geodatabase.

use std::collections::BTreeSet;

use crate::model::definition::Domain;

use super::{column::Column, write::Geodatabase, xml};

/// The domains of all fields. Those that are the same for several are there once.
#[derive(Default)]
pub(super) struct Domains {
    list: Vec<NamedDomain>,
    /// For each layer the fields that have one, and its position here.
    fields: Vec<Vec<(usize, usize)>>,
}

/// A domain under its name in the file.
pub(super) struct NamedDomain {
    /// The name.
    pub(super) name: String,
    domain: Domain,
    column: Column,
}

impl NamedDomain {
    /// Whether it is from one value to another, instead of a list.
    pub(super) fn is_range(&self) -> bool {
        matches!(self.domain, Domain::Range { .. })
    }

    /// The definition.
    pub(super) fn document(&self) -> Option<String> {
        xml::domain(&self.domain, &self.name, &self.column)
    }
}

impl Domains {
    /// Those of the fields in a file.
    pub(super) fn of(file: &Geodatabase<'_, '_>) -> Domains {
        let mut domains = Domains::default();
        for planned in &file.plan.tables {
            let mut fields = Vec::new();
            for &index in &planned.columns.fields {
                let defined = planned.layer.definition.field(&planned.layer.fields[index].name);
                let Some(domain) = defined.and_then(|field| field.domain.as_ref()) else { continue };
                let Some(name) = domain.name() else { continue };
                fields.push((index, domains.place(name, domain, Column::of(&planned.layer, index))));
            }
            domains.fields.push(fields);
        }
        domains
    }

    /// Where a domain is in the list; it is added, under a name that is free, if it is not there.
    fn place(&mut self, name: &str, domain: &Domain, column: Column) -> usize {
        let same = |known: &NamedDomain| known.domain == *domain && known.column.kind == column.kind;
        if let Some(position) = self.list.iter().position(same) {
            return position;
        }
        let mut free = name.to_owned();
        while self.list.iter().any(|known| known.name.eq_ignore_ascii_case(&free)) {
            free.push('_');
        }
        self.list.push(NamedDomain { name: free, domain: domain.clone(), column });
        self.list.len() - 1
    }

    /// Each domain, under its name in the file.
    pub(super) fn iter(&self) -> impl Iterator<Item = &NamedDomain> {
        self.list.iter()
    }

    /// The fields of the layer at a position that have a domain, with its name in the file.
    pub(super) fn names(&self, layer: usize) -> impl Iterator<Item = (usize, &str)> {
        self.fields[layer].iter().map(|&(field, domain)| (field, self.list[domain].name.as_str()))
    }

    /// The positions of the domains of the layer at a position.
    pub(super) fn of_layer(&self, layer: usize) -> BTreeSet<usize> {
        self.fields[layer].iter().map(|&(_, domain)| domain).collect()
    }
}
