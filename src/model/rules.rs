//! What a definition means for a table: which values a field takes, what the server fills in, what is allowed.
//!
//! [`Rules::resolve`] holds a definition against the fields of a layer. Whoever changes a definition is told every problem
//! and changes nothing; a definition that no longer fits because the table has changed is followed as far as it makes sense,
//! and the problems are shown to administrators.

use std::{cmp::Ordering, collections::BTreeMap};

use serde_json::Value as Json;

use super::{
    capability::Capabilities,
    definition::{Definition, Domain, EditFields, FeatureType, FieldDefinition, Subtype, TimeInfo},
    edit::Op,
    layer::{Field, Layer},
    row_rules::RowRules,
    value::{FieldType, Scalar, Value, brief, coerce},
};

/// The fewest characters that a field for names of users must hold.
const MIN_NAME_LENGTH: u32 = 14;

/// The most values in a domain.
const MAX_CODES: usize = 20_000;
/// The most features in a page that a definition may allow.
pub const MAX_PAGE: i64 = 10_000;

/// What a layer's definition means.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What clients may do, as far as the layer and its service say.
    pub capabilities: Capabilities,
    /// Whether geometries may be changed.
    pub geometry_updates: bool,
    /// What holds for each field, by its position; shorter than the fields if nothing holds for the last.
    fields: Vec<FieldRules>,
    /// The fields that the server fills in.
    pub tracking: EditTracking,
    /// Who may see and change which rows.
    pub row_rules: RowRules,
    /// The types of features, or subtypes of rows.
    pub types: Option<Types>,
    /// The fields that place a row in time.
    pub time: Option<Time>,
    /// What of the definition does not fit the table, and is passed over.
    pub problems: Vec<String>,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            capabilities: Capabilities::default(),
            geometry_updates: true,
            fields: Vec::new(),
            tracking: EditTracking::default(),
            row_rules: RowRules::default(),
            types: None,
            time: None,
            problems: Vec::new(),
        }
    }
}

/// What holds for a field beside what its column says.
#[derive(Clone, Debug, Default)]
struct FieldRules {
    read_only: bool,
    required: bool,
    hidden: bool,
    domain: Option<Values>,
}

/// The fields that the server fills in with who edited a row and when, by their positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EditTracking {
    /// Who added the row.
    pub creator: Option<usize>,
    /// When.
    pub created: Option<usize>,
    /// Who last edited it.
    pub editor: Option<usize>,
    /// When.
    pub edited: Option<usize>,
}

impl EditTracking {
    /// The fields.
    pub fn fields(self) -> impl Iterator<Item = usize> {
        [self.creator, self.created, self.editor, self.edited].into_iter().flatten()
    }
}

/// The types of features, or the subtypes of rows.
#[derive(Clone, Debug)]
pub struct Types {
    /// The field whose value is the type.
    pub field: usize,
    /// Whether a row must be of one of them.
    pub are_subtypes: bool,
    /// The types.
    types: Vec<TypeRules>,
}

#[derive(Clone, Debug)]
struct TypeRules {
    id: Value,
    domains: Vec<(usize, Values)>,
}

/// The fields that place a row in time, by their positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Time {
    /// When it begins, or happens.
    pub start: usize,
    /// When it ends.
    pub end: Option<usize>,
    /// What makes several rows one thing that moves.
    pub track: Option<usize>,
}

/// The values of a domain.
#[derive(Clone, Debug)]
struct Values {
    name: String,
    allowed: Allowed,
}

#[derive(Clone, Debug)]
enum Allowed {
    /// These, ascending.
    Codes(Vec<Value>),
    /// From one to the other.
    Range(Value, Value),
}

impl Values {
    fn takes(&self, value: &Value) -> bool {
        match &self.allowed {
            Allowed::Codes(codes) => codes.binary_search_by(|code| order(code, value)).is_ok(),
            Allowed::Range(least, greatest) => {
                order(least, value) != Ordering::Greater && order(value, greatest) != Ordering::Greater
            }
        }
    }

