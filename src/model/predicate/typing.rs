//! Types: what may meet what, and what a literal becomes when it does.

use super::lex::shorten;
use super::literal::{DAY, read_as};
use super::{
    CastTarget, Comparison, Expr, Interval, List, Literal, MAX_ARGUMENTS, MAX_SHIFT_DAYS, Operator, ParseError,
    Problem, Type,
};
use crate::model::{layer::Field, value::FieldType};

/// An expression and the column at which it starts.
#[derive(Debug)]
pub(super) struct Term {
    pub(super) expr: Expr,
    pub(super) column: usize,
}

impl Term {
    fn value_type(&self) -> Option<Type> {
        self.expr.value_type()
    }

    fn is_text_literal(&self) -> bool {
        matches!(self.expr, Expr::Literal(Literal::Text(_)))
    }
}

/// Builds typed nodes out of typed terms, or says why it cannot.
#[derive(Clone, Copy)]
pub(super) struct Typing<'a> {
    /// For messages.
    pub(super) fields: &'a [Field],
}

impl Typing<'_> {
    /// Makes sure that a term is a condition.
    pub(super) fn condition(self, term: Term) -> Result<Expr, ParseError> {
        if term.value_type() == Some(Type::Boolean) {
            return Ok(term.expr);
        }
        let what = format!("{} is not a condition", self.describe(&term.expr));
        Err(ParseError::new(term.column, what, "compare it with something, as in status = 'Open'").of(Problem::Meaning))
    }

    /// Makes sure that a term is a text, as `user` needs it.
    pub(super) fn text(self, term: Term, user: &str) -> Result<Expr, ParseError> {
        match term.value_type() {
            None | Some(Type::Text) => Ok(term.expr),
            Some(_) => {
                let hint = "make text of it with CAST(… AS VARCHAR(40))";
                Err(self.unsuitable(&term, user, "text", hint))
            }
        }
    }

    /// Makes a number of a term, as `user` needs it.
    pub(super) fn number(self, term: Term, user: &str) -> Result<Expr, ParseError> {
        match term.value_type() {
            Some(Type::Text) if term.is_text_literal() => self.coerce(term, Type::Double),
            Some(Type::Boolean) => self.coerce(term, Type::Integer),
            None | Some(Type::Integer | Type::Double) => Ok(term.expr),
            Some(Type::Text) => {
                let hint = "make a number of it with CAST(… AS INTEGER)";
                Err(self.unsuitable(&term, user, "a number", hint))
            }
            Some(_) => Err(self.unsuitable(&term, user, "a number", "use a number there")),
        }
    }

    pub(super) fn integer(self, term: Term, user: &str) -> Result<Expr, ParseError> {
        let column = term.column;
        let expr = self.number(term, user)?;
        if expr.value_type() == Some(Type::Double) {
            let hint = "make an integer of it with CAST(… AS INTEGER)";
            return Err(self.unsuitable(&Term { expr, column }, user, "an integer", hint));
        }
        Ok(expr)
    }

    fn unsuitable(self, term: &Term, user: &str, wanted: &str, hint: &str) -> ParseError {
        let what = format!("type mismatch: {user} needs {wanted}, not {}", self.describe(&term.expr));
        ParseError::new(term.column, what, hint).of(Problem::Meaning)
    }

    /// Brings values that are compared, listed or chosen among to one type, and returns it; none if all are null.
    pub(super) fn unify(self, terms: Vec<Term>) -> Result<(Vec<Expr>, Option<Type>), ParseError> {
        let mut common: Option<(Type, &Term)> = None;
        for term in terms.iter().filter(|term| !term.is_text_literal()) {
            let Some(here) = term.value_type() else {
                continue;
            };
            common = Some(match common {
                None => (here, term),
                Some((so_far, witness)) => match join(so_far, here) {
                    Some(joined) if joined == so_far => (so_far, witness),
                    Some(joined) => (joined, term),
                    None => return Err(self.mismatch(term, &witness.expr)),
                },
            });
        }
        let text = || terms.iter().any(Term::is_text_literal).then_some(Type::Text);
        let mut common = common.map(|(found, _)| found).or_else(text);
        if common == Some(Type::Integer) && are_flags(&terms) {
            common = Some(Type::Boolean);
        }
        let Some(target) = common else {
            return Ok((terms.into_iter().map(|term| term.expr).collect(), None));
        };
        let mut exprs: Vec<Expr> = terms.into_iter().map(|term| self.coerce(term, target)).collect::<Result<_, _>>()?;
        if exprs.iter().any(is_single) {
            round_to_single(&mut exprs);
        }
        Ok((exprs, Some(target)))
    }

    /// Makes sure that a term is something that what has a type can be set to.
    pub(super) fn assign(self, term: Term, target: Type) -> Result<Expr, ParseError> {
        self.coerce(term, target)
    }

    /// Converts a term whose type differs from `target` if that loses nothing.
    fn coerce(self, term: Term, target: Type) -> Result<Expr, ParseError> {
        let from = term.value_type();
        Ok(match (term.expr, target) {
            (Expr::Literal(Literal::Text(text)), target) if target != Type::Text => {
                Expr::Literal(read_as(&text, target, term.column)?)
            }
            (Expr::Literal(Literal::Boolean(value)), Type::Integer | Type::Double) => {
                Expr::Literal(Literal::Integer(i64::from(value)))
            }
            (Expr::Literal(Literal::Integer(value @ (0 | 1))), Type::Boolean) => {
                Expr::Literal(Literal::Boolean(value == 1))
            }
            (Expr::Literal(Literal::Date(days)), Type::Timestamp) => Expr::Literal(Literal::Timestamp(days * DAY)),
            (expr, Type::Integer | Type::Double) if from == Some(Type::Boolean) => {
                Expr::Cast { value: Box::new(expr), target: CastTarget::Integer }
            }
            (expr, Type::Guid) if from == Some(Type::Text) => {
                Expr::Cast { value: Box::new(expr), target: CastTarget::Guid }
            }
            (expr, _) if from.is_none_or(|from| join(from, target) == Some(target)) => expr,
            (expr, _) => {
                let what = format!("type mismatch: {} is not {target}", self.describe(&expr));
                return Err(ParseError::new(term.column, what, "use CAST to convert it").of(Problem::Meaning));
            }
        })
    }

    pub(super) fn compare(self, comparison: Comparison, left: Term, right: Term) -> Result<Expr, ParseError> {
        let (exprs, _) = self.unify(vec![left, right])?;
        let [left, right] = take(exprs);
        if let (Expr::Literal(Literal::Integer(a)), Expr::Literal(Literal::Integer(b))) = (&left, &right) {
            return Ok(Expr::Literal(Literal::Boolean(holds(comparison, *a, *b))));
        }
        Ok(Expr::Compare { comparison, left: Box::new(left), right: Box::new(right) })
    }

    pub(super) fn between(self, value: Term, low: Term, high: Term) -> Result<Expr, ParseError> {
        let (exprs, _) = self.unify(vec![value, low, high])?;
        let [value, low, high] = take(exprs).map(Box::new);
        Ok(Expr::Between { value, low, high })
    }

    pub(super) fn is_in(self, value: Term, list: Vec<Term>) -> Result<Expr, ParseError> {
        let column = value.column;
        let is_literal = |term: &Term| matches!(term.expr, Expr::Literal(_));
        if list.len() > MAX_ARGUMENTS && !list.iter().all(is_literal) {
            let what = format!("a list of {} values with a field or an expression in it", list.len());
            return Err(ParseError::new(column, what, format!("the most is {MAX_ARGUMENTS}")).of(Problem::Meaning));
        }
        let value = match value.value_type() {
            Some(Type::Boolean) => Term { expr: self.coerce(value, Type::Integer)?, column },
            _ => value,
        };
        let mut terms = vec![value];
        terms.extend(list);
        let (mut exprs, common) = self.unify(terms)?;
        let value = Box::new(exprs.remove(0));
        let null = Expr::Literal(Literal::Null);
        let or_null = exprs.contains(&null);
        let values = || exprs.iter().filter(|expr| **expr != null);
        Ok(match common.and_then(|common| literals(values(), common)) {
            Some(list) => Expr::InList { value, list, or_null },
            None => Expr::In { value, list: exprs },
        })
    }

    /// Builds `LIKE`; `escape` is the text after `ESCAPE` and its column.
    pub(super) fn like(self, value: Term, pattern: Term, escape: Option<(String, usize)>) -> Result<Expr, ParseError> {
        let value = Box::new(self.text(value, "LIKE")?);
        let pattern = Box::new(self.text(pattern, "LIKE")?);
        let Some((escape, column)) = escape else {
            return Ok(Expr::Like { value, pattern, escape: None });
        };
        let mut characters = escape.chars();
        let (Some(escape), None) = (characters.next(), characters.next()) else {
            let what = format!("the escape '{}' is not one character", shorten(&escape));
            return Err(ParseError::new(column, what, "write one, as in LIKE '50!%' ESCAPE '!'").of(Problem::Meaning));
        };
        let Expr::Literal(Literal::Text(text)) = pattern.as_ref() else {
            let what = "ESCAPE with a pattern that is not a literal";
            return Err(ParseError::new(column, what, "write the pattern in quotes").of(Problem::Meaning));
        };
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            if character == escape && characters.next().is_none() {
                let what = "a pattern that ends with its escape character";
                return Err(ParseError::new(column, what, "double the character to match it").of(Problem::Meaning));
            }
        }
        Ok(Expr::Like { value, pattern, escape: Some(escape) })
    }

    /// Builds `CASE`. Without an operand, `tests` are conditions; with one, they are values that it is compared with.
    pub(super) fn case(
        self,
        operand: Option<Term>,
        tests: Vec<Term>,
        mut results: Vec<Term>,
        otherwise: Option<Term>,
        column: usize,
    ) -> Result<Expr, ParseError> {
        let (operand, tests) = match operand {
            None => (None, tests.into_iter().map(|test| self.condition(test)).collect::<Result<Vec<_>, _>>()?),
            Some(operand) => {
                let (mut exprs, common) = self.unify(std::iter::once(operand).chain(tests).collect())?;
                if common.is_none() {
                    return Err(all_null("CASE", column));
                }
                let operand = exprs.remove(0);
                (Some(Box::new(operand)), exprs)
            }
        };
        let has_otherwise = otherwise.is_some();
        results.extend(otherwise);
        let (mut exprs, value_type) = self.unify(results)?;
        let Some(value_type) = value_type else {
            return Err(all_null("CASE", column));
        };
        let otherwise = if has_otherwise { exprs.pop().map(Box::new) } else { None };
        let branches = tests.into_iter().zip(exprs).collect();
        Ok(Expr::Case { operand, branches, otherwise, value_type })
    }

    /// Builds `left operator right`; a date on the left of `+` or `-` is moved by as many days.
    pub(super) fn binary(self, operator: Operator, left: Term, right: Term) -> Result<Expr, ParseError> {
        let additive = matches!(operator, Operator::Add | Operator::Subtract);
        if let (true, Some(from @ (Type::Date | Type::Timestamp))) = (additive, left.value_type()) {
            return self.shift_days(operator, left, right, from);
        }
        let user = match operator {
            Operator::Concat => {
                let left = Box::new(self.text(left, "'||'")?);
                let right = Box::new(self.text(right, "'||'")?);
                return Ok(Expr::Binary { operator, left, right, value_type: Type::Text });
            }
            Operator::Add => "'+'",
            Operator::Subtract => "'-'",
            Operator::Multiply => "'*'",
            Operator::Divide => "'/'",
        };
        let left = Box::new(self.number(left, user)?);
        let right = Box::new(self.number(right, user)?);
        let value_type = number_type([left.as_ref(), right.as_ref()]);
        Ok(Expr::Binary { operator, left, right, value_type })
    }

    fn shift_days(self, operator: Operator, date: Term, days: Term, from: Type) -> Result<Expr, ParseError> {
        let column = days.column;
        if matches!(days.value_type(), Some(Type::Date | Type::Timestamp)) {
            let what = format!("{} cannot be added to or taken from a date", self.describe(&days.expr));
            return Err(
                ParseError::new(column, what, "compare them, as in due < CURRENT_DATE - 30").of(Problem::Meaning)
            );
        }
        let days = self.number(days, "a date's '+' or '-'")?;
        let value_type = match (from, number_type([&days])) {
            (Type::Date, Type::Integer) => Type::Date,
            _ => Type::Timestamp,
        };
        let days = if operator == Operator::Subtract { negate(days) } else { days };
        let too_far = match days {
            Expr::Literal(Literal::Integer(days)) => days.unsigned_abs() > MAX_SHIFT_DAYS.unsigned_abs(),
            Expr::Literal(Literal::Double(days)) => days.abs() > MAX_SHIFT_DAYS as f64,
            _ => false,
        };
        if too_far {
            let hint = format!("the most is {MAX_SHIFT_DAYS} days");
            return Err(ParseError::new(column, "too many days", hint).of(Problem::Meaning));
        }
        Ok(Expr::ShiftDays { value: Box::new(date.expr), days: Box::new(days), value_type })
    }

    /// Builds a date plus an interval.
    pub(super) fn shift(self, date: Term, by: Interval) -> Result<Expr, ParseError> {
        let date = if date.is_text_literal() {
            Term { column: date.column, expr: self.coerce(date, Type::Timestamp)? }
        } else {
            date
        };
        let value_type = match date.value_type() {
            Some(Type::Date | Type::Timestamp) => Type::Timestamp,
            Some(Type::Time) if by.months == 0 => Type::Time,
            _ => {
                let hint = "as in CURRENT_TIMESTAMP - INTERVAL '1' DAY";
                return Err(self.unsuitable(&date, "INTERVAL", "a date before it", hint));
            }
        };
        Ok(Expr::Shift { value: Box::new(date.expr), by, value_type })
    }

    fn mismatch(self, term: &Term, other: &Expr) -> ParseError {
        let what =
            format!("type mismatch: {} and {} do not go together", self.describe(other), self.describe(&term.expr));
        let types = [other.value_type(), term.expr.value_type()];
        let has = |wanted: &[Type]| types.iter().flatten().any(|found| wanted.contains(found));
        let hint = if has(&[Type::Timestamp, Type::Date]) {
            "write a date as TIMESTAMP '2024-01-31 10:00:00' or DATE '2024-01-31'"
        } else if has(&[Type::Text]) && has(&[Type::Integer, Type::Double]) {
            "put what is compared with text in single quotes, or use CAST"
        } else {
            "use CAST to make them alike"
        };
        ParseError::new(term.column, what, hint).of(Problem::Meaning)
    }

    /// Says for people what an expression is.
    pub(super) fn describe(self, expr: &Expr) -> String {
        match expr {
            Expr::Literal(Literal::Integer(value)) => format!("the number {value}"),
            Expr::Literal(Literal::Double(value)) => format!("the number {value}"),
            Expr::Literal(Literal::Text(value)) => format!("the text '{}'", shorten(value)),
            Expr::Field { index, .. } => match (self.fields.get(*index), expr.value_type()) {
                (Some(field), Some(value_type)) => format!("field '{}' ({value_type})", field.name),
                _ => "a field".to_owned(),
            },
            Expr::Now(_) => "the current date or time".to_owned(),
            _ => match expr.value_type() {
                Some(value_type) => format!("an expression ({value_type})"),
                None => "NULL".to_owned(),
            },
        }
    }
}

