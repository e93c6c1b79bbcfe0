//! Predicate × columns → SQL text.
//!
//! The text is made of fixed pieces and of quoted column names; whatever the client wrote is bound.
//! A rendered condition raises no error over the data: where PostgreSQL would (a logarithm of −1, text that is no
//! number), the value is null. A replica's filter is run for years, and one odd row must not stop it.
//!
//! Two things that PostgreSQL makes easy to get wrong:
//!
//! - Integers are bound as integers, so that an index on an integer column is used; arithmetic on them is done in
//!   `numeric`, which does not overflow ([`range`] keeps products within what a double can be compared with).
//! - An argument that has to be looked at before it is used is named in a subquery ([`Renderer::guarded`]) rather than
//!   written twice: twice in each of sixty nested calls would be a text of 2⁶⁰ pieces. The planner must not undo this,
//!   see [`END_GUARD`].
//!
//! The session's time zone must be UTC.

mod function;
mod range;
#[cfg(test)]
mod tests;

use std::slice;

use crate::model::{
    predicate::{Comparison, Expr, Expression, Interval, List, Literal, Now, Operator, Predicate, Type},
    value::FieldType,
};

use super::fragment::{Fragment, Ident};

/// A column that conditions speak of.
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: Ident,
    /// Whether it may hold numbers that no double can, as which they are compared and computed with.
    pub(crate) exceeds_double: bool,
}

/// Appends the condition, in parentheses or of one word. `columns` are those of the fields that the predicate was
/// parsed with, in their order; `geometry` is the column whose presence `shape IS NOT NULL` tests; all belong to `alias`.
pub(crate) fn render(
    predicate: &Predicate,
    columns: &[Column],
    geometry: Option<&Ident>,
    alias: &'static str,
    out: &mut Fragment,
) {
    Renderer { columns, geometry, alias, out }.expr(predicate.root());
}

/// Appends the value of an expression. What the parameters are is as in [`render`].
pub(crate) fn render_expression(
    expression: &Expression,
    columns: &[Column],
    geometry: Option<&Ident>,
    alias: &'static str,
    out: &mut Fragment,
) {
    Renderer { columns, geometry, alias, out }.expr(expression.root());
}

/// Appends the value of a column that may hold numbers that no double can, as a double: infinite if it is too great, which nobody is given, but which
/// compares as it should; 0 if it is nearer to nothing than any double.
pub(super) fn as_double(column: &Ident, alias: &'static str, out: &mut Fragment) {
    out.sql("(case when abs(").sql(alias).sql(".").ident(column).sql(") < 1e-300 then 0 when abs(");
    out.sql(alias).sql(".").ident(column).sql(") < 1.797693134862315e308 then ");
    out.sql(alias).sql(".").ident(column).sql("::float8 else sign(");
    out.sql(alias).sql(".").ident(column).sql(")::float8 * 'infinity' end)");
}

struct Renderer<'a> {
    columns: &'a [Column],
    geometry: Option<&'a Ident>,
    alias: &'static str,
    out: &'a mut Fragment,
}