    /// For an error: `the values of domain 'Depth', which are 1 to 50`.
    fn shown(&self, field: &Field) -> String {
        let one = |value: &Value| shown(value, field.field_type);
        let list = match &self.allowed {
            Allowed::Codes(codes) => {
                let some: Vec<String> = codes.iter().take(20).map(one).collect();
                some.join(", ") + if codes.len() > 20 { ", …" } else { "" }
            }
            Allowed::Range(least, greatest) => format!("{} to {}", one(least), one(greatest)),
        };
        format!("the values of domain '{}', which are {list}", self.name)
    }
}

/// An order of the values of one field.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Guid(a), Value::Guid(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Day(a), Value::Day(b)) => a.cmp(b),
        (
            Value::Integer(a) | Value::Instant(a) | Value::TimeOfDay(a),
            Value::Integer(b) | Value::Instant(b) | Value::TimeOfDay(b),
        ) => a.cmp(b),
        // Values of one field have one type.
        _ => Ordering::Less,
    }
}

fn shown(value: &Value, field_type: FieldType) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) if field_type == FieldType::Single => {
            #[expect(clippy::cast_possible_truncation, reason = "the field holds a single")]
            let single = *number as f32;
            single.to_string()
        }
        Value::Float(number) => number.to_string(),
        Value::Text(text) => format!("'{}'", brief(text)),
        Value::Guid(id) => id.to_string(),
        Value::Instant(microseconds) => (microseconds / 1000).to_string(),
        Value::Day(days) => format!("day {days} since 1970"),
        Value::TimeOfDay(microseconds) => format!("{} seconds since midnight", microseconds / 1_000_000),
    }
}

impl Rules {
    /// The rules of a table without a definition of its own.
    pub fn of(capabilities: Capabilities) -> Rules {
        Rules { capabilities, ..Rules::default() }
    }

    /// The same for somebody who may do no more than this.
    #[must_use]
    pub fn within(&self, allowed: Capabilities) -> Rules {
        self.with(self.capabilities.and(allowed))
    }

    /// The same with other capabilities.
    #[must_use]
    pub(super) fn with(&self, capabilities: Capabilities) -> Rules {
        Rules { capabilities, ..self.clone() }
    }

    /// What a definition means for a layer with these fields, within a service that allows `service`.
    pub fn resolve(definition: &Definition, layer: &Layer, service: Capabilities, geometry_updates: bool) -> Rules {
        let mut rules = Rules {
            geometry_updates: geometry_updates && definition.allow_geometry_updates.unwrap_or(true),
            fields: vec![FieldRules::default(); layer.fields.len()],
            ..Rules::default()
        };
        let own = match definition.capabilities.as_deref().map(Capabilities::parse) {
            None => Capabilities::default(),
            Some(Ok(own)) => own,
            // Whoever meant to forbid something meant to forbid.
            Some(Err(problem)) => {
                rules.problems.push(format!("capabilities: {problem}"));
                Capabilities::NONE
            }
        };
        rules.capabilities = own.and(service);
        rules.resolve_texts(definition, layer);
        for field in &definition.fields {
            rules.resolve_field(field, definition, layer);
        }
        rules.resolve_types(definition, layer);
        templates(definition).for_each(|attributes| {
            for name in attributes.keys() {
                rules.field("templates", name, layer);
            }
        });
        if let Some(named) = &definition.edit_fields_info {
            rules.resolve_tracking(named, layer);
        }
        let (row_rules, problems) = RowRules::resolve(definition, layer, rules.tracking.creator);
        rules.row_rules = row_rules;
        rules.problems.extend(problems);
        if let Some(named) = &definition.time_info {
            rules.resolve_time(named, layer);
        }
        rules.keep_needed_visible(layer);
        rules
    }

