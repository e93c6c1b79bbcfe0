//! The `where` language: the part of SQL in which clients say which rows they want.
//!
//! A clause is one condition over the fields of one layer. [`Predicate::parse`] turns its text into a typed tree;
//! everything that could be wrong with a clause is found there, so a tree can always be carried out. Nothing here
//! knows SQL as a database understands it: the tree is data, and the text of a clause ends in it.
//!
//! What a clause may contain:
//!
//! - literals: numbers, `'text'` (a quote is doubled), `N'text'`, `NULL`, `TRUE`, `FALSE`, `DATE '2024-01-31'`,
//!   `TIMESTAMP '2024-01-31 10:00:00'`, `TIME '10:00:00'`; without a zone a time is in UTC;
//! - fields, in any case, as `name`, `"name"` or `database.owner.table.name`, of which the last part counts;
//! - `= <> != < > <= >=`, `+ - * /`, `||`, `AND OR NOT`, parentheses, `[NOT] LIKE … [ESCAPE 'c']`, `[NOT] IN (…)`,
//!   `[NOT] BETWEEN … AND …`, `IS [NOT] NULL`, `CASE WHEN … THEN … ELSE … END`, `CASE … WHEN … THEN … ELSE … END`;
//! - `shape IS [NOT] NULL`, which tests the geometry;
//! - `CURRENT_DATE`, `CURRENT_TIMESTAMP`, `CURRENT_TIME`; dates plus or minus `INTERVAL '1' DAY`,
//!   `INTERVAL '1 12' DAY TO HOUR` and the like, or plus or minus a number, which counts days;
//! - `CURRENT_USER`, the name of the user on whose behalf the clause is read; null if there is none;
//! - the functions of [`Function`], `EXTRACT`, `CAST`. `LOG` is the natural logarithm, as in the API.
//!
//! Its rules where SQL dialects differ:
//!
//! - Text is compared by case. A text literal that meets a number, date or GUID is read as one, or refused.
//! - A backslash means nothing in a `LIKE` pattern; only `ESCAPE` makes an escape character.
//! - What has no value (division by zero, a logarithm of −1, text that is no number in a `CAST`) is null, and so is
//!   arithmetic with numbers beyond 1e±150 or years beyond 1 to 9999: no data makes a clause fail.
//! - Integers divide to integers, and do not overflow.
//!
//! Comments, `;`, subqueries and every other function are refused. So is what would cost too much: see
//! [`MAX_TEXT_BYTES`] and its neighbours, which also bound the depth of the tree, so that walking it recursively is safe.
//!
//! Start reading at [`Expr`], then `parse`; `typing` holds the rules on types.

mod cursor;
mod function;
mod having;
mod lex;
mod literal;
mod parse;
#[cfg(test)]
mod tests;
mod typing;
mod value;

use std::collections::BTreeSet;
use std::fmt;

use uuid::Uuid;

use crate::model::{
    layer::{Field, Layer},
    statistics::TableColumn,
    value::FieldType,
};

/// Longest clause without an `IN` list.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
/// Longest clause with an `IN` list.
pub const MAX_LIST_TEXT_BYTES: usize = 512 * 1024;
/// Most words, values and marks in a clause.
pub const MAX_TOKENS: usize = MAX_TEXT_BYTES + 2 * MAX_LIST_VALUES;
/// Most values that the `IN` lists of a clause may hold together.
pub const MAX_LIST_VALUES: usize = 10_000;
/// Deepest nesting of parentheses, function calls and `CASE`.
pub const MAX_DEPTH: usize = 64;
/// Most arithmetic operators in a clause; each may be a level of the tree.
pub const MAX_OPERATORS: usize = 128;
/// Most arguments of a function, and most values of an `IN` list that are not all literals.
pub const MAX_ARGUMENTS: usize = 64;
/// Longest clause, in words, values and marks, that costs little for each row.
const MAX_LIGHT_TOKENS: usize = 60;
/// Longest span of time that can be added to a date: 4,000 years keep every date that can be written, moved once,
/// within what databases hold.
pub const MAX_SHIFT_DAYS: i64 = 1_461_000;

/// A parsed `where` clause over the fields of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicate {
    root: Expr,
    fields: BTreeSet<usize>,
    volatile: bool,
    weighty: bool,
}

impl Predicate {
    /// Reads a clause over `fields`. An empty clause is an error; whether its absence means all rows is for the caller.
    pub fn parse(text: &str, fields: &[Field]) -> Result<Predicate, ParseError> {
        parse::parse(text, fields)
    }

