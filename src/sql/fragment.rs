//! SQL text together with its bound values.

use sqlx::Arguments as _;
use sqlx::{AssertSqlSafe, Encode, Postgres, Type, postgres::PgArguments, query::Query};

use crate::error::{Error, Result};

/// A quoted name of a schema, table, column or function. Made from catalogue entries, never from a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ident(String);

impl Ident {
    /// Quotes one name.
    pub(crate) fn new(name: &str) -> Ident {
        Ident(format!("\"{}\"", name.replace('"', "\"\"")))
    }

    /// Quotes a name within a schema.
    pub(crate) fn qualified(schema: &str, name: &str) -> Ident {
        Ident(format!("{}.{}", Ident::new(schema).0, Ident::new(name).0))
    }

    /// The quoted text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// SQL text together with the values bound in it, in order. Text is `'static` or a quoted name; values are always bound:
/// there is no way to put a client's string into the text.
#[derive(Default)]
pub(crate) struct Fragment {
    text: String,
    args: PgArguments,
    n_args: usize,
    failed: Option<sqlx::error::BoxDynError>,
}

impl Fragment {
    /// A fragment that starts with this text.
    pub(crate) fn new(text: &'static str) -> Fragment {
        let mut fragment = Fragment::default();
        fragment.sql(text);
        fragment
    }

    /// Appends text.
    pub(crate) fn sql(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends a quoted name.
    pub(crate) fn ident(&mut self, name: &Ident) -> &mut Self {
        self.text.push_str(&name.0);
        self
    }

    /// Appends the type of a column, as the catalogue has it from PostgreSQL's own `format_type`.
    pub(crate) fn column_type(&mut self, field: &crate::model::layer::Field) -> &mut Self {
        self.text.push_str(&field.column_type);
        self
    }

    /// Appends a small number that the program made, such as the position of a column.
    pub(crate) fn number(&mut self, number: usize) -> &mut Self {
        self.text.push_str(&number.to_string());
        self
    }

    /// Appends a placeholder and binds the value to it.
    pub(crate) fn bind<'q, T>(&mut self, value: T) -> &mut Self
    where
        T: 'q + Encode<'q, Postgres> + Type<Postgres>,
    {
        if let Err(error) = self.args.add(value) {
            self.failed = Some(error);
        }
        self.n_args += 1;
        self.text.push('$');
        self.text.push_str(&self.n_args.to_string());
        self
    }

    /// A statement that answers how the database would run this one, and how many rows of how many bytes it expects.
    pub(crate) fn explained(mut self) -> Fragment {
        self.text.insert_str(0, "explain (format json) ");
        self
    }

    /// The text with its placeholders.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The statement, ready to run. It is prepared once for each connection and text.
    pub(crate) fn query(self) -> Result<Query<'static, Postgres, PgArguments>> {
        match self.failed {
            None => Ok(sqlx::query_with(AssertSqlSafe(self.text), self.args)),
            Some(error) => Err(Error::internal("encoding a value for the database", error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_quotes() {
        assert_eq!(Ident::qualified("a", "b\" ; drop").as_str(), "\"a\".\"b\"\" ; drop\"");
    }

    #[test]
    fn values_become_placeholders() {
        let mut fragment = Fragment::new("select * from ");
        fragment.ident(&Ident::new("t")).sql(" where a = ").bind(5_i64).sql(" and b = ").bind("x' or 1=1".to_owned());
        assert_eq!(fragment.text(), "select * from \"t\" where a = $1 and b = $2");
        assert!(fragment.query().is_ok());
    }
}