    /// Shows the fields all the same by whose names clients tell features apart, and place them in types and time.
    fn keep_needed_visible(&mut self, layer: &Layer) {
        let of_time = self.time.iter().flat_map(|time| [Some(time.start), time.end, time.track]).flatten();
        let of_types = self.types.iter().map(|types| types.field);
        let needed: Vec<usize> =
            [layer.object_id, layer.global_id].into_iter().chain(of_types).chain(of_time).collect();
        for (index, rules) in self.fields.iter_mut().enumerate().filter(|(index, _)| needed.contains(index)) {
            if std::mem::take(&mut rules.hidden) {
                let name = &layer.fields[index].name;
                self.problems.push(format!(
                    "field '{name}': visible is false, and clients need it: it is the id of features, or their type or time"
                ));
            }
        }
    }

    fn resolve_texts(&mut self, definition: &Definition, layer: &Layer) {
        if let Some(name) = definition.display_field.as_deref().filter(|name| !name.is_empty()) {
            self.field("displayField", name, layer);
        }
        if definition.name.as_deref().is_some_and(|name| name.trim().is_empty()) {
            self.problems.push("name: it is empty; people choose the layer by it".to_owned());
        }
        if let Some(most) = definition.max_record_count.filter(|most| !(1..=MAX_PAGE).contains(most)) {
            self.problems.push(format!("maxRecordCount: it is {most}; it must be from 1 to {MAX_PAGE}"));
        }
        for (key, scale) in [("minScale", definition.min_scale), ("maxScale", definition.max_scale)] {
            if scale.is_some_and(|scale| !scale.is_finite() || scale < 0.0) {
                self.problems.push(format!("{key}: it must be 0 or a denominator, as in 50000"));
            }
        }
        if let Some(drawing) = &definition.drawing_info {
            match &layer.shape {
                None => self.problems.push("drawingInfo: a table is not drawn".to_owned()),
                Some(_) if !drawing["renderer"]["type"].is_string() => self
                    .problems
                    .push("drawingInfo: it has no renderer with a type, such as {\"renderer\":{\"type\":\"simple\",\"symbol\":{…}}}".to_owned()),
                Some(_) => {
                    for key in ["field1", "field2", "field3", "field"] {
                        if let Some(name) = drawing["renderer"][key].as_str().filter(|name| !name.is_empty()) {
                            self.field("drawingInfo", name, layer);
                        }
                    }
                }
            }
        }
    }

    /// The position of a field that `key` names; a problem if there is none.
    fn field(&mut self, key: &str, name: &str, layer: &Layer) -> Option<usize> {
        let found = layer.field_index(name);
        if found.is_none() {
            let known: Vec<&str> = layer.fields.iter().map(|field| field.name.as_str()).collect();
            self.problems.push(format!(
                "{key}: there is no field '{}' in {}; it has {}",
                brief(name),
                layer.name,
                known.join(", ")
            ));
        }
        found
    }

    fn resolve_field(&mut self, given: &FieldDefinition, definition: &Definition, layer: &Layer) {
        let Some(index) = self.field("fields", &given.name, layer) else { return };
        let field = &layer.fields[index];
        let key = format!("field '{}'", field.name);
        if definition.fields.iter().filter(|other| other.name.eq_ignore_ascii_case(&given.name)).count() > 1 {
            self.problems.push(format!("{key}: it is named twice"));
        }
        if given.nullable == Some(true) && !field.nullable {
            self.problems.push(format!("{key}: nullable is true, and its column is declared not null"));
        }
        if given.editable == Some(true) && !layer.is_writable(index) {
            self.problems.push(format!("{key}: editable is true, and only the database writes it"));
        }
        if let Some(default) = &given.default_value
            && let Err(problem) = value(default, field)
        {
            self.problems.push(format!("{key}: defaultValue: {problem}"));
        }
        let domain = match &given.domain {
            None => None,
            Some(_) if field.field_type == FieldType::Boolean => {
                self.problems.push(format!("{key}: its values are yes and no already; leave the domain out"));
                None
            }
            Some(domain) => self.domain(&key, domain, field),
        };
        self.fields[index] = FieldRules {
            read_only: given.editable == Some(false),
            required: given.nullable == Some(false),
            hidden: given.visible == Some(false),
            domain,
        };
    }