    /// Reads a clause on behalf of a user, who is meant by `CURRENT_USER`.
    pub fn parse_for(text: &str, fields: &[Field], user: &str) -> Result<Predicate, ParseError> {
        parse::parse_for(text, fields, user)
    }

    /// A clause that no row meets.
    pub fn never() -> Predicate {
        Predicate {
            root: Expr::Literal(Literal::Boolean(false)),
            fields: BTreeSet::new(),
            volatile: false,
            weighty: false,
        }
    }

    /// Reads a condition on the groups of a table, over its columns: groups and statistics by their names, and statistics
    /// written out, as in `COUNT(name) > 1`. Those that the table does not have are added to `columns`.
    pub fn parse_having(text: &str, columns: &mut Vec<TableColumn>, layer: &Layer) -> Result<Predicate, ParseError> {
        having::parse(text, columns, layer)
    }

    /// Says whether the clause asks for the current time, so that rows come and go without an edit.
    pub fn is_volatile(&self) -> bool {
        self.volatile
    }

    /// Says whether the clause may cost much for each row: it is long, or looks into texts.
    pub fn is_weighty(&self) -> bool {
        self.weighty
    }

    /// Returns the indexes of the fields that the clause mentions, ascending.
    pub fn fields(&self) -> impl Iterator<Item = usize> + '_ {
        self.fields.iter().copied()
    }

    /// Says what the clause is for every row, if that can be told without looking: `1=1`, `1=0`.
    pub fn constant(&self) -> Option<bool> {
        match self.root {
            Expr::Literal(Literal::Boolean(value)) => Some(value),
            _ => None,
        }
    }

    /// Returns the tree, whose type is Boolean.
    pub fn root(&self) -> &Expr {
        &self.root
    }
}

/// A parsed expression over the fields of one layer: a value that is computed for each row, in the language of clauses.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    root: Expr,
    fields: BTreeSet<usize>,
}

impl Expression {
    /// Reads an expression of any type over `fields`.
    pub fn parse(text: &str, fields: &[Field]) -> Result<Expression, ParseError> {
        parse::parse_expression(text, fields, None)
    }

    /// Reads an expression whose value a field of type `target` can hold without losing anything by its type.
    pub fn parse_for(text: &str, fields: &[Field], target: FieldType) -> Result<Expression, ParseError> {
        parse::parse_expression(text, fields, Some(Type::of(target)))
    }

    /// Returns the indexes of the fields that the expression mentions, ascending.
    pub fn fields(&self) -> impl Iterator<Item = usize> + '_ {
        self.fields.iter().copied()
    }

    /// Returns the type of a field that could hold every value of the expression; none for a bare `NULL`. Whole numbers that may need
    /// more than 32 bits, for which many clients have no type, are doubles.
    pub fn field_type(&self) -> Option<FieldType> {
        Some(match self.root.value_type()? {
            Type::Integer if self.root.is_small() => FieldType::Integer,
            Type::Integer | Type::Double => FieldType::Double,
            Type::Text => FieldType::Text,
            Type::Guid => FieldType::Guid,
            Type::Timestamp => FieldType::Date,
            Type::Date => FieldType::DateOnly,
            Type::Time => FieldType::TimeOnly,
            Type::Boolean => FieldType::Boolean,
        })
    }

    /// Returns the tree.
    pub fn root(&self) -> &Expr {
        &self.root
    }
}

/// A node of the tree. Types agree wherever nodes meet; only integers meet doubles, dates meet timestamps, and null
/// meets everything, as they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Literal(Literal),
    Field {
        /// Position in the fields that the clause was parsed with.
        index: usize,
        field_type: FieldType,
    },
    Now(Now),
    /// The row's geometry is not null. False in a table.
    HasGeometry,
    /// `AND` of two or more.
    All(Vec<Expr>),
    /// `OR` of two or more.
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Compare {
        comparison: Comparison,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Like {
        value: Box<Expr>,
        pattern: Box<Expr>,
        /// None: the pattern has no escape character, not even a backslash.
        escape: Option<char>,
    },
    Between {
        value: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
    },
    /// `IN` a list of literals.
    InList {
        value: Box<Expr>,
        list: List,
        /// The list held `NULL` too, so that what is not in it is unknown instead of false.
        or_null: bool,
    },
    /// `IN` a list with something else than literals in it.
    In {
        value: Box<Expr>,
        list: Vec<Expr>,
    },
    IsNull(Box<Expr>),
    Binary {
        operator: Operator,
        left: Box<Expr>,
        right: Box<Expr>,
        value_type: Type,
    },
    /// A date or time moved by an interval.
    Shift {
        value: Box<Expr>,
        by: Interval,
        value_type: Type,
    },
    /// A date moved by a number of days.
    ShiftDays {
        value: Box<Expr>,
        days: Box<Expr>,
        value_type: Type,
    },
    Case {
        /// What the values of the branches are compared with; none: branches have conditions.
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
        value_type: Type,
    },
    Call {
        function: Function,
        arguments: Vec<Expr>,
        value_type: Type,
    },
    Extract {
        part: DatePart,
        from: Box<Expr>,
    },
    Cast {
        value: Box<Expr>,
        target: CastTarget,
    },
}

