//! The parameters of calculate, and the answers of validateSQL.
//!
//! API reference: *Calculate (Feature Service/Layer)*, *Validate SQL*. Expressions are in the language of `where` clauses,
//! which is parsed and rebuilt; `sqlFormat` may be `standard` or `native`, since there is but one language.

use serde_json::{Map, Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        edit::Assigned,
        layer::Layer,
        predicate::{Expression, ParseError, Predicate, Problem},
        value::{FieldType, Scalar, Value, coerce},
    },
};

use super::{
    params::Params,
    query::{field, require_visible},
    selected::SelectedRows,
};

/// The most fields that are set at once.
const MAX_ASSIGNMENTS: usize = 64;

/// Fields of many rows to be set.
#[derive(Debug)]
pub(crate) struct CalculateRequest {
    /// Which rows.
    pub(crate) rows: SelectedRows,
    /// The fields, by their positions, and what they become.
    pub(crate) assignments: Vec<(usize, Assigned)>,
    /// Whether the answer has the time of the edits.
    pub(crate) moment: bool,
}

impl CalculateRequest {
    /// Reads the parameters.
    pub(crate) fn parse(params: &Params, layer: &Layer) -> Result<CalculateRequest> {
        super::apply_edits::refuse_unsupported(params)?;
        let rows = SelectedRows::parse(params, layer)?;
        if !rows.says_where {
            return Err(Error::invalid("where", "it is missing; it says which rows are set, 1=1 for all of them"));
        }
        params.word("sqlFormat", "none, standard, native", |text| {
            ["none", "standard", "native"].iter().any(|known| text.eq_ignore_ascii_case(known)).then_some(())
        })?;
        let text = params.text("calcExpression").ok_or_else(|| {
            Error::invalid(
                "calcExpression",
                "it is missing; [{\"field\":\"name\",\"value\":5}] or [{\"field\":\"name\",\"sqlExpression\":\"height * 2\"}] belongs there",
            )
        })?;
        let given: Vec<Map<String, Json>> = match text.starts_with('{') {
            true => vec![super::params::json("calcExpression", text)?],
            false => super::params::json("calcExpression", text)?,
        };
        if given.is_empty() || given.len() > MAX_ASSIGNMENTS {
            return Err(wrong(format!("it sets {} fields; between 1 and {MAX_ASSIGNMENTS} belong there", given.len())));
        }
        let mut assignments: Vec<(usize, Assigned)> = Vec::with_capacity(given.len());
        for element in &given {
            let (field, assigned) = assignment(element, layer)?;
            if assignments.iter().any(|(known, _)| *known == field) {
                return Err(wrong(format!("field '{}' is set twice", layer.fields[field].name)));
            }
            assignments.push((field, assigned));
        }
        require_fitting_type(layer, &assignments)?;
        Ok(CalculateRequest { rows, assignments, moment: params.flag(&["returnEditMoment"], false)? })
    }
}

/// Refuses values that rows of the type that is set with them do not take. What the type of a row is that sets none is looked up when it is set.
fn require_fitting_type(layer: &Layer, assignments: &[(usize, Assigned)]) -> Result<()> {
    let Some(types) = &layer.rules.types else { return Ok(()) };
    let dependent = assignments.iter().find(|(field, _)| layer.rules.depends_on_type(*field));
    match (dependent, assignments.iter().find(|(field, _)| *field == types.field)) {
        (Some((dependent, _)), Some((_, Assigned::Computed(_)))) => Err(wrong(format!(
            "what field '{}' takes depends on field '{}', and what an expression gives for that is not known before; set both to values, or one after the other",
            layer.fields[*dependent].name, layer.fields[types.field].name
        ))),
        (Some(_), Some((_, Assigned::Value(_)))) => {
            let value = |(field, assigned): &(usize, Assigned)| match assigned {
                Assigned::Value(value) => Some((*field, value.clone())),
                Assigned::Computed(_) => None,
            };
            let values: Vec<_> = assignments.iter().filter_map(value).collect();
            layer.rules.check(layer, &values).map_err(wrong)
        }
        _ => Ok(()),
    }
}