    /// The values of a domain; `None` for one that is inherited, or does not fit.
    fn domain(&mut self, key: &str, domain: &Domain, field: &Field) -> Option<Values> {
        let wrong = |problem: String| Err(problem);
        let read = match domain {
            Domain::Inherited => return None,
            Domain::CodedValue { name, coded_values, .. } => {
                let codes: Result<Vec<Value>, String> =
                    coded_values.iter().map(|coded| value(&coded.code, field)).collect();
                match codes {
                    Err(problem) => wrong(format!("domain '{name}': {problem}")),
                    Ok(codes) if codes.is_empty() || codes.len() > MAX_CODES => {
                        wrong(format!("domain '{name}' has {} values; from 1 to {MAX_CODES} belong there", codes.len()))
                    }
                    Ok(codes) if codes.contains(&Value::Null) => wrong(format!(
                        "domain '{name}' has null among its values; nullable says whether a field may be empty"
                    )),
                    Ok(mut codes) => {
                        codes.sort_by(order);
                        match codes.windows(2).find(|two| two[0] == two[1]) {
                            Some(two) => {
                                wrong(format!("domain '{name}' has {} twice", shown(&two[0], field.field_type)))
                            }
                            None => Ok(Values { name: name.clone(), allowed: Allowed::Codes(codes) }),
                        }
                    }
                }
            }
            Domain::Range { name, range, .. } => match (value(&range[0], field), value(&range[1], field)) {
                (Err(problem), _) | (_, Err(problem)) => wrong(format!("domain '{name}': {problem}")),
                (Ok(Value::Text(_) | Value::Guid(_) | Value::Null), _) | (_, Ok(Value::Null)) => {
                    wrong(format!("domain '{name}': a range has a least and a greatest number or date"))
                }
                (Ok(least), Ok(greatest)) if order(&least, &greatest) == Ordering::Greater => {
                    wrong(format!("domain '{name}': its range ends before it begins"))
                }
                (Ok(least), Ok(greatest)) => {
                    Ok(Values { name: name.clone(), allowed: Allowed::Range(least, greatest) })
                }
            },
        };
        read.map_err(|problem| self.problems.push(format!("{key}: {problem}"))).ok()
    }

    fn resolve_types(&mut self, definition: &Definition, layer: &Layer) {
        let of_type = |given: &FeatureType| (given.id.clone(), given.domains.clone());
        let of_subtype = |given: &Subtype| (given.code.clone(), given.domains.clone());
        let (key, name, are_subtypes, given) = if definition.subtypes.is_empty() {
            ("typeIdField", &definition.type_id_field, false, definition.types.iter().map(of_type).collect::<Vec<_>>())
        } else {
            ("subtypeField", &definition.subtype_field, true, definition.subtypes.iter().map(of_subtype).collect())
        };
        let Some(name) = name.as_deref().filter(|name| !name.is_empty()) else {
            if !given.is_empty() {
                self.problems.push(format!("{key}: it is missing; it names the field whose values are the types"));
            }
            return;
        };
        let Some(field) = self.field(key, name, layer) else { return };
        let mut types = Vec::with_capacity(given.len());
        for (id, domains) in given {
            let id = match value(&id, &layer.fields[field]) {
                Ok(id) if id != Value::Null => id,
                Ok(_) => {
                    self.problems.push(format!("{key}: a type has no id"));
                    continue;
                }
                Err(problem) => {
                    self.problems.push(format!("{key}: the id of a type: {problem}"));
                    continue;
                }
            };
            let mut read = Vec::new();
            for (name, domain) in &domains {
                let Some(index) = self.field("domains of a type", name, layer) else { continue };
                let key = format!("field '{name}' in a type");
                read.extend(self.domain(&key, domain, &layer.fields[index]).map(|values| (index, values)));
            }
            types.push(TypeRules { id, domains: read });
        }
        if are_subtypes
            && let Some(code) = &definition.default_subtype_code
            && !value(code, &layer.fields[field]).is_ok_and(|code| types.iter().any(|known| known.id == code))
        {
            self.problems.push("defaultSubtypeCode: it is none of the subtypes".to_owned());
        }
        self.types = Some(Types { field, are_subtypes, types });
    }