/// The type in which values of two types meet, if they can.
fn join(a: Type, b: Type) -> Option<Type> {
    match (a, b) {
        _ if a == b => Some(a),
        (Type::Integer, Type::Double) | (Type::Double, Type::Integer) => Some(Type::Double),
        (Type::Date, Type::Timestamp) | (Type::Timestamp, Type::Date) => Some(Type::Timestamp),
        (Type::Boolean, number @ (Type::Integer | Type::Double))
        | (number @ (Type::Integer | Type::Double), Type::Boolean) => Some(number),
        (Type::Guid, Type::Text) | (Type::Text, Type::Guid) => Some(Type::Guid),
        _ => None,
    }
}

/// The type of what arithmetic makes of numbers and nulls.
pub(super) fn number_type<'a>(numbers: impl IntoIterator<Item = &'a Expr>) -> Type {
    let double = numbers.into_iter().any(|number| number.value_type() == Some(Type::Double));
    if double { Type::Double } else { Type::Integer }
}

/// Whether something that is true or false meets nothing but the literals 0 and 1.
fn are_flags(terms: &[Term]) -> bool {
    let literal = |expr: &Expr| matches!(expr, Expr::Literal(_));
    let flag = |expr: &Expr| matches!(expr, Expr::Literal(Literal::Integer(0 | 1)));
    let of_type = |wanted| terms.iter().filter(move |term| term.value_type() == Some(wanted));
    of_type(Type::Boolean).any(|term| !literal(&term.expr)) && of_type(Type::Integer).all(|term| flag(&term.expr))
}

