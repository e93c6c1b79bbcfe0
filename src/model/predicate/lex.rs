//! Text → tokens. Refuses every character that the language has no use for.

use super::ParseError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A keyword or a name, as written.
    Word(String),
    /// A name in double quotes, without them.
    Quoted(String),
    /// A number, as written.
    Number(String),
    /// A text literal, without its quotes.
    Text(String),
    /// An operator or mark; `!=` becomes `<>`.
    Symbol(&'static str),
    End,
}

impl Token {
    /// Says for people what was found.
    pub(super) fn describe(&self) -> String {
        match self {
            Token::Word(word) => format!("'{}'", shorten(word)),
            Token::Quoted(name) => format!("\"{}\"", shorten(name)),
            Token::Number(number) => format!("the number {}", shorten(number)),
            Token::Text(text) => format!("the text '{}'", shorten(text)),
            Token::Symbol(symbol) => format!("'{symbol}'"),
            Token::End => "the end of the clause".to_owned(),
        }
    }
}

/// Cuts what a client wrote to a length that fits into a message.
pub(super) fn shorten(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.split_at(end).0),
        None => text.to_owned(),
    }
}

/// A token and the column at which it starts, in characters from 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) column: usize,
}

/// Splits a clause into tokens; the last one is always `End`.
pub(super) fn lex(text: &str) -> Result<Vec<Lexeme>, ParseError> {
    let mut lexer = Lexer { chars: text.chars().collect(), position: 0 };
    let mut lexemes = Vec::new();
    loop {
        while lexer.peek(0).is_some_and(char::is_whitespace) {
            lexer.position += 1;
        }
        let column = lexer.position + 1;
        let token = lexer.token(column)?;
        let ended = token == Token::End;
        lexemes.push(Lexeme { token, column });
        if ended {
            return Ok(lexemes);
        }
    }
}

struct Lexer {
    chars: Vec<char>,
    position: usize,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.position + ahead).copied()
    }

    fn token(&mut self, column: usize) -> Result<Token, ParseError> {
        let Some(first) = self.peek(0) else {
            return Ok(Token::End);
        };
        let second = self.peek(1);
        match first {
            '\'' => self.quoted('\'', column).map(Token::Text),
            // Some clients mark text as national; all text is Unicode here.
            'n' | 'N' if second == Some('\'') => {
                self.position += 1;
                self.quoted('\'', column).map(Token::Text)
            }
            '"' => self.quoted('"', column).map(Token::Quoted),
            _ if first.is_alphabetic() || first == '_' => {
                Ok(Token::Word(self.take_while(|c| c.is_alphanumeric() || c == '_')))
            }
            '0'..='9' => self.number(column),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(column),
            _ => self.symbol(first, second, column),
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let taken: String = self.chars.iter().skip(self.position).take_while(|c| wanted(**c)).collect();
        self.position += taken.chars().count();
        taken
    }

    /// Reads up to the closing quote; a doubled quote stands for itself.
    fn quoted(&mut self, quote: char, column: usize) -> Result<String, ParseError> {
        let mut content = String::new();
        self.position += 1;
        loop {
            match self.peek(0) {
                Some(c) if c == quote => {
                    self.position += 1;
                    if self.peek(0) != Some(quote) {
                        return Ok(content);
                    }
                    content.push(quote);
                }
                Some('\0') => {
                    let what = "a text with the character U+0000";
                    return Err(ParseError::new(column, what, "no stored text contains it; leave it out"));
                }
                Some(c) => content.push(c),
                None => {
                    let hint = format!("end it with {quote} and double each {quote} inside it");
                    return Err(ParseError::new(column, "a quote that is not closed", hint));
                }
            }
            self.position += 1;
        }
    }

    fn number(&mut self, column: usize) -> Result<Token, ParseError> {
        let digit = |c: char| c.is_ascii_digit();
        let mut number = self.take_while(digit);
        if self.peek(0) == Some('.') {
            self.position += 1;
            number.push('.');
            number.push_str(&self.take_while(digit));
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let signed = matches!(self.peek(1), Some('+' | '-'));
            if self.peek(1 + usize::from(signed)).is_some_and(digit) {
                number.push('e');
                if self.peek(1) == Some('-') {
                    number.push('-');
                }
                self.position += 1 + usize::from(signed);
                number.push_str(&self.take_while(digit));
            }
        }
        match self.peek(0) {
            Some(c) if c.is_alphanumeric() || c == '_' || c == '.' => {
                let what = format!("'{}{c}' is not a number", shorten(&number));
                Err(ParseError::new(column, what, "a number looks like 12, -3.5 or 1e6; put text in single quotes"))
            }
            _ => Ok(Token::Number(number)),
        }
    }

    fn symbol(&mut self, first: char, second: Option<char>, column: usize) -> Result<Token, ParseError> {
        let symbol = match (first, second) {
            ('-', Some('-')) | ('/', Some('*')) => {
                let what = format!("a comment '{first}{}'", second.unwrap_or_default());
                return Err(ParseError::new(
                    column,
                    what,
                    "comments are not accepted; write two minus signs apart: - -1",
                ));
            }
            ('<', Some('>')) | ('!', Some('=')) => "<>",
            ('<', Some('=')) => "<=",
            ('>', Some('=')) => ">=",
            ('|', Some('|')) => "||",
            ('(', _) => "(",
            (')', _) => ")",
            (',', _) => ",",
            ('.', _) => ".",
            ('+', _) => "+",
            ('-', _) => "-",
            ('*', _) => "*",
            ('/', _) => "/",
            ('=', _) => "=",
            ('<', _) => "<",
            ('>', _) => ">",
            (';', _) => {
                return Err(ParseError::new(column, "unexpected ';'", "a clause is one condition, without ';'"));
            }
            _ => {
                let what = format!("unexpected character '{}'", first.escape_debug());
                return Err(ParseError::new(column, what, "put text in single quotes, names in double quotes"));
            }
        };
        let written = if matches!(symbol, "<>" | "<=" | ">=" | "||") { 2 } else { 1 };
        self.position += written;
        Ok(Token::Symbol(symbol))
    }
}

