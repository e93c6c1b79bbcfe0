//! The functions of the language: their names, what they take and what they give.

use super::lex::shorten;
use super::literal::read_as;
use super::typing::{Term, Typing, all_null, number_type};
use super::{CastTarget, DatePart, Expr, Function, Literal, MAX_ARGUMENTS, ParseError, Problem, Type};

/// What a function takes and gives.
#[derive(Clone, Copy)]
enum Signature {
    /// Numbers; gives an integer if all of them are.
    Numbers,
    /// A number, and maybe an integer that says how many decimals to keep.
    Rounding,
    /// Numbers; gives a double.
    Real,
    /// Texts; gives a text.
    Texts,
    /// A text; gives an integer.
    Length,
    /// Values of one type; gives one of them.
    Alike,
}

/// The functions that are written `NAME(a, b)`, with the least and the most arguments they take.
const FUNCTIONS: [(&str, Function, Signature, usize, usize); 22] = [
    ("ABS", Function::Abs, Signature::Numbers, 1, 1),
    ("CEILING", Function::Ceiling, Signature::Numbers, 1, 1),
    ("FLOOR", Function::Floor, Signature::Numbers, 1, 1),
    ("ROUND", Function::Round, Signature::Rounding, 1, 2),
    ("TRUNCATE", Function::Truncate, Signature::Rounding, 1, 2),
    ("MOD", Function::Mod, Signature::Numbers, 2, 2),
    ("POWER", Function::Power, Signature::Real, 2, 2),
    ("LN", Function::Ln, Signature::Real, 1, 1),
    ("LOG", Function::Ln, Signature::Real, 1, 1),
    ("LOG10", Function::Log10, Signature::Real, 1, 1),
    ("COS", Function::Cos, Signature::Real, 1, 1),
    ("SIN", Function::Sin, Signature::Real, 1, 1),
    ("TAN", Function::Tan, Signature::Real, 1, 1),
    ("ACOS", Function::Acos, Signature::Real, 1, 1),
    ("ASIN", Function::Asin, Signature::Real, 1, 1),
    ("ATAN", Function::Atan, Signature::Real, 1, 1),
    ("NULLIF", Function::Nullif, Signature::Alike, 2, 2),
    ("COALESCE", Function::Coalesce, Signature::Alike, 1, MAX_ARGUMENTS),
    ("CHAR_LENGTH", Function::CharLength, Signature::Length, 1, 1),
    ("CONCAT", Function::Concat, Signature::Texts, 2, MAX_ARGUMENTS),
    ("LOWER", Function::Lower, Signature::Texts, 1, 1),
    ("UPPER", Function::Upper, Signature::Texts, 1, 1),
];

/// The functions whose arguments are separated by words.
const SPECIAL: [&str; 5] = ["CAST", "EXTRACT", "POSITION", "SUBSTRING", "TRIM"];

/// Says whether there is a function of this name, in capitals, that is written `NAME(a, b)`.
pub(super) fn exists(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, ..)| *known == name)
}

/// Says that there is no such function, and which there are.
pub(super) fn unknown(name: &str, column: usize) -> ParseError {
    let names: Vec<&str> = FUNCTIONS.iter().map(|(name, ..)| *name).chain(SPECIAL.iter().copied()).collect();
    let what = format!("unknown function '{}'", shorten(name));
    ParseError::new(column, what, format!("the functions are: {}", names.join(", "))).of(Problem::Unsupported)
}