    fn resolve_tracking(&mut self, named: &EditFields, layer: &Layer) {
        let mut field = |key: &str, name: &Option<String>, wanted: FieldType| {
            let name = name.as_deref().filter(|name| !name.is_empty())?;
            let index = self.field(key, name, layer)?;
            if layer.fields[index].field_type != wanted || !layer.is_writable(index) {
                let what = if wanted == FieldType::Date { "a date with time" } else { "text" };
                self.problems.push(format!("{key}: field '{name}' is not {what} that the server can write"));
                return None;
            }
            if let Some(length) = layer.fields[index].length.filter(|length| *length < MIN_NAME_LENGTH) {
                self.problems.push(format!("{key}: field '{name}' holds {length} characters, too few for names"));
                return None;
            }
            Some(index)
        };
        self.tracking = EditTracking {
            creator: field("editFieldsInfo.creatorField", &named.creator_field, FieldType::Text),
            created: field("editFieldsInfo.creationDateField", &named.creation_date_field, FieldType::Date),
            editor: field("editFieldsInfo.editorField", &named.editor_field, FieldType::Text),
            edited: field("editFieldsInfo.editDateField", &named.edit_date_field, FieldType::Date),
        };
        let mut fields: Vec<usize> = self.tracking.fields().collect();
        fields.sort_unstable();
        if fields.windows(2).any(|two| two[0] == two[1]) {
            self.problems.push("editFieldsInfo: a field is named twice".to_owned());
            self.tracking = EditTracking::default();
        }
        for index in self.tracking.fields() {
            self.fields[index].read_only = true;
        }
    }

    fn resolve_time(&mut self, named: &TimeInfo, layer: &Layer) {
        let mut field = |key: &str, name: &Option<String>, dates: bool| {
            let name = name.as_deref().filter(|name| !name.is_empty())?;
            let index = self.field(key, name, layer)?;
            let fits = !dates || matches!(layer.fields[index].field_type, FieldType::Date | FieldType::DateOnly);
            if !fits {
                self.problems.push(format!("{key}: field '{name}' holds no dates"));
            }
            fits.then_some(index)
        };
        let start = field("timeInfo.startTimeField", &named.start_time_field, true);
        let end = field("timeInfo.endTimeField", &named.end_time_field, true);
        let track = field("timeInfo.trackIdField", &named.track_id_field, false);
        if named.start_time_field.as_deref().is_none_or(str::is_empty) {
            self.problems.push("timeInfo: startTimeField is missing".to_owned());
        }
        self.time = start.map(|start| Time { start, end, track });
    }

    /// Whether clients must leave a field alone although the database would let them write it.
    pub fn is_read_only(&self, field: usize) -> bool {
        self.fields.get(field).is_some_and(|rules| rules.read_only)
    }

    /// Whether clients do not see a field.
    pub fn is_hidden(&self, field: usize) -> bool {
        self.fields.get(field).is_some_and(|rules| rules.hidden)
    }

    /// Whether a field needs a value although its column does not.
    pub fn is_required(&self, field: usize) -> bool {
        self.fields.get(field).is_some_and(|rules| rules.required)
    }

    /// Whether an edit of this kind is allowed.
    pub fn allows(&self, op: Op) -> bool {
        match op {
            Op::Add => self.capabilities.create,
            Op::Update => self.capabilities.update,
            Op::Delete => self.capabilities.delete,
        }
    }

