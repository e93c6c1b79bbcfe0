//! Tokens → tree, by recursive descent: one function for each level of precedence, loosest first.
//!
//! Only `primary` leads back to the top, so it alone counts the depth. Long chains of `AND`, `OR`, `NOT`,
//! signs and list values are loops.

use std::collections::BTreeSet;

use super::cursor::Cursor;
use super::lex::{Lexeme, Token, lex};
use super::typing::{Term, Typing};
use super::{
    Comparison, Expr, Expression, Literal, MAX_LIGHT_TOKENS, MAX_LIST_TEXT_BYTES, MAX_LIST_VALUES, MAX_TEXT_BYTES,
    MAX_TOKENS, ParseError, Predicate, Type,
};
use crate::model::layer::Field;

pub(super) type Result<T> = std::result::Result<T, ParseError>;

/// The name by which clauses call the geometry, whatever its column is called.
pub(super) const GEOMETRY: &str = "SHAPE";

pub(super) fn parse(text: &str, fields: &[Field]) -> Result<Predicate> {
    condition(tokens(text)?, fields)
}

pub(super) fn parse_for(text: &str, fields: &[Field], user: &str) -> Result<Predicate> {
    let mut parser = Parser::new(tokens(text)?, fields);
    parser.user = Some(user.to_owned());
    whole_condition(parser)
}

/// Reads tokens as one condition over `fields`.
pub(super) fn condition(lexemes: Vec<Lexeme>, fields: &[Field]) -> Result<Predicate> {
    whole_condition(Parser::new(lexemes, fields))
}

fn whole_condition(mut parser: Parser<'_>) -> Result<Predicate> {
    let term = parser.whole("the clause")?;
    let root = parser.typing.condition(term)?;
    Ok(Predicate { root, fields: parser.read, volatile: parser.volatile, weighty: parser.weighty })
}

/// Reads an expression whose value `target` can hold; any value if `None`.
pub(super) fn parse_expression(text: &str, fields: &[Field], target: Option<Type>) -> Result<Expression> {
    let mut parser = Parser::new(tokens(text)?, fields);
    let term = parser.whole("the expression")?;
    let root = match target {
        Some(target) => parser.typing.assign(term, target)?,
        None => term.expr,
    };
    Ok(Expression { root, fields: parser.read })
}

/// Splits a clause into tokens, if it is not too long.
pub(super) fn tokens(text: &str) -> Result<Vec<Lexeme>> {
    if text.trim().is_empty() {
        return Err(ParseError::new(1, "an empty clause", "write a condition such as 1=1"));
    }
    let too_long = |limit: usize| {
        let what = format!("a clause of {} bytes", text.len());
        let hint = format!("the most is {limit}, or {MAX_LIST_TEXT_BYTES} with an IN list");
        ParseError::new(1, what, hint)
    };
    if text.len() > MAX_LIST_TEXT_BYTES {
        return Err(too_long(MAX_TEXT_BYTES));
    }
    let lexemes = lex(text)?;
    let is_in = |token: &Token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case("IN"));
    if text.len() > MAX_TEXT_BYTES && !lexemes.iter().any(|lexeme| is_in(&lexeme.token)) {
        return Err(too_long(MAX_TEXT_BYTES));
    }
    if lexemes.len() > MAX_TOKENS {
        let what = format!("a clause of {} words, values and marks", lexemes.len());
        return Err(ParseError::new(1, what, format!("the most is {MAX_TOKENS}; ask several times")));
    }
    Ok(lexemes)
}

/// What has been read and what is left. Conditions are read here, values in `value`.
pub(super) struct Parser<'a> {
    pub(super) typing: Typing<'a>,
    pub(super) tokens: Cursor,
    /// How many values enclose the one that is being read.
    pub(super) depth: usize,
    pub(super) n_operators: usize,
    n_list_values: usize,
    /// The fields met so far.
    pub(super) read: BTreeSet<usize>,
    pub(super) volatile: bool,
    weighty: bool,
    /// Who is meant by `CURRENT_USER`.
    pub(super) user: Option<String>,
}

/// Conditions.
impl<'a> Parser<'a> {
    fn new(lexemes: Vec<Lexeme>, fields: &'a [Field]) -> Parser<'a> {
        let looks_into = |token: &Token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case("LIKE"));
        Parser {
            weighty: lexemes.len() > MAX_LIGHT_TOKENS || lexemes.iter().any(|lexeme| looks_into(&lexeme.token)),
            typing: Typing { fields },
            tokens: Cursor::new(lexemes),
            depth: 0,
            n_operators: 0,
            n_list_values: 0,
            read: BTreeSet::new(),
            volatile: false,
            user: None,
        }
    }

    fn whole(&mut self, what: &str) -> Result<Term> {
        let term = self.disjunction()?;
        match self.tokens.peek() {
            Token::End => Ok(term),
            _ => Err(self.tokens.unexpected(&format!("an operator, AND, OR or the end of {what}"))),
        }
    }

    pub(super) fn disjunction(&mut self) -> Result<Term> {
        let first = self.conjunction()?;
        if !self.tokens.is_word(0, "OR") {
            return Ok(first);
        }
        let column = first.column;
        let mut conditions = vec![self.typing.condition(first)?];
        while self.tokens.accept("OR") {
            let next = self.conjunction()?;
            conditions.push(self.typing.condition(next)?);
        }
        Ok(Term { expr: fold(conditions, false), column })
    }