impl Expr {
    /// Returns the type of the value; none for a bare `NULL`.
    pub fn value_type(&self) -> Option<Type> {
        Some(match self {
            Expr::Literal(literal) => return literal.value_type(),
            Expr::Field { field_type, .. } => Type::of(*field_type),
            Expr::Now(Now::Date) => Type::Date,
            Expr::Now(Now::Time) => Type::Time,
            Expr::Now(Now::Timestamp) => Type::Timestamp,
            Expr::Binary { value_type, .. }
            | Expr::Shift { value_type, .. }
            | Expr::ShiftDays { value_type, .. }
            | Expr::Case { value_type, .. }
            | Expr::Call { value_type, .. } => *value_type,
            Expr::Extract { part: DatePart::Second, .. } => Type::Double,
            Expr::Extract { .. } => Type::Integer,
            Expr::Cast { target, .. } => target.value_type(),
            Expr::HasGeometry
            | Expr::All(_)
            | Expr::Any(_)
            | Expr::Not(_)
            | Expr::Compare { .. }
            | Expr::Like { .. }
            | Expr::Between { .. }
            | Expr::InList { .. }
            | Expr::In { .. }
            | Expr::IsNull(_) => Type::Boolean,
        })
    }
}

impl Expr {
    /// Says whether a value of type Integer is known to fit into 32 bits.
    fn is_small(&self) -> bool {
        match self {
            Expr::Literal(Literal::Integer(value)) => i32::try_from(*value).is_ok(),
            Expr::Literal(Literal::Null) | Expr::Extract { .. } => true,
            Expr::Field { field_type, .. } => *field_type != FieldType::BigInteger,
            Expr::Cast { target, .. } => matches!(target, CastTarget::SmallInteger | CastTarget::Integer),
            Expr::Call { function: Function::CharLength | Function::Position, .. } => true,
            Expr::Call { function: Function::Coalesce | Function::Nullif, arguments, .. } => {
                arguments.iter().all(Expr::is_small)
            }
            Expr::Case { branches, otherwise, .. } => {
                branches.iter().all(|(_, result)| result.is_small()) && otherwise.iter().all(|other| other.is_small())
            }
            _ => false,
        }
    }
}

/// The type of a value in a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Integer,
    Double,
    Text,
    Guid,
    /// An instant.
    Timestamp,
    Date,
    Time,
    Boolean,
}

impl Type {
    fn of(field_type: FieldType) -> Type {
        match field_type {
            FieldType::ObjectId | FieldType::SmallInteger | FieldType::Integer | FieldType::BigInteger => Type::Integer,
            FieldType::Single | FieldType::Double => Type::Double,
            FieldType::Text => Type::Text,
            FieldType::Guid | FieldType::GlobalId => Type::Guid,
            FieldType::Date | FieldType::TimestampOffset => Type::Timestamp,
            FieldType::DateOnly => Type::Date,
            FieldType::TimeOnly => Type::Time,
            FieldType::Boolean => Type::Boolean,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Integer => "integer",
            Type::Double => "number",
            Type::Text => "text",
            Type::Guid => "GUID",
            Type::Timestamp => "date and time",
            Type::Date => "date",
            Type::Time => "time",
            Type::Boolean => "true or false",
        })
    }
}

/// A value written in the clause.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Boolean(bool),
    Integer(i64),
    /// Finite.
    Double(f64),
    /// A number that is compared with a field of type Single, rounded as that field's values are.
    Single(f32),
    /// Without NUL.
    Text(String),
    Guid(Uuid),
    /// Microseconds since 1970-01-01T00:00Z.
    Timestamp(i64),
    /// Days since 1970-01-01.
    Date(i64),
    /// Microseconds since midnight.
    Time(i64),
}