    /// Whether some values of a field are refused, in rows of any type.
    pub fn has_domain(&self, field: usize) -> bool {
        self.fields.get(field).is_some_and(|rules| rules.domain.is_some())
            || self.depends_on_type(field)
            || self.types.as_ref().is_some_and(|types| types.are_subtypes && types.field == field)
    }

    /// Whether a field, or the types, have domains at all.
    fn limits(&self, field: usize) -> bool {
        self.types.is_some() || self.fields.get(field).is_some_and(|rules| rules.domain.is_some())
    }

    /// Whether the values that a field takes depend on the type of its row.
    pub fn depends_on_type(&self, field: usize) -> bool {
        let types = self.types.iter().flat_map(|types| &types.types);
        types.flat_map(|of_type| &of_type.domains).any(|(of, _)| *of == field)
    }

    /// Whether all values that an edit names are in the domains of their fields. The error names field, value and domain.
    ///
    /// The domain of a field may depend on the type of the row. An edit that does not name the type may set what any type takes,
    /// until [`Rules::check_in_type`] says more.
    pub fn check(&self, layer: &Layer, values: &[(usize, Value)]) -> Result<(), String> {
        let named = self.types.as_ref().and_then(|types| values.iter().find(|(index, _)| *index == types.field));
        self.check_values(layer, values, named.map(|(_, id)| id))
    }

    /// The same, for the values of an edit of a row of this type, which the edit does not name.
    pub fn check_in_type(&self, layer: &Layer, values: &[(usize, Value)], row_type: &Value) -> Result<(), String> {
        self.check_values(layer, values, Some(row_type))
    }

    fn check_values<'a>(
        &'a self,
        layer: &Layer,
        values: &[(usize, Value)],
        row_type: Option<&Value>,
    ) -> Result<(), String> {
        let row_type =
            self.types.as_ref().and_then(|types| row_type.map(|id| types.types.iter().find(|known| known.id == *id)));
        for (index, value) in values.iter().filter(|(index, value)| *value != Value::Null && self.limits(*index)) {
            let field = &layer.fields[*index];
            let refused = |values: &Values| {
                Err(format!(
                    "field '{}': {} is not one of {}",
                    field.name,
                    shown(value, field.field_type),
                    values.shown(field)
                ))
            };
            if let Some(types) = self.types.as_ref().filter(|types| types.are_subtypes && types.field == *index)
                && matches!(row_type, Some(None))
            {
                let known: Vec<String> = types.types.iter().map(|known| shown(&known.id, field.field_type)).collect();
                return Err(format!(
                    "field '{}': {} is not one of the subtypes, which are {}",
                    field.name,
                    shown(value, field.field_type),
                    known.join(", ")
                ));
            }
            let own = self.fields.get(*index).and_then(|rules| rules.domain.as_ref());
            let in_type =
                |of: &'a TypeRules| of.domains.iter().find(|(of, _)| of == index).map(|(_, values)| values).or(own);
            // Each is what some type takes that the row may be of; one that says nothing about the field takes anything.
            let mut possible: Vec<Option<&Values>> = match row_type {
                Some(row_type) => vec![row_type.map_or(own, in_type)],
                None => self.types.iter().flat_map(|types| &types.types).map(in_type).collect(),
            };
            if possible.is_empty() {
                possible.push(own);
            }
            if !possible.iter().any(|values| values.is_none_or(|values| values.takes(value)))
                && let Some(Some(values)) = possible.first()
            {
                return refused(values);
            }
        }
        Ok(())
    }
}

/// The attributes of everything that new features are made from.
fn templates(definition: &Definition) -> impl Iterator<Item = &BTreeMap<String, Json>> {
    let in_types = definition.types.iter().flat_map(|of_type| &of_type.templates);
    let own = definition.templates.iter().chain(in_types).map(|template| &template.prototype.attributes);
    own.chain(definition.subtypes.iter().map(|subtype| &subtype.default_values))
}

/// A value of a document as one of a field.
fn value(given: &Json, field: &Field) -> Result<Value, String> {
    coerce(Scalar::from(given), field.field_type, field.length)
}