impl Typing<'_> {
    /// Builds a call of a function that is written `NAME(a, b)`; `name` is in capitals.
    pub(super) fn call(self, name: &str, arguments: Vec<Term>, column: usize) -> Result<Expr, ParseError> {
        let Some((_, function, signature, least, most)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
            return Err(unknown(name, column));
        };
        if !(*least..=*most).contains(&arguments.len()) {
            let takes = if least == most { least.to_string() } else { format!("{least} to {most}") };
            let what = format!("{name} with {} arguments", arguments.len());
            return Err(ParseError::new(column, what, format!("it takes {takes}")));
        }
        let (arguments, value_type) = self.arguments(*signature, name, arguments, column)?;
        Ok(Expr::Call { function: *function, arguments, value_type })
    }

    fn arguments(
        self,
        signature: Signature,
        name: &str,
        arguments: Vec<Term>,
        column: usize,
    ) -> Result<(Vec<Expr>, Type), ParseError> {
        let arguments = arguments.into_iter();
        Ok(match signature {
            Signature::Numbers | Signature::Real => {
                let numbers: Vec<Expr> = arguments.map(|term| self.number(term, name)).collect::<Result<_, _>>()?;
                let value_type = match signature {
                    Signature::Real => Type::Double,
                    _ => number_type(&numbers),
                };
                (numbers, value_type)
            }
            Signature::Rounding => {
                let numbers: Vec<Expr> = arguments
                    .enumerate()
                    .map(|(i, term)| match i {
                        0 => self.number(term, name),
                        _ => self.integer(term, name),
                    })
                    .collect::<Result<_, _>>()?;
                let value_type = number_type(numbers.first());
                (numbers, value_type)
            }
            Signature::Texts | Signature::Length => {
                let texts = arguments.map(|term| self.text(term, name)).collect::<Result<_, _>>()?;
                let length = matches!(signature, Signature::Length);
                (texts, if length { Type::Integer } else { Type::Text })
            }
            Signature::Alike => {
                let (values, value_type) = self.unify(arguments.collect())?;
                (values, value_type.ok_or_else(|| all_null(name, column))?)
            }
        })
    }

    pub(super) fn position(self, wanted: Term, text: Term) -> Result<Expr, ParseError> {
        let arguments = vec![self.text(wanted, "POSITION")?, self.text(text, "POSITION")?];
        Ok(Expr::Call { function: Function::Position, arguments, value_type: Type::Integer })
    }

    pub(super) fn substring(self, text: Term, start: Term, length: Option<Term>) -> Result<Expr, ParseError> {
        let mut arguments = vec![self.text(text, "SUBSTRING")?, self.integer(start, "SUBSTRING")?];
        if let Some(length) = length {
            arguments.push(self.integer(length, "SUBSTRING")?);
        }
        Ok(Expr::Call { function: Function::Substring, arguments, value_type: Type::Text })
    }

    /// Builds `TRIM`; without `characters`, blanks are removed.
    pub(super) fn trim(self, function: Function, characters: Option<Term>, text: Term) -> Result<Expr, ParseError> {
        let text = self.text(text, "TRIM")?;
        let characters = match characters {
            Some(characters) => self.text(characters, "TRIM")?,
            None => Expr::Literal(Literal::Text(" ".to_owned())),
        };
        Ok(Expr::Call { function, arguments: vec![text, characters], value_type: Type::Text })
    }

    pub(super) fn extract(self, part: DatePart, from: Term) -> Result<Expr, ParseError> {
        let column = from.column;
        let from = match from.expr {
            Expr::Literal(Literal::Text(text)) => Expr::Literal(read_as(&text, Type::Timestamp, column)?),
            expr => expr,
        };
        let clock = matches!(part, DatePart::Hour | DatePart::Minute | DatePart::Second);
        match from.value_type() {
            None | Some(Type::Date | Type::Timestamp) => {}
            Some(Type::Time) if clock => {}
            Some(_) => {
                let what = format!("type mismatch: {} has no such part", self.describe(&from));
                let hint = "EXTRACT takes YEAR, MONTH or DAY of a date, HOUR, MINUTE or SECOND also of a time";
                return Err(ParseError::new(column, what, hint));
            }
        }
        Ok(Expr::Extract { part, from: Box::new(from) })
    }

    pub(super) fn cast(self, value: Term, target: CastTarget) -> Result<Expr, ParseError> {
        let wanted = target.value_type();
        let dated = matches!(wanted, Type::Date | Type::Timestamp);
        let column = value.column;
        let value = match value.expr {
            Expr::Literal(Literal::Text(text)) if dated => Expr::Literal(read_as(&text, wanted, column)?),
            expr => expr,
        };
        let possible = match (value.value_type(), wanted) {
            (None, _) | (_, Type::Text) => true,
            (Some(from), Type::Integer | Type::Double) => {
                matches!(from, Type::Integer | Type::Double | Type::Boolean | Type::Text)
            }
            (Some(from), _) => dated && matches!(from, Type::Date | Type::Timestamp),
        };
        if !possible {
            let what = format!("type mismatch: {} cannot be cast to {wanted}", self.describe(&value));
            let hint =
                "numbers, and text that holds numbers, become numbers; dates become dates; everything becomes VARCHAR";
            return Err(ParseError::new(column, what, hint));
        }
        Ok(Expr::Cast { value: Box::new(value), target })
    }
}