    fn conjunction(&mut self) -> Result<Term> {
        let first = self.negation()?;
        if !self.tokens.is_word(0, "AND") {
            return Ok(first);
        }
        let column = first.column;
        let mut conditions = vec![self.typing.condition(first)?];
        while self.tokens.accept("AND") {
            let next = self.negation()?;
            conditions.push(self.typing.condition(next)?);
        }
        Ok(Term { expr: fold(conditions, true), column })
    }

    fn negation(&mut self) -> Result<Term> {
        let column = self.tokens.column();
        let mut negated = None;
        while self.tokens.accept("NOT") {
            negated = Some(!negated.unwrap_or(false));
        }
        let term = self.comparison()?;
        let Some(negated) = negated else {
            return Ok(term);
        };
        let condition = self.typing.condition(term)?;
        Ok(Term { expr: not_if(negated, condition), column })
    }

    fn comparison(&mut self) -> Result<Term> {
        if let Some(test) = self.geometry_test()? {
            return Ok(test);
        }
        let left = self.sum()?;
        let column = left.column;
        let comparison = match self.tokens.peek() {
            Token::Symbol("=") => Comparison::Equal,
            Token::Symbol("<>") => Comparison::NotEqual,
            Token::Symbol("<") => Comparison::Less,
            Token::Symbol("<=") => Comparison::LessOrEqual,
            Token::Symbol(">") => Comparison::Greater,
            Token::Symbol(">=") => Comparison::GreaterOrEqual,
            Token::Word(_) => return self.test(left),
            _ => return Ok(left),
        };
        self.tokens.advance(1);
        let right = self.sum()?;
        Ok(Term { expr: self.typing.compare(comparison, left, right)?, column })
    }

    /// Reads the test that follows a value, if one does: `IS NULL`, `LIKE`, `IN`, `BETWEEN`.
    fn test(&mut self, value: Term) -> Result<Term> {
        let column = value.column;
        if self.tokens.accept("IS") {
            let negated = self.tokens.accept("NOT");
            self.tokens.expect("NULL")?;
            return Ok(Term { expr: not_if(negated, Expr::IsNull(Box::new(value.expr))), column });
        }
        let negated = self.tokens.is_word(0, "NOT");
        let ahead = usize::from(negated);
        let expr = if self.tokens.is_word(ahead, "LIKE") {
            self.tokens.advance(ahead + 1);
            let pattern = self.sum()?;
            let escape = if self.tokens.accept("ESCAPE") {
                let column = self.tokens.column();
                Some((self.tokens.expect_text("one character in single quotes")?, column))
            } else {
                None
            };
            self.typing.like(value, pattern, escape)?
        } else if self.tokens.is_word(ahead, "BETWEEN") {
            self.tokens.advance(ahead + 1);
            let low = self.sum()?;
            self.tokens.expect("AND")?;
            let high = self.sum()?;
            self.typing.between(value, low, high)?
        } else if self.tokens.is_word(ahead, "IN") {
            self.tokens.advance(ahead + 1);
            let list = self.list()?;
            self.typing.is_in(value, list)?
        } else if negated {
            self.tokens.advance(1);
            return Err(self.tokens.unexpected("LIKE, IN or BETWEEN"));
        } else {
            return Ok(value);
        };
        Ok(Term { expr: not_if(negated, expr), column })
    }

    fn list(&mut self) -> Result<Vec<Term>> {
        self.tokens.expect_symbol("(")?;
        let mut values = Vec::new();
        loop {
            self.n_list_values += 1;
            if self.n_list_values > MAX_LIST_VALUES {
                let hint = format!("the most is {MAX_LIST_VALUES}; ask several times");
                return Err(ParseError::new(self.tokens.column(), "too many values in IN lists", hint));
            }
            values.push(self.sum()?);
            if !self.tokens.accept_symbol(",") {
                break;
            }
        }
        self.tokens.expect_symbol(")")?;
        Ok(values)
    }

    /// Reads `shape IS [NOT] NULL`, unless a field has that name.
    fn geometry_test(&mut self) -> Result<Option<Term>> {
        let column = self.tokens.column();
        let mut ahead = 0;
        while self.tokens.is_symbol(ahead + 1, ".") {
            ahead += 2;
        }
        let (Token::Word(name) | Token::Quoted(name)) = self.tokens.peek_at(ahead) else {
            return Ok(None);
        };
        let is_geometry = name.eq_ignore_ascii_case(GEOMETRY) && self.find(name).is_none();
        if !is_geometry || !self.tokens.is_word(ahead + 1, "IS") {
            return Ok(None);
        }
        self.path()?;
        self.tokens.advance(1);
        let present = self.tokens.accept("NOT");
        self.tokens.expect("NULL")?;
        Ok(Some(Term { expr: not_if(!present, Expr::HasGeometry), column }))
    }
}

fn not_if(negated: bool, condition: Expr) -> Expr {
    match condition {
        condition if !negated => condition,
        Expr::Literal(Literal::Boolean(value)) => Expr::Literal(Literal::Boolean(!value)),
        condition => Expr::Not(Box::new(condition)),
    }
}

/// Joins conditions by `AND`, for which `neutral` is true, or `OR`, for which it is false. Those that are `neutral`
/// say nothing, and one that is the opposite says all.
fn fold(mut conditions: Vec<Expr>, neutral: bool) -> Expr {
    let constant = |value| Expr::Literal(Literal::Boolean(value));
    if conditions.contains(&constant(!neutral)) {
        return constant(!neutral);
    }
    conditions.retain(|condition| *condition != constant(neutral));
    match conditions.len() {
        0 => constant(neutral),
        1 => conditions.remove(0),
        _ if neutral => Expr::All(conditions),
        _ => Expr::Any(conditions),
    }
}
