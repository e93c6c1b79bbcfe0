//! Calls of functions and casts → SQL text.

use std::ops::RangeInclusive;
use std::slice;

use crate::model::predicate::{CastTarget, DatePart, Expr, Function, Literal, Type};

use super::{END_GUARD, Renderer, double_cast};

impl Renderer<'_> {
    pub(super) fn call(&mut self, function: Function, arguments: &[Expr], value_type: Type) {
        let number = if value_type == Type::Integer { "::numeric" } else { "::float8" };
        let alike = double_cast(value_type);
        match function {
            Function::Abs => self.apply("abs(", arguments, number, "", ")"),
            Function::Ceiling => self.apply("ceil(", arguments, number, "", ")"),
            Function::Floor => self.apply("floor(", arguments, number, "", ")"),
            Function::Atan => self.apply("atan(", arguments, number, "", ")"),
            Function::Round => self.round("round(", arguments, value_type),
            Function::Truncate => self.round("trunc(", arguments, value_type),
            Function::Mod if value_type == Type::Double => {
                let operation = "mod(arg.a::numeric, nullif(arg.b, 0)::numeric)::float8";
                self.doubles(operation, arguments);
            }
            Function::Mod => self.apply("mod(", arguments, "::numeric", ", nullif(", ", 0))"),
            Function::Nullif => self.apply("nullif(", arguments, alike, ", ", ")"),
            Function::Coalesce => self.apply("coalesce(", arguments, alike, ", ", ")"),
            Function::CharLength => self.apply("char_length(", arguments, "::text", "", ")"),
            Function::Concat => self.apply("concat(", arguments, "::text", ", ", ")"),
            Function::Lower => self.apply("lower(", arguments, "::text", "", ")"),
            Function::Upper => self.apply("upper(", arguments, "::text", "", ")"),
            Function::Position => self.apply("position(", arguments, "::text", " in ", ")"),
            Function::Trim => self.apply("btrim(", arguments, "::text", ", ", ")"),
            Function::TrimLeading => self.apply("ltrim(", arguments, "::text", ", ", ")"),
            Function::TrimTrailing => self.apply("rtrim(", arguments, "::text", ", ", ")"),
            Function::Substring => self.substring(arguments),
            Function::Power => self.guarded(POWER, arguments, "::float8"),
            Function::Ln => self.guarded("arg.a > 0 then ln(arg.a)", arguments, "::float8"),
            Function::Log10 => self.guarded("arg.a > 0 then log(arg.a)", arguments, "::float8"),
            Function::Cos => self.guarded(FINITE_COS, arguments, "::float8"),
            Function::Sin => self.guarded(FINITE_SIN, arguments, "::float8"),
            Function::Tan => self.guarded(FINITE_TAN, arguments, "::float8"),
            Function::Acos => {
                self.guarded("arg.a between -1 and 1 then acos(arg.a)", arguments, "::float8");
            }
            Function::Asin => {
                self.guarded("arg.a between -1 and 1 then asin(arg.a)", arguments, "::float8");
            }
        }
    }

    /// Writes a call; each argument gets the cast.
    fn apply(
        &mut self,
        before: &'static str,
        arguments: &[Expr],
        cast: &'static str,
        between: &'static str,
        after: &'static str,
    ) {
        self.sql(before);
        for (i, argument) in arguments.iter().enumerate() {
            self.around(if i > 0 { between } else { "" }, argument, cast);
        }
        self.sql(after);
    }

    fn round(&mut self, before: &'static str, arguments: &[Expr], value_type: Type) {
        for (i, argument) in arguments.iter().enumerate() {
            if i == 0 {
                self.around(before, argument, "::numeric");
            } else {
                self.sql(", ");
                // A double has no more decimals worth keeping.
                self.count(argument, -300..=300, "abs(arg.a) <= 300 then arg.a");
            }
        }
        self.sql(if value_type == Type::Integer { ")" } else { ")::float8" });
    }

    fn substring(&mut self, arguments: &[Expr]) {
        for (i, argument) in arguments.iter().enumerate() {
            match i {
                0 => self.around("substring(", argument, "::text, "),
                1 => self.count(argument, -1000..=1000, "abs(arg.a) <= 1000000000 then arg.a"),
                _ => {
                    self.sql(", ");
                    let rule = "arg.a <= 1000000000 then greatest(arg.a, 0)";
                    self.count(argument, 0..=1000, rule);
                }
            }
        }
        self.sql(")");
    }

    /// Writes a number of characters or digits, guarded unless it is a small literal.
    fn count(&mut self, count: &Expr, small: RangeInclusive<i64>, rule: &'static str) {
        match count {
            Expr::Literal(Literal::Integer(count)) if small.contains(count) => {
                self.out.bind(*count);
            }
            _ => self.guarded(rule, slice::from_ref(count), "::numeric"),
        }
        self.sql("::int");
    }

    pub(super) fn extract(&mut self, part: DatePart, from: &Expr) {
        self.sql(match part {
            DatePart::Year => "extract(year from ",
            DatePart::Month => "extract(month from ",
            DatePart::Day => "extract(day from ",
            DatePart::Hour => "extract(hour from ",
            DatePart::Minute => "extract(minute from ",
            DatePart::Second => "extract(second from ",
        });
        // A date has no hour until it is a timestamp.
        let is_time = from.value_type() == Some(Type::Time);
        self.around("", from, if is_time { ")" } else { "::timestamp)" });
        if part == DatePart::Second {
            self.sql("::float8");
        }
    }

    pub(super) fn cast(&mut self, value: &Expr, target: CastTarget) {
        let from = value.value_type();
        let is_double = from == Some(Type::Double);
        match target {
            CastTarget::Integer if from == Some(Type::Boolean) => self.around("", value, "::int"),
            CastTarget::SmallInteger => self.guarded_number(TO_SMALL_INTEGER, value),
            CastTarget::Integer => self.guarded_number(TO_INTEGER, value),
            CastTarget::BigInteger if is_double => {
                self.guarded_number(DOUBLE_TO_BIG_INTEGER, value);
            }
            CastTarget::BigInteger => self.guarded_number(TO_BIG_INTEGER, value),
            CastTarget::Single => self.guarded_number(TO_SINGLE, value),
            CastTarget::Double => {
                self.number(value);
                self.sql("::float8");
            }
            CastTarget::Date => self.around("", value, "::date"),
            CastTarget::Timestamp => self.around("", value, "::timestamptz"),
            CastTarget::Text { length: None } => self.text(value),
            CastTarget::Text { length: Some(length) } => {
                self.sql("left(");
                self.text(value);
                self.out.sql(", ").bind(length).sql("::int)");
            }
            CastTarget::Guid => {
                self.guard(TO_GUID);
                self.around("btrim(", value, "::text, ' {}') as a");
                self.sql(END_GUARD);
            }
        }
    }

    fn guarded_number(&mut self, rule: &'static str, value: &Expr) {
        self.guard(rule);
        self.number(value);
        self.sql(" as a");
        self.sql(END_GUARD);
    }

    /// Writes a number, or the number that a text holds.
    fn number(&mut self, value: &Expr) {
        match value.value_type() {
            Some(Type::Text) => self.guarded(TO_NUMBER, slice::from_ref(value), "::text"),
            Some(Type::Boolean) => self.around("", value, "::int::numeric"),
            Some(Type::Double) => self.around("", value, "::float8"),
            _ => self.around("", value, "::numeric"),
        }
    }

    /// Writes a value as text, as the API would show it.
    fn text(&mut self, value: &Expr) {
        match value.value_type() {
            Some(Type::Boolean) => self.around("", value, "::int::text"),
            Some(Type::Guid) => self.around("('{' || upper(", value, "::text) || '}')"),
            Some(Type::Timestamp) => {
                self.around("to_char(", value, "::timestamp, 'YYYY-MM-DD HH24:MI:SS')");
            }
            Some(Type::Date) => self.around("to_char(", value, "::timestamp, 'YYYY-MM-DD')"),
            _ => self.around("", value, "::text"),
        }
    }
}

