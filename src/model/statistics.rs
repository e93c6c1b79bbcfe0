//! Rows that are computed from features: statistics of groups, and values that differ.

use super::{
    layer::{Field, Layer},
    predicate::{Expression, Predicate},
    value::FieldType,
};

/// What rows are sorted, grouped or measured by.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A field of the layer, by its position.
    Field(usize),
    /// A value that is computed for each row. It has a type.
    Expression(Expression),
}

impl Operand {
    /// The field that could hold its values; `name` is that of one that is computed.
    fn source(&self, layer: &Layer, name: &str) -> Option<Field> {
        match self {
            Operand::Field(index) => layer.fields.get(*index).cloned(),
            Operand::Expression(expression) => Some(computed(name.to_owned(), expression.field_type()?, None)),
        }
    }

    /// A column of what groups have in common. A field keeps its name.
    pub fn group(self, layer: &Layer, name: &str) -> Option<TableColumn> {
        Some(TableColumn { field: self.source(layer, name)?, value: ColumnValue::Group(self) })
    }
}

fn computed(name: String, field_type: FieldType, length: Option<u32>) -> Field {
    Field {
        alias: name.clone(),
        name,
        field_type,
        column_type: String::new(),
        length,
        nullable: true,
        has_default: false,
        generated: true,
    }
}

/// A table that a query computes: one row for each group of features.
#[derive(Clone, Debug)]
pub struct Table {
    /// What a row has: first what groups have in common, then statistics, those last that are only there for `having`.
    pub columns: Vec<TableColumn>,
    /// How many of the columns are given back.
    pub n_shown: usize,
    /// Which rows are wanted, as a condition over the columns.
    pub having: Option<Predicate>,
    /// Columns to sort by, and whether descending; all groups come after them.
    pub order: Vec<(usize, bool)>,
    /// How many rows to pass over.
    pub offset: i64,
    /// The most rows to give.
    pub limit: i64,
    /// Whether none is to be given if there are more than that.
    pub all_or_none: bool,
    /// Whether the rows are the different values of fields, and not statistics.
    pub distinct: bool,
}

impl Table {
    /// The columns that are given back.
    pub fn shown(&self) -> &[TableColumn] {
        self.columns.get(..self.n_shown).unwrap_or(&self.columns)
    }

    /// How many columns groups have in common; these come first.
    pub fn n_groups(&self) -> usize {
        self.columns.iter().take_while(|column| matches!(column.value, ColumnValue::Group(_))).count()
    }
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct TableColumn {
    /// Its name and type.
    pub field: Field,
    /// What it holds.
    pub value: ColumnValue,
}

/// What a column of a table holds.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnValue {
    /// What the rows of a group have in common.
    Group(Operand),
    /// A statistic of values, or of all rows.
    Statistic(Statistic, Option<Operand>),
}

/// A number for many values. Nulls do not count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// How many.
    Count,
    /// Their sum.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The mean.
    Average,
    /// The standard deviation of a sample.
    StandardDeviation,
    /// The variance of a sample.
    Variance,
    /// The value below which a share of them lies, between two of them if need be.
    PercentileContinuous(Percentile),
    /// The first of them that a share of them does not exceed.
    PercentileDiscrete(Percentile),
}

/// Which percentile is meant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentile {
    /// The share, from 0 to 1.
    pub share: f64,
    /// Whether it is counted from the greatest value.
    pub descending: bool,
}

impl Statistic {
    /// The name in the API; a percentile is one of the middle unless it is said which.
    pub fn from_name(name: &str) -> Option<Statistic> {
        let median = Percentile { share: 0.5, descending: false };
        Some(match name.to_ascii_lowercase().as_str() {
            "count" => Statistic::Count,
            "sum" => Statistic::Sum,
            "min" => Statistic::Min,
            "max" => Statistic::Max,
            "avg" => Statistic::Average,
            "stddev" => Statistic::StandardDeviation,
            "var" => Statistic::Variance,
            "percentile_cont" => Statistic::PercentileContinuous(median),
            "percentile_disc" => Statistic::PercentileDiscrete(median),
            _ => return None,
        })
    }

    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Statistic::Count => "count",
            Statistic::Sum => "sum",
            Statistic::Min => "min",
            Statistic::Max => "max",
            Statistic::Average => "avg",
            Statistic::StandardDeviation => "stddev",
            Statistic::Variance => "var",
            Statistic::PercentileContinuous(_) => "percentile_cont",
            Statistic::PercentileDiscrete(_) => "percentile_disc",
        }
    }

    /// The type of the statistic of a field's values, or of all rows. The error says which it takes.
    fn type_of(self, source: Option<&Field>) -> Result<FieldType, String> {
        let Some(source) = source else {
            return match self {
                Statistic::Count => Ok(FieldType::Integer),
                _ => Err(format!("{} needs a field; only count takes all rows", self.name())),
            };
        };
        let of_values = match source.field_type {
            FieldType::ObjectId => FieldType::Integer,
            FieldType::GlobalId => FieldType::Guid,
            FieldType::Boolean => FieldType::SmallInteger,
            other => other,
        };
        match self {
            Statistic::Count => Ok(FieldType::Integer),
            Statistic::Min | Statistic::Max | Statistic::PercentileDiscrete(_) => Ok(of_values),
            _ if is_number(source.field_type) => Ok(FieldType::Double),
            _ => Err(format!(
                "{} needs numbers, and {} has none; count, min, max and percentile_disc take any field",
                self.name(),
                source.name
            )),
        }
    }

    /// A column for the statistic of values, or of all rows.
    pub fn column(self, layer: &Layer, of: Option<Operand>, name: String) -> Result<TableColumn, String> {
        let source = of.as_ref().and_then(|operand| operand.source(layer, "the expression"));
        let field_type = self.type_of(source.as_ref())?;
        let length = source.filter(|_| self != Statistic::Count).and_then(|source| source.length);
        Ok(TableColumn { field: computed(name, field_type, length), value: ColumnValue::Statistic(self, of) })
    }
}

fn is_number(field_type: FieldType) -> bool {
    matches!(
        field_type,
        FieldType::ObjectId
            | FieldType::SmallInteger
            | FieldType::Integer
            | FieldType::BigInteger
            | FieldType::Single
            | FieldType::Double
            | FieldType::Boolean
    )
}