fn is_single(expr: &Expr) -> bool {
    matches!(expr, Expr::Field { field_type: FieldType::Single, .. } | Expr::Cast { target: CastTarget::Single, .. })
}

/// Rounds literals as the values of a Single are rounded, so that a stored 12.3 equals 12.3. Does so only if
/// Singles and literals are all there is, and each literal has a counterpart.
fn round_to_single(exprs: &mut [Expr]) {
    let rounded: Option<Vec<Expr>> = exprs
        .iter()
        .map(|expr| match expr {
            Expr::Literal(Literal::Double(value)) => {
                // Through the decimal text: the nearest Single to what was written.
                let single: f32 = value.to_string().parse().ok()?;
                let exists = single.is_finite() && (single != 0.0 || *value == 0.0);
                exists.then_some(Expr::Literal(Literal::Single(single)))
            }
            Expr::Literal(Literal::Integer(value)) => {
                let single = f32::from(i16::try_from(*value).ok()?);
                Some(Expr::Literal(Literal::Single(single)))
            }
            Expr::Literal(Literal::Null) => Some(expr.clone()),
            _ if is_single(expr) => Some(expr.clone()),
            _ => None,
        })
        .collect();
    if let Some(rounded) = rounded {
        exprs.clone_from_slice(&rounded);
    }
}