/// Nodes. What each writes can be followed by a cast or an operator.
impl Renderer<'_> {
    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(literal) => self.literal(literal),
            Expr::Field { index, field_type: FieldType::TimestampOffset } => {
                self.sql("(");
                self.column(&self.columns[*index].name);
                self.sql(super::select::INSTANT);
                self.sql(")");
            }
            Expr::Field { index, .. } if self.columns[*index].exceeds_double => {
                as_double(&self.columns[*index].name, self.alias, self.out);
            }
            Expr::Field { index, .. } => self.column(&self.columns[*index].name),
            Expr::Now(now) => self.sql(match now {
                Now::Date => "current_date",
                Now::Time => "localtime",
                Now::Timestamp => "current_timestamp",
            }),
            Expr::HasGeometry => match self.geometry {
                Some(geometry) => {
                    self.sql("(");
                    self.column(geometry);
                    self.sql(" is not null)");
                }
                None => self.sql("false"),
            },
            Expr::All(conditions) => self.list("(", conditions, " and ", ")"),
            Expr::Any(conditions) => self.list("(", conditions, " or ", ")"),
            Expr::Not(condition) => self.around("(not ", condition, ")"),
            Expr::IsNull(value) => {
                self.operand("(", value, true);
                self.sql(" is null)");
            }
            Expr::Compare { comparison, left, right } => {
                let exactly = is_exact(left) || is_exact(right);
                self.operand("(", left, exactly);
                self.operand(operator(*comparison), right, exactly);
                self.sql(")");
            }
            Expr::Between { value, low, high } => {
                let exactly = is_exact(low) && is_exact(high);
                self.operand("(", value, exactly);
                self.operand(" between ", low, exactly);
                self.operand(" and ", high, exactly);
                self.sql(")");
            }
            Expr::Like { value, pattern, escape } => self.like(value, pattern, *escape),
            Expr::InList { value, list, or_null } => self.in_list(value, list, *or_null),
            Expr::In { value, list } => {
                self.around("(", value, " in ");
                self.list("(", list, ", ", "))");
            }
            Expr::Binary { operator, left, right, value_type } => {
                self.binary(*operator, left, right, *value_type);
            }
            Expr::Shift { value, by, .. } => self.shift(value, *by),
            Expr::ShiftDays { value, days, value_type } => self.shift_days(value, days, *value_type),
            Expr::Case { operand, branches, otherwise, value_type } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref(), *value_type);
            }
            Expr::Call { function, arguments, value_type } => {
                self.call(*function, arguments, *value_type);
            }
            Expr::Extract { part, from } => self.extract(*part, from),
            Expr::Cast { value, target } => self.cast(value, *target),
        }
    }

    fn sql(&mut self, text: &'static str) {
        self.out.sql(text);
    }

    fn column(&mut self, column: &Ident) {
        self.out.sql(self.alias).sql(".").ident(column);
    }

    fn around(&mut self, before: &'static str, expr: &Expr, after: &'static str) {
        self.sql(before);
        self.expr(expr);
        self.sql(after);
    }

    /// Writes a side of a comparison. A field that is compared `exactly` is the column itself, for an index to be used.
    fn operand(&mut self, before: &'static str, expr: &Expr, exactly: bool) {
        self.sql(before);
        match expr {
            Expr::Field { index, .. } if exactly && self.columns[*index].exceeds_double => {
                self.column(&self.columns[*index].name);
            }
            _ => self.expr(expr),
        }
    }

    fn list(&mut self, before: &'static str, exprs: &[Expr], between: &'static str, after: &'static str) {
        self.sql(before);
        for (i, expr) in exprs.iter().enumerate() {
            self.around(if i > 0 { between } else { "" }, expr, "");
        }
        self.sql(after);
    }

    fn literal(&mut self, literal: &Literal) {
        match literal {
            Literal::Null => self.out.sql("null"),
            Literal::Boolean(true) => self.out.sql("true"),
            Literal::Boolean(false) => self.out.sql("false"),
            Literal::Integer(value) => self.out.bind(*value).sql("::bigint"),
            Literal::Double(value) => self.out.bind(*value).sql("::float8"),
            Literal::Single(value) => self.out.bind(f64::from(*value)).sql("::real"),
            Literal::Text(value) => self.out.bind(value.clone()).sql("::text"),
            Literal::Guid(value) => self.out.bind(*value).sql("::uuid"),
            Literal::Timestamp(value) => {
                // Seconds first: an interval is multiplied as a double, which does not hold the microseconds of far-off years.
                let seconds = value.div_euclid(1_000_000);
                self.out.sql("(timestamptz 'epoch' + ").bind(seconds).sql("::bigint * interval '1 second'");
                match value.rem_euclid(1_000_000) {
                    0 => self.out.sql(")"),
                    rest => self.out.sql(" + ").bind(rest).sql("::bigint * interval '1 microsecond')"),
                }
            }
            Literal::Date(value) => self.out.sql("(date 'epoch' + ").bind(*value).sql("::int)"),
            Literal::Time(value) => {
                self.out.sql("(time '00:00' + ").bind(*value).sql("::bigint * interval '1 microsecond')")
            }
        };
    }

    fn like(&mut self, value: &Expr, pattern: &Expr, escape: Option<char>) {
        self.around("(", value, "::text like ");
        self.around("", pattern, "::text escape ");
        match escape {
            Some(escape) => self.out.bind(escape.to_string()).sql("::text)"),
            // Switches off the backslash, PostgreSQL's own choice, with which a pattern must not end.
            None => self.out.sql("'')"),
        };
    }

    fn in_list(&mut self, value: &Expr, list: &List, or_null: bool) {
        const END: &str = "::bigint[]) as v)";
        self.operand(if or_null { "((" } else { "(" }, value, matches!(list, List::Integer(_)));
        self.sql(" = any(");
        let out = &mut *self.out;
        match list {
            List::Integer(values) => out.bind(values.clone()).sql("::bigint[]"),
            List::Double(values) => out.bind(values.clone()).sql("::float8[]"),
            List::Single(values) => {
                let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
                out.bind(values).sql("::real[]")
            }
            List::Text(values) => out.bind(values.clone()).sql("::text[]"),
            List::Guid(values) => out.bind(values.clone()).sql("::uuid[]"),
            List::Timestamp(values) => out
                .sql("array(select timestamptz 'epoch' + v / 1000000 * interval '1 second' + v % 1000000 * interval '1 microsecond' from unnest(")
                .bind(values.clone())
                .sql(END),
            List::Date(values) => {
                out.sql("array(select date 'epoch' + v::int from unnest(").bind(values.clone()).sql(END)
            }
            List::Time(values) => out
                .sql("array(select time '00:00' + v * interval '1 microsecond' from unnest(")
                .bind(values.clone())
                .sql(END),
        };
        self.sql(if or_null { ")) or null)" } else { "))" });
    }

    fn binary(&mut self, operator: Operator, left: &Expr, right: &Expr, value_type: Type) {
        let (before, between, after) = match (operator, value_type) {
            (Operator::Add, Type::Double) => return self.doubles("arg.a + arg.b", [left, right]),
            (Operator::Subtract, Type::Double) => {
                return self.doubles("arg.a - arg.b", [left, right]);
            }
            (Operator::Multiply, Type::Double) => {
                return self.doubles("arg.a * arg.b", [left, right]);
            }
            (Operator::Divide, Type::Double) => {
                return self.doubles("arg.a / nullif(arg.b, 0)", [left, right]);
            }
            (Operator::Add, _) => ("(", "::numeric + ", "::numeric)"),
            (Operator::Subtract, _) => ("(", "::numeric - ", "::numeric)"),
            (Operator::Multiply, _) if range::may_exceed(left, right) => {
                self.guard("abs(arg.a * arg.b) < 1e200 then arg.a * arg.b");
                self.around("", left, "::numeric as a, ");
                self.around("", right, "::numeric as b");
                return self.sql(END_GUARD);
            }
            (Operator::Multiply, _) => ("(", "::numeric * ", "::numeric)"),
            (Operator::Divide, _) => ("div(", "::numeric, nullif(", "::numeric, 0))"),
            (Operator::Concat, _) => ("(", "::text || ", "::text)"),
        };
        self.around(before, left, between);
        self.around("", right, after);
    }

    /// Writes an operation on the doubles `arg.a` and `arg.b`, null where its result could be beyond their range.
    fn doubles<'e>(&mut self, operation: &'static str, operands: impl IntoIterator<Item = &'e Expr>) {
        self.sql("(select case when (arg.a = 0 or abs(arg.a) between 1e-150 and 1e150)");
        self.sql(" and (arg.b = 0 or abs(arg.b) between 1e-150 and 1e150) then ");
        self.sql(operation);
        self.sql(" end from (select ");
        for (operand, name) in operands.into_iter().zip(["::float8 as a, ", "::float8 as b"]) {
            self.around("", operand, name);
        }
        self.sql(END_GUARD);
    }

    fn shift(&mut self, value: &Expr, by: Interval) {
        self.shifted(value, |renderer| {
            if by.months != 0 {
                renderer.out.bind(by.months).sql("::int * interval '1 month'");
            } else {
                renderer.out.bind(by.microseconds).sql("::bigint * interval '1 microsecond'");
            }
        });
    }

    fn shift_days(&mut self, value: &Expr, days: &Expr, value_type: Type) {
        // As far as days may be written as a literal.
        const NEAR: &str = "abs(arg.a) <= 1461000 then arg.a";
        self.shifted(value, |renderer| {
            match (days, value_type) {
                (Expr::Literal(Literal::Integer(days)), _) => {
                    renderer.out.bind(*days).sql("::int");
                }
                (_, Type::Date) => {
                    renderer.guarded(NEAR, slice::from_ref(days), "::numeric");
                    renderer.sql("::int");
                }
                _ => renderer.guarded(NEAR, slice::from_ref(days), "::float8"),
            }
            if value_type != Type::Date {
                renderer.sql(" * interval '1 day'");
            }
        });
    }

    /// Writes a date or time plus what `by` writes. A stored or computed date must be within the years that can be
    /// written, or the sum could be beyond those that can be stored; times go round the clock.
    fn shifted(&mut self, value: &Expr, by: impl FnOnce(&mut Self)) {
        let is_time = value.value_type() == Some(Type::Time);
        if is_time || matches!(value, Expr::Now(_) | Expr::Literal(_)) {
            self.around("(", value, " + ");
            by(self);
            self.sql(")");
        } else {
            self.guard("arg.a >= '0001-01-01' and arg.a < '10000-01-01' then arg.a + arg.b");
            self.around("", value, " as a, ");
            by(self);
            self.sql(" as b");
            self.sql(END_GUARD);
        }
    }

    fn case(&mut self, operand: Option<&Expr>, branches: &[(Expr, Expr)], otherwise: Option<&Expr>, value_type: Type) {
        self.sql("(case");
        if let Some(operand) = operand {
            self.around(" ", operand, "");
        }
        for (test, result) in branches {
            self.around(" when ", test, " then ");
            self.around("", result, double_cast(value_type));
        }
        if let Some(otherwise) = otherwise {
            self.around(" else ", otherwise, double_cast(value_type));
        }
        self.sql(" end)");
    }

    /// Writes a value that is null unless a condition holds. `rule` is `condition then value`, over the arguments,
    /// cast, as `arg.a` and `arg.b`.
    fn guarded(&mut self, rule: &'static str, arguments: &[Expr], cast: &'static str) {
        self.guard(rule);
        for (argument, name) in arguments.iter().zip([" as a", " as b"]) {
            self.around(if name == " as b" { ", " } else { "" }, argument, cast);
            self.sql(name);
        }
        self.sql(END_GUARD);
    }

    /// Writes the start of a guarded value. What follows are the arguments with their names, and [`END_GUARD`].
    fn guard(&mut self, rule: &'static str) {
        self.sql("(select case when ");
        self.sql(rule);
        self.sql(" end from (select ");
    }
}

/// `offset 0` keeps the planner from putting the argument in the place of each of its names, which for nested calls
/// takes all the memory there is.
const END_GUARD: &str = " offset 0) as arg)";

/// The cast that brings numbers of several types to one where PostgreSQL would choose too narrow a one.
fn double_cast(value_type: Type) -> &'static str {
    if value_type == Type::Double { "::float8" } else { "" }
}

/// Whether a field that may exceed a double is compared with it as it is: the database then makes no double of the field.
fn is_exact(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(Literal::Integer(_) | Literal::Null))
}

fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => " = ",
        Comparison::NotEqual => " <> ",
        Comparison::Less => " < ",
        Comparison::LessOrEqual => " <= ",
        Comparison::Greater => " > ",
        Comparison::GreaterOrEqual => " >= ",
    }
}