fn wrong(problem: String) -> Error {
    Error::invalid("calcExpression", problem)
}

fn assignment(element: &Map<String, Json>, layer: &Layer) -> Result<(usize, Assigned)> {
    let member =
        |wanted: &str| element.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    let name = member("field").and_then(Json::as_str).ok_or_else(|| wrong("an element names no field".to_owned()))?;
    let index = field(name, "calcExpression", layer)?;
    let field = &layer.fields[index];
    if !layer.is_editable(index) {
        return Err(wrong(format!("field '{}' cannot be set: the server or the database does", field.name)));
    }
    let assigned = match (member("value"), member("sqlExpression")) {
        (Some(value), None) => {
            let value = coerce(Scalar::from(value), field.field_type, field.length)
                .map_err(|problem| wrong(format!("field '{}' cannot be set to the value: {problem}", field.name)))?;
            if value == Value::Null && !layer.is_nullable(index) {
                return Err(wrong(format!("field '{}' needs a value, and cannot be set to null", field.name)));
            }
            let given = [(index, value.clone())];
            layer.rules.check(layer, &given).map_err(wrong)?;
            Assigned::Value(value)
        }
        (None, Some(_)) if layer.rules.has_domain(index) || !layer.is_nullable(index) && field.nullable => {
            return Err(wrong(format!(
                "field '{}' takes only some values (it has a domain, or needs a value), and what an expression gives cannot be held against them; set it to a value",
                field.name
            )));
        }
        (None, Some(Json::String(_))) if field.field_type == FieldType::TimestampOffset => {
            return Err(wrong(format!(
                "an expression gives an instant, but no offset for field '{}'; set it to a value",
                field.name
            )));
        }
        (None, Some(Json::String(text))) => {
            let expression = Expression::parse_for(text, &layer.nameable_fields(), field.field_type)
                .map_err(|error| wrong(format!("sqlExpression of field '{}': {error}", field.name)))?;
            require_visible(expression.fields(), "calcExpression", layer)?;
            Assigned::Computed(expression)
        }
        _ => {
            return Err(wrong(format!(
                "field '{}' has to have either a value, or a sqlExpression in quotes",
                field.name
            )));
        }
    };
    Ok((index, assigned))
}

/// What validateSQL says of a text.
pub(crate) fn validate_sql(params: &Params, layer: &Layer) -> Result<Json> {
    let sql = params
        .text("sql")
        .ok_or_else(|| Error::invalid("sql", "it is missing; a where clause or an expression belongs there"))?;
    let kind = params
        .word("sqlType", "where, expression, statement", |text| {
            ["where", "expression", "statement"].into_iter().find(|known| text.eq_ignore_ascii_case(known))
        })?
        .unwrap_or("where");
    let mentioned: std::result::Result<Vec<usize>, ParseError> = match kind {
        "where" => Predicate::parse(sql, &layer.nameable_fields()).map(|clause| clause.fields().collect()),
        "expression" => {
            Expression::parse(sql, &layer.nameable_fields()).map(|expression| expression.fields().collect())
        }
        _ => {
            let description = "whole statements are never run here; send the where clause, or the expression";
            return Ok(verdict(&[(3001, description.to_owned())]));
        }
    };
    Ok(match mentioned {
        Err(error) => verdict(&[(number(error.problem()), error.to_string())]),
        Ok(fields) => match require_visible(fields, "sql", layer) {
            Err(error) => verdict(&[(number(Problem::Field), error.to_string())]),
            Ok(()) => verdict(&[]),
        },
    })
}

/// The API's number for what is wrong with a text.
fn number(problem: Problem) -> i32 {
    match problem {
        Problem::Unsupported => 3001,
        Problem::Syntax => 3002,
        Problem::Meaning => 3004,
        Problem::Field => 3008,
    }
}

fn verdict(problems: &[(i32, String)]) -> Json {
    let errors: Json =
        problems.iter().map(|(code, description)| json!({"errorCode": code, "description": description})).collect();
    json!({"isValidSQL": problems.is_empty(), "validationErrors": errors})
}