impl Literal {
    fn value_type(&self) -> Option<Type> {
        Some(match self {
            Literal::Null => return None,
            Literal::Boolean(_) => Type::Boolean,
            Literal::Integer(_) => Type::Integer,
            Literal::Double(_) | Literal::Single(_) => Type::Double,
            Literal::Text(_) => Type::Text,
            Literal::Guid(_) => Type::Guid,
            Literal::Timestamp(_) => Type::Timestamp,
            Literal::Date(_) => Type::Date,
            Literal::Time(_) => Type::Time,
        })
    }
}

/// The literals of an `IN` list, all of one type; units as in [`Literal`].
#[derive(Clone, Debug, PartialEq)]
pub enum List {
    Integer(Vec<i64>),
    Double(Vec<f64>),
    Single(Vec<f32>),
    Text(Vec<String>),
    Guid(Vec<Uuid>),
    Timestamp(Vec<i64>),
    Date(Vec<i64>),
    Time(Vec<i64>),
}

/// What `CURRENT_DATE` and its like ask for, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    Date,
    Time,
    Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An operator that makes a value of two. All but `Concat` work on numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    /// Null when the divisor is zero.
    Divide,
    /// Null when either side is.
    Concat,
}

/// A signed span of time, at most [`MAX_SHIFT_DAYS`] long. A day is 24 hours, since all times are in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub months: i64,
    pub microseconds: i64,
}

/// A function of values. Arguments stand in the order in which they are written unless noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Abs,
    Ceiling,
    Floor,
    /// One or two arguments; the second is the number of decimals.
    Round,
    /// One or two arguments; the second is the number of decimals.
    Truncate,
    Mod,
    Power,
    /// Also written `LOG`.
    Ln,
    Log10,
    Cos,
    Sin,
    Tan,
    Acos,
    Asin,
    Atan,
    Nullif,
    Coalesce,
    CharLength,
    /// Nulls count as empty text.
    Concat,
    Lower,
    Upper,
    /// What to look for, then where.
    Position,
    /// Text, start counted from 1, and maybe a length. A negative length is none.
    Substring,
    /// Text, then the characters to remove at both ends.
    Trim,
    /// Text, then the characters to remove at its start.
    TrimLeading,
    /// Text, then the characters to remove at its end.
    TrimTrailing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatePart {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    /// With its fraction.
    Second,
}

/// What `CAST` makes of a value. Null results where there is no such value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastTarget {
    SmallInteger,
    Integer,
    BigInteger,
    Single,
    Double,
    Date,
    Timestamp,
    /// Text, cut to so many characters.
    Text {
        length: Option<i64>,
    },
    /// Cannot be written; text that meets a GUID is cast so.
    Guid,
}

impl CastTarget {
    fn value_type(self) -> Type {
        match self {
            CastTarget::SmallInteger | CastTarget::Integer | CastTarget::BigInteger => Type::Integer,
            CastTarget::Single | CastTarget::Double => Type::Double,
            CastTarget::Date => Type::Date,
            CastTarget::Timestamp => Type::Timestamp,
            CastTarget::Text { .. } => Type::Text,
            CastTarget::Guid => Type::Guid,
        }
    }
}

/// What kind of mistake is in a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is not written as clauses are.
    Syntax,
    /// It is written well, and means nothing: types that do not go together, for instance.
    Meaning,
    /// It names a field that is not there.
    Field,
    /// It is SQL that is not taken here.
    Unsupported,
}

/// Why a clause was refused: what is wrong, where, and what to write instead. Meant to be read by people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    problem: Problem,
    column: usize,
    what: String,
    hint: String,
}

impl ParseError {
    fn new(column: usize, what: impl Into<String>, hint: impl Into<String>) -> ParseError {
        ParseError { problem: Problem::Syntax, column, what: what.into(), hint: hint.into() }
    }

    /// The same with another kind of problem.
    fn of(self, problem: Problem) -> ParseError {
        ParseError { problem, ..self }
    }

    /// Returns what kind of mistake it is.
    pub fn problem(&self) -> Problem {
        self.problem
    }

    /// Returns where in the clause the mistake is, in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ParseError { column, what, hint, .. } = self;
        write!(f, "{what} at column {column}; {hint}")
    }
}

impl std::error::Error for ParseError {}