/// Turns a number's sign.
pub(super) fn negate(number: Expr) -> Expr {
    match number {
        // The lexer makes no integer below zero, and text none without a counterpart but the least.
        Expr::Literal(Literal::Integer(value)) if value != i64::MIN => Expr::Literal(Literal::Integer(-value)),
        Expr::Literal(Literal::Double(value)) => Expr::Literal(Literal::Double(-value)),
        number => Expr::Binary {
            operator: Operator::Subtract,
            value_type: number_type([&number]),
            left: Box::new(Expr::Literal(Literal::Integer(0))),
            right: Box::new(number),
        },
    }
}

fn holds(comparison: Comparison, left: i64, right: i64) -> bool {
    match comparison {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left >= right,
    }
}

/// Gathers literals of one type, if that is what they are.
fn literals<'a>(exprs: impl Iterator<Item = &'a Expr> + Clone, common: Type) -> Option<List> {
    exprs.clone().next()?;
    let literal = |expr: &'a Expr| match expr {
        Expr::Literal(literal) => Some(literal),
        _ => None,
    };
    let literals = &exprs.map(literal).collect::<Option<Vec<_>>>()?;
    match common {
        Type::Integer => gather(literals, |l| match l {
            Literal::Integer(value) => Some(*value),
            _ => None,
        })
        .map(List::Integer),
        Type::Double => gather(literals, |l| match l {
            Literal::Single(value) => Some(*value),
            _ => None,
        })
        .map(List::Single)
        .or_else(|| {
            gather(literals, |l| match l {
                Literal::Double(value) => Some(*value),
                Literal::Integer(value) => Some(*value as f64),
                _ => None,
            })
            .map(List::Double)
        }),
        Type::Text => gather(literals, |l| match l {
            Literal::Text(value) => Some(value.clone()),
            _ => None,
        })
        .map(List::Text),
        Type::Guid => gather(literals, |l| match l {
            Literal::Guid(value) => Some(*value),
            _ => None,
        })
        .map(List::Guid),
        Type::Timestamp => gather(literals, |l| match l {
            Literal::Timestamp(value) => Some(*value),
            _ => None,
        })
        .map(List::Timestamp),
        Type::Date => gather(literals, |l| match l {
            Literal::Date(value) => Some(*value),
            _ => None,
        })
        .map(List::Date),
        Type::Time => gather(literals, |l| match l {
            Literal::Time(value) => Some(*value),
            _ => None,
        })
        .map(List::Time),
        Type::Boolean => None,
    }
}

fn gather<T>(literals: &[&Literal], pick: fn(&Literal) -> Option<T>) -> Option<Vec<T>> {
    literals.iter().map(|literal| pick(literal)).collect()
}

pub(super) fn all_null(user: &str, column: usize) -> ParseError {
    let what = format!("{user} of nothing but NULL");
    ParseError::new(column, what, "give it at least one value that is not NULL").of(Problem::Meaning)
}

/// Splits what [`Typing::unify`] returned for a fixed number of terms, which is as many as it was given.
fn take<const N: usize>(exprs: Vec<Expr>) -> [Expr; N] {
    let mut exprs = exprs.into_iter();
    std::array::from_fn(|_| exprs.next().unwrap_or(Expr::Literal(Literal::Null)))
}
