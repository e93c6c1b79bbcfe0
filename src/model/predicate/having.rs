//! Conditions on groups: a clause in which statistics stand where fields do.
//!
//! Each statistic that is written out, as `COUNT(name)`, is found before anything else is read, gets a column of its own, and
//! is replaced by the name of that column. What is left is an ordinary clause over columns.

use super::lex::{Lexeme, Token, shorten};
use super::parse::{Result, condition, tokens};
use super::{MAX_ARGUMENTS, ParseError, Predicate};
use crate::model::{
    layer::{Field, Layer},
    statistics::{ColumnValue, Operand, Statistic, TableColumn},
};

pub(super) fn parse(text: &str, columns: &mut Vec<TableColumn>, layer: &Layer) -> Result<Predicate> {
    let mut given = tokens(text)?.into_iter().peekable();
    let mut read = Vec::new();
    while let Some(lexeme) = given.next() {
        let statistic = match (&lexeme.token, given.peek().map(|next| &next.token)) {
            (Token::Word(word), Some(Token::Symbol("("))) => plain_statistic(word),
            _ => None,
        };
        let Some(statistic) = statistic else {
            read.push(lexeme);
            continue;
        };
        // The parenthesis.
        given.next();
        let field = argument(&mut given, layer, lexeme.column)?;
        let name = column(statistic, field, columns, layer, lexeme.column)?;
        read.push(Lexeme { token: Token::Quoted(name), column: lexeme.column });
    }
    let fields: Vec<Field> = columns.iter().map(|column| column.field.clone()).collect();
    condition(read, &fields)
}

/// The statistics that need nothing but a field.
fn plain_statistic(word: &str) -> Option<Statistic> {
    Statistic::from_name(word)
        .filter(|statistic| !matches!(statistic, Statistic::PercentileContinuous(_) | Statistic::PercentileDiscrete(_)))
}

/// Reads `name)` or `*)`.
fn argument(given: &mut impl Iterator<Item = Lexeme>, layer: &Layer, column: usize) -> Result<Option<usize>> {
    let unexpected = |found: Option<Lexeme>| {
        let what = found.map_or_else(|| "nothing".to_owned(), |found| found.token.describe());
        ParseError::new(
            column,
            format!("unexpected {what} in a statistic"),
            "write one field in it, as in COUNT(name) > 1",
        )
    };
    let field = match given.next() {
        Some(Lexeme { token: Token::Symbol("*"), .. }) => None,
        Some(Lexeme { token: Token::Word(name) | Token::Quoted(name), column }) => {
            let found = layer.field_index(&name).filter(|&index| layer.is_visible(index));
            Some(found.ok_or_else(|| {
                let seen = layer.visible_fields().take(20);
                let names: Vec<&str> = seen.map(|index| layer.fields[index].name.as_str()).collect();
                let hint = format!("the fields are: {}", names.join(", "));
                ParseError::new(column, format!("unknown field '{}'", shorten(&name)), hint)
            })?)
        }
        other => return Err(unexpected(other)),
    };
    match given.next() {
        Some(Lexeme { token: Token::Symbol(")"), .. }) => Ok(field),
        other => Err(unexpected(other)),
    }
}

/// The name of the column that holds a statistic, which is added if there is none.
fn column(
    statistic: Statistic,
    field: Option<usize>,
    columns: &mut Vec<TableColumn>,
    layer: &Layer,
    at: usize,
) -> Result<String> {
    let operand = field.map(Operand::Field);
    let value = ColumnValue::Statistic(statistic, operand.clone());
    if let Some(known) = columns.iter().find(|known| known.value == value) {
        return Ok(known.field.name.clone());
    }
    if columns.len() >= 2 * MAX_ARGUMENTS {
        return Err(ParseError::new(at, "too many statistics", format!("the most is {}", 2 * MAX_ARGUMENTS)));
    }
    let of = field.map_or("*", |index| layer.fields[index].name.as_str());
    let name = format!("{}({of})", statistic.name().to_uppercase());
    let added = statistic
        .column(layer, operand, name.clone())
        .map_err(|problem| ParseError::new(at, problem, "choose another field"))?;
    columns.push(added);
    Ok(name)
}
