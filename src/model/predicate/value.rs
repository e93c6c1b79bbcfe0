//! Tokens → values: the levels of precedence from `+` down, functions and fields.

use super::function;
use super::lex::{Token, shorten};
use super::literal::{self, read_as};
use super::parse::{GEOMETRY, Parser, Result};
use super::typing::{Term, negate};
use super::{
    CastTarget, DatePart, Expr, Function, Interval, Literal, MAX_ARGUMENTS, MAX_DEPTH, MAX_OPERATORS, Now, Operator,
    ParseError, Problem, Type,
};
use crate::model::layer::Field;

/// Words that are never names unless they are quoted.
const RESERVED: [&str; 16] = [
    "AND", "OR", "NOT", "IN", "LIKE", "ESCAPE", "BETWEEN", "IS", "NULL", "CASE", "WHEN", "THEN", "ELSE", "END",
    "SELECT", "FROM",
];

/// Values.
impl Parser<'_> {
    pub(super) fn sum(&mut self) -> Result<Term> {
        let mut left = self.product()?;
        loop {
            let operator = match self.tokens.peek() {
                Token::Symbol("+") => Operator::Add,
                Token::Symbol("-") => Operator::Subtract,
                Token::Symbol("||") => Operator::Concat,
                _ => return Ok(left),
            };
            self.operator()?;
            let column = left.column;
            let expr = if operator != Operator::Concat && self.is_interval() {
                let by = self.interval(operator == Operator::Subtract)?;
                self.typing.shift(left, by)?
            } else {
                let right = self.product()?;
                self.typing.binary(operator, left, right)?
            };
            left = Term { expr, column };
        }
    }

    fn product(&mut self) -> Result<Term> {
        let mut left = self.signed()?;
        loop {
            let operator = match self.tokens.peek() {
                Token::Symbol("*") => Operator::Multiply,
                Token::Symbol("/") => Operator::Divide,
                _ => return Ok(left),
            };
            self.operator()?;
            let right = self.signed()?;
            let column = left.column;
            left = Term { expr: self.typing.binary(operator, left, right)?, column };
        }
    }

    /// Steps over an arithmetic operator. They are counted because each deepens the tree by one.
    fn operator(&mut self) -> Result<()> {
        self.n_operators += 1;
        if self.n_operators > MAX_OPERATORS {
            let hint = format!("a clause has at most {MAX_OPERATORS}");
            return Err(ParseError::new(self.tokens.column(), "too many arithmetic operators", hint));
        }
        self.tokens.advance(1);
        Ok(())
    }

    fn signed(&mut self) -> Result<Term> {
        let column = self.tokens.column();
        let mut negative = None;
        while let Token::Symbol(sign @ ("+" | "-")) = self.tokens.peek() {
            negative = Some(negative.unwrap_or(false) != (*sign == "-"));
            self.tokens.advance(1);
        }
        let term = self.primary()?;
        let Some(negative) = negative else {
            return Ok(term);
        };
        let number = self.typing.number(term, "a sign")?;
        Ok(Term { expr: if negative { negate(number) } else { number }, column })
    }

    fn primary(&mut self) -> Result<Term> {
        let column = self.tokens.column();
        if self.depth > MAX_DEPTH {
            let hint = format!("the most is {MAX_DEPTH} levels of parentheses and functions");
            return Err(ParseError::new(column, "the clause is nested too deeply", hint));
        }
        self.depth += 1;
        let expr = self.primary_expr(column)?;
        self.depth -= 1;
        Ok(Term { expr, column })
    }

    fn primary_expr(&mut self, column: usize) -> Result<Expr> {
        match self.tokens.peek() {
            Token::Symbol("(") => {
                self.tokens.advance(1);
                let inner = self.disjunction()?;
                self.tokens.expect_symbol(")")?;
                Ok(inner.expr)
            }
            Token::Number(_) => self.number(column),
            Token::Text(text) => {
                let text = text.clone();
                self.tokens.advance(1);
                Ok(Expr::Literal(Literal::Text(text)))
            }
            Token::Quoted(_) => self.field(),
            Token::Word(word) => {
                let keyword = word.to_ascii_uppercase();
                self.word(&keyword, column)
            }
            Token::Symbol(_) | Token::End => Err(self.tokens.unexpected("a field, a value or '('")),
        }
    }

    fn number(&mut self, column: usize) -> Result<Expr> {
        let Token::Number(number) = self.tokens.peek() else {
            return Err(self.tokens.unexpected("a number"));
        };
        let number = literal::number(number).ok_or_else(|| {
            let what = format!("the number {} is too large", shorten(number));
            ParseError::new(column, what, "the largest is about 1.7e308")
        })?;
        self.tokens.advance(1);
        Ok(Expr::Literal(number))
    }

    /// Reads what starts with a word: a constant, a typed literal, `CASE`, a function or a field.
    fn word(&mut self, keyword: &str, column: usize) -> Result<Expr> {
        let before_text = matches!(self.tokens.peek_at(1), Token::Text(_));
        let constant = match keyword {
            "NULL" => Expr::Literal(Literal::Null),
            "TRUE" => Expr::Literal(Literal::Boolean(true)),
            "FALSE" => Expr::Literal(Literal::Boolean(false)),
            "CURRENT_DATE" => Expr::Now(Now::Date),
            "CURRENT_TIME" => Expr::Now(Now::Time),
            "CURRENT_TIMESTAMP" => Expr::Now(Now::Timestamp),
            "CURRENT_USER" => Expr::Literal(self.user.clone().map_or(Literal::Null, Literal::Text)),
            "CASE" => return self.case(column),
            "DATE" if before_text => return self.typed_literal(Type::Date),
            "TIME" if before_text => return self.typed_literal(Type::Time),
            "TIMESTAMP" if before_text => return self.typed_literal(Type::Timestamp),
            "INTERVAL" if before_text => {
                let hint = "write it after a date and + or -, as in CURRENT_DATE - INTERVAL '7' DAY";
                return Err(ParseError::new(column, "an interval on its own", hint));
            }
            _ if RESERVED.contains(&keyword) => {
                return Err(self.tokens.unexpected("a field, a value or '('"));
            }
            _ if self.tokens.is_symbol(1, "(") => return self.function(keyword, column),
            _ => return self.field(),
        };
        self.volatile |= matches!(constant, Expr::Now(_));
        self.tokens.advance(1);
        Ok(constant)
    }

    fn typed_literal(&mut self, wanted: Type) -> Result<Expr> {
        self.tokens.advance(1);
        let column = self.tokens.column();
        let text = self.tokens.expect_text("a text")?;
        Ok(Expr::Literal(read_as(&text, wanted, column)?))
    }

    fn is_interval(&self) -> bool {
        self.tokens.is_word(0, "INTERVAL") && matches!(self.tokens.peek_at(1), Token::Text(_))
    }

    fn interval(&mut self, negative: bool) -> Result<Interval> {
        const UNITS: &str = "YEAR, MONTH, DAY, HOUR, MINUTE or SECOND";
        self.tokens.advance(1);
        let column = self.tokens.column();
        let text = self.tokens.expect_text("a text")?;
        let first = self.date_part(UNITS)?;
        let last = if self.tokens.accept("TO") { self.date_part(UNITS)? } else { first };
        let Some(Interval { months, microseconds }) = literal::interval(&text, first, last) else {
            let what = format!("the interval '{}' does not fit its unit", shorten(&text));
            let hint = "write INTERVAL '7' DAY or INTERVAL '1 12:30' DAY TO MINUTE, of at most 4000 years";
            return Err(ParseError::new(column, what, hint));
        };
        let sign = if negative { -1 } else { 1 };
        Ok(Interval { months: sign * months, microseconds: sign * microseconds })
    }

    fn date_part(&mut self, wanted: &str) -> Result<DatePart> {
        let parts = [
            ("YEAR", DatePart::Year),
            ("MONTH", DatePart::Month),
            ("DAY", DatePart::Day),
            ("HOUR", DatePart::Hour),
            ("MINUTE", DatePart::Minute),
            ("SECOND", DatePart::Second),
        ];
        self.tokens.accept_one(&parts).ok_or_else(|| self.tokens.unexpected(wanted))
    }

    fn case(&mut self, column: usize) -> Result<Expr> {
        self.tokens.advance(1);
        let operand = if self.tokens.is_word(0, "WHEN") { None } else { Some(self.disjunction()?) };
        let (mut tests, mut results) = (Vec::new(), Vec::new());
        while self.tokens.accept("WHEN") {
            tests.push(self.disjunction()?);
            self.tokens.expect("THEN")?;
            results.push(self.disjunction()?);
        }
        if tests.is_empty() {
            let wanted = if operand.is_some() { "WHEN and a value" } else { "WHEN and a condition" };
            return Err(self.tokens.unexpected(wanted));
        }
        let otherwise = if self.tokens.accept("ELSE") { Some(self.disjunction()?) } else { None };
        self.tokens.expect("END")?;
        self.typing.case(operand, tests, results, otherwise, column)
    }
}