#[cfg(test)]
mod tests {
    use super::{Token, lex, shorten};

    fn tokens(text: &str) -> Vec<Token> {
        lex(text).unwrap().into_iter().map(|lexeme| lexeme.token).collect()
    }

    fn refusal(text: &str) -> String {
        lex(text).unwrap_err().to_string()
    }

    #[test]
    fn words_numbers_texts_and_symbols_are_told_apart() {
        let word = |w: &str| Token::Word(w.to_owned());
        let number = |n: &str| Token::Number(n.to_owned());
        assert_eq!(
            tokens("a1!='it''s'||N'ß' .5e-3 7. \"x \"\"y\"\"\" n"),
            [
                word("a1"),
                Token::Symbol("<>"),
                Token::Text("it's".to_owned()),
                Token::Symbol("||"),
                Token::Text("ß".to_owned()),
                number(".5e-3"),
                number("7."),
                Token::Quoted("x \"y\"".to_owned()),
                word("n"),
                Token::End,
            ]
        );
    }

    #[test]
    fn columns_count_characters_from_one() {
        let columns: Vec<usize> = lex("é = 'ü' ").unwrap().iter().map(|lexeme| lexeme.column).collect();
        assert_eq!(columns, [1, 3, 5, 9]);
    }

    #[test]
    fn what_the_language_has_no_use_for_is_refused_by_name() {
        assert!(refusal("a = 1 -- x").starts_with("a comment '--' at column 7; "));
        assert!(refusal("a /* x */ = 1").starts_with("a comment '/*' at column 3; "));
        assert!(refusal("a = 1;").starts_with("unexpected ';' at column 6; "));
        assert!(refusal("a = $1").starts_with("unexpected character '$' at column 5; "));
        assert!(refusal("a = 'b").starts_with("a quote that is not closed at column 5; "));
        assert!(refusal("a = \"b").starts_with("a quote that is not closed at column 5; "));
        assert!(refusal("a = 'b\0'").starts_with("a text with the character U+0000 at column 5; "));
        assert!(refusal("a = 0x1F").starts_with("'0x' is not a number at column 5; "));
        assert!(refusal("a = 1.2.3").starts_with("'1.2.' is not a number at column 5; "));
    }

    #[test]
    fn long_texts_are_cut_in_messages() {
        assert_eq!(shorten("ü"), "ü");
        assert_eq!(shorten(&"ü".repeat(50)), format!("{}…", "ü".repeat(40)));
    }
}
