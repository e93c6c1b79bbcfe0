//! A place in a list of tokens.

use super::ParseError;
use super::lex::{Lexeme, Token};

/// The tokens of a clause and how far they have been read.
pub(super) struct Cursor {
    lexemes: Vec<Lexeme>,
    position: usize,
}

impl Cursor {
    pub(super) fn new(lexemes: Vec<Lexeme>) -> Cursor {
        Cursor { lexemes, position: 0 }
    }

    /// Returns the next token.
    pub(super) fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> &Token {
        self.lexemes.get(self.position + ahead).map_or(&Token::End, |lexeme| &lexeme.token)
    }

    /// Returns where the next token starts.
    pub(super) fn column(&self) -> usize {
        self.lexemes.get(self.position).or(self.lexemes.last()).map_or(1, |lexeme| lexeme.column)
    }

    pub(super) fn is_word(&self, ahead: usize, keyword: &str) -> bool {
        matches!(self.peek_at(ahead), Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    pub(super) fn is_symbol(&self, ahead: usize, symbol: &str) -> bool {
        matches!(self.peek_at(ahead), Token::Symbol(found) if *found == symbol)
    }

    /// Steps over so many tokens.
    pub(super) fn advance(&mut self, n_tokens: usize) {
        self.position += n_tokens;
    }

    /// Steps over the keyword if it is next.
    pub(super) fn accept(&mut self, keyword: &str) -> bool {
        let found = self.is_word(0, keyword);
        self.position += usize::from(found);
        found
    }

    pub(super) fn accept_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(0, symbol);
        self.position += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, keyword: &str) -> Result<(), ParseError> {
        if self.accept(keyword) { Ok(()) } else { Err(self.unexpected(keyword)) }
    }

    pub(super) fn expect_symbol(&mut self, symbol: &str) -> Result<(), ParseError> {
        if self.accept_symbol(symbol) { Ok(()) } else { Err(self.unexpected(&format!("'{symbol}'"))) }
    }

    pub(super) fn expect_text(&mut self, wanted: &str) -> Result<String, ParseError> {
        let Token::Text(text) = self.peek() else {
            return Err(self.unexpected(wanted));
        };
        let text = text.clone();
        self.position += 1;
        Ok(text)
    }

    /// Accepts the keyword that stands for one of several things.
    pub(super) fn accept_one<T: Copy>(&mut self, choices: &[(&str, T)]) -> Option<T> {
        let (_, chosen) = choices.iter().find(|(keyword, _)| self.is_word(0, keyword))?;
        self.position += 1;
        Some(*chosen)
    }

    /// Says that something else should be next.
    pub(super) fn unexpected(&self, wanted: &str) -> ParseError {
        let what = format!("unexpected {}", self.peek().describe());
        ParseError::new(self.column(), what, format!("expected {wanted}"))
    }
}