const FINITE_COS: &str = "abs(arg.a) < 'infinity' then cos(arg.a)";
const FINITE_SIN: &str = "abs(arg.a) < 'infinity' then sin(arg.a)";
const FINITE_TAN: &str = "abs(arg.a) < 'infinity' then tan(arg.a)";

/// Leaves out what is undefined or beyond the range of a double, whose logarithm is about 709.
const POWER: &str = "arg.b = 0 then 1 \
    when arg.a = 0 then case when arg.b > 0 then 0 end \
    when abs(arg.b) between 1e-100 and 1e9 and abs(arg.a) < 'infinity' then \
    case when arg.b * ln(abs(arg.a)) between -700 and 700 and (arg.a > 0 or arg.b = trunc(arg.b)) \
    then power(arg.a, arg.b) end";

const TO_NUMBER: &str =
    r"arg.a ~* '^ *[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})(e[+-]?[0-9]{1,2})? *$' then arg.a::numeric";
const TO_SMALL_INTEGER: &str = "round(arg.a) between -32768 and 32767 then round(arg.a)::bigint";
const TO_INTEGER: &str = "round(arg.a) between -2147483648 and 2147483647 then round(arg.a)::bigint";
const TO_BIG_INTEGER: &str = "round(arg.a) between -9223372036854775808 and 9223372036854775807 \
    then round(arg.a)::bigint";
/// The upper bound is the largest double below 2⁶³; the bound of integers would be rounded up to it.
const DOUBLE_TO_BIG_INTEGER: &str = "round(arg.a) between -9223372036854775808 and 9223372036854774784 \
    then round(arg.a)::bigint";
const TO_SINGLE: &str = "arg.a = 0 or abs(arg.a) between 1.2e-38 and 3.4e38 then arg.a::real";
const TO_GUID: &str = "arg.a ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then arg.a::uuid";