/// Functions and fields.
impl Parser<'_> {
    fn function(&mut self, name: &str, column: usize) -> Result<Expr> {
        self.tokens.advance(2);
        let expr = match name {
            "CAST" => self.cast()?,
            "EXTRACT" => {
                let part = self.date_part("YEAR, MONTH, DAY, HOUR, MINUTE or SECOND")?;
                self.tokens.expect("FROM")?;
                let from = self.sum()?;
                self.typing.extract(part, from)?
            }
            "POSITION" => {
                let wanted = self.sum()?;
                self.tokens.expect("IN")?;
                let text = self.sum()?;
                self.typing.position(wanted, text)?
            }
            "SUBSTRING" => self.substring()?,
            "TRIM" => self.trim()?,
            _ => {
                // Arguments are not worth reading if there is no such function.
                if !function::exists(name) {
                    return Err(function::unknown(name, column));
                }
                let arguments = self.arguments()?;
                self.typing.call(name, arguments, column)?
            }
        };
        self.tokens.expect_symbol(")")?;
        Ok(expr)
    }

    fn arguments(&mut self) -> Result<Vec<Term>> {
        let mut arguments = Vec::new();
        if self.tokens.is_symbol(0, ")") {
            return Ok(arguments);
        }
        loop {
            if arguments.len() == MAX_ARGUMENTS {
                let hint = format!("the most is {MAX_ARGUMENTS}");
                return Err(ParseError::new(self.tokens.column(), "too many arguments", hint));
            }
            arguments.push(self.disjunction()?);
            if !self.tokens.accept_symbol(",") {
                return Ok(arguments);
            }
        }
    }

    fn substring(&mut self) -> Result<Expr> {
        let text = self.sum()?;
        let words = self.tokens.accept("FROM");
        if !words && !self.tokens.accept_symbol(",") {
            return Err(self.tokens.unexpected("',' or FROM"));
        }
        let start = self.sum()?;
        let limited = if words { self.tokens.accept("FOR") } else { self.tokens.accept_symbol(",") };
        let length = if limited { Some(self.sum()?) } else { None };
        self.typing.substring(text, start, length)
    }

    fn trim(&mut self) -> Result<Expr> {
        let sides =
            [("BOTH", Function::Trim), ("LEADING", Function::TrimLeading), ("TRAILING", Function::TrimTrailing)];
        let side = self.tokens.accept_one(&sides);
        let function = side.unwrap_or(Function::Trim);
        if side.is_some() && self.tokens.accept("FROM") {
            let text = self.sum()?;
            return self.typing.trim(function, None, text);
        }
        let first = self.sum()?;
        if self.tokens.accept("FROM") {
            let text = self.sum()?;
            return self.typing.trim(function, Some(first), text);
        }
        if side.is_some() {
            return Err(self.tokens.unexpected("FROM"));
        }
        self.typing.trim(function, None, first)
    }

    fn cast(&mut self) -> Result<Expr> {
        let targets = [
            ("INT", CastTarget::Integer),
            ("INTEGER", CastTarget::Integer),
            ("SMALLINT", CastTarget::SmallInteger),
            ("BIGINT", CastTarget::BigInteger),
            ("FLOAT", CastTarget::Double),
            ("REAL", CastTarget::Single),
            ("DOUBLE", CastTarget::Double),
            ("DATE", CastTarget::Date),
            ("TIMESTAMP", CastTarget::Timestamp),
            ("VARCHAR", CastTarget::Text { length: None }),
        ];
        let value = self.disjunction()?;
        self.tokens.expect("AS")?;
        let double = self.tokens.is_word(0, "DOUBLE");
        let Some(mut target) = self.tokens.accept_one(&targets) else {
            let names: Vec<&str> = targets.iter().map(|(name, _)| *name).collect();
            return Err(self.tokens.unexpected(&format!("one of the types {}", names.join(", "))));
        };
        if double {
            self.tokens.accept("PRECISION");
        }
        if let (CastTarget::Text { length }, true) = (&mut target, self.tokens.accept_symbol("(")) {
            *length = Some(self.length()?);
            self.tokens.expect_symbol(")")?;
        }
        self.typing.cast(value, target)
    }

    fn length(&mut self) -> Result<i64> {
        let length = match self.tokens.peek() {
            Token::Number(number) => number.parse().ok().filter(|n| (1..=1_000_000).contains(n)),
            _ => None,
        };
        let length = length.ok_or_else(|| self.tokens.unexpected("a length from 1 to 1000000"))?;
        self.tokens.advance(1);
        Ok(length)
    }

    fn field(&mut self) -> Result<Expr> {
        let column = self.tokens.column();
        let name = self.path()?;
        let Some((index, field)) = self.find(&name) else {
            return Err(self.unknown_field(&name, column));
        };
        let field_type = field.field_type;
        self.read.insert(index);
        Ok(Expr::Field { index, field_type })
    }

    /// Reads a name, of which the last part counts: `database.owner.table.name`.
    pub(super) fn path(&mut self) -> Result<String> {
        loop {
            let (Token::Word(part) | Token::Quoted(part)) = self.tokens.peek() else {
                return Err(self.tokens.unexpected("the name of a field"));
            };
            let part = part.clone();
            self.tokens.advance(1);
            if !self.tokens.accept_symbol(".") {
                return Ok(part);
            }
        }
    }

    /// Finds a field by its exact name, or else in any case.
    pub(super) fn find(&self, name: &str) -> Option<(usize, &Field)> {
        // Those that nobody can name have none.
        let fields = || self.typing.fields.iter().enumerate().filter(|(_, field)| !field.name.is_empty());
        fields()
            .find(|(_, field)| field.name == name)
            .or_else(|| fields().find(|(_, field)| field.name.eq_ignore_ascii_case(name)))
    }

    fn unknown_field(&self, name: &str, column: usize) -> ParseError {
        const MOST: usize = 20;
        if name.eq_ignore_ascii_case(GEOMETRY) {
            let what = format!("the geometry '{}' is not a value", shorten(name));
            return ParseError::new(column, what, "test it with shape IS NULL or shape IS NOT NULL");
        }
        let fields: Vec<&str> =
            self.typing.fields.iter().map(|field| field.name.as_str()).filter(|name| !name.is_empty()).collect();
        let names: Vec<&str> = fields.iter().copied().take(MOST).collect();
        let more = if fields.len() > MOST { ", …" } else { "" };
        let what = format!("unknown field '{}'", shorten(name));
        ParseError::new(column, what, format!("the fields are: {}{more}", names.join(", "))).of(Problem::Field)
    }
}
