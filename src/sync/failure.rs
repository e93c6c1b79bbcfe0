//! Why edits fail: what the database says of them, in the client's terms, and what cannot be said of any one of them.

use crate::{
    error::Error,
    model::{
        edit::{EditError, EditErrorCode, Op},
        layer::Layer,
    },
};

/// Why all edits are refused when the database complains about none of them.
pub(super) const AT_THE_END: &str = "Operation rolled back. A constraint of the database that is checked at the end of a transaction was violated; \
     nothing was applied";

/// Why edits could not be committed.
pub(crate) enum Failure {
    /// The database ended the transaction for a reason that passes by itself: deadlock or serialization. They can be
    /// applied again.
    Collided,
    /// A constraint that is checked at the end was violated.
    AtTheEnd,
    /// Anything else.
    Other(Error),
}

impl Failure {
    /// Tells them apart.
    pub(crate) fn of(error: Error) -> Failure {
        match class(&error).as_deref() {
            Some("40") => Failure::Collided,
            Some("23") => Failure::AtTheEnd,
            _ => Failure::Other(error),
        }
    }

    /// Whether a constraint that is checked at the end was violated.
    pub(crate) fn is_at_the_end(error: &Error) -> bool {
        class(error).as_deref() == Some("23")
    }
}

/// The class of the database's error code.
fn class(error: &Error) -> Option<String> {
    match error {
        Error::Internal { source, .. } => database_code(source.as_ref())?.get(..2).map(str::to_owned),
        _ => None,
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Collided => Error::Unavailable("the edits collided with others; send them again".to_owned()),
            Failure::AtTheEnd => Error::NotSupported(AT_THE_END.to_owned()),
            Failure::Other(error) => error,
        }
    }
}

fn database_code(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<String> {
    match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(database)) => database.code().map(std::borrow::Cow::into_owned),
        _ => None,
    }
}

/// Whether a row is missing that the edit refers to, or one still refers to what it deletes.
pub(super) fn is_foreign_key(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database) if database.code().as_deref() == Some("23503"))
}

/// Why an edit that the database took had no effect.
pub(super) fn suppressed(layer: &Layer, op: Op) -> EditError {
    EditError {
        code: EditErrorCode::failed(layer, op),
        description: format!(
            "a trigger of table {} dropped the edit; ask the table's owner which rule it follows",
            layer.table_name
        ),
    }
}

/// Somebody, as messages name them.
pub(super) fn person(user: &str) -> String {
    if user.is_empty() { "who did not sign in".to_owned() } else { format!("user {user}") }
}

/// Whether the failure is not about one of the edits.
pub(super) fn is_fatal(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else { return true };
    let code = database.code().unwrap_or_default();
    ["08", "25", "26", "40", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class))
        || ["42501", "42P01", "42703", "42883"].contains(&code.as_ref())
}

/// Says in the client's terms why the database refused an edit. The database's own text stays in the log, since it may
/// speak of rows that the client must not see.
pub(super) fn explain(layer: &Layer, op: Op, error: &sqlx::Error) -> EditError {
    tracing::debug!(layer = layer.id.0, %error, "the database refused an edit");
    let sqlx::Error::Database(database) = error else {
        return EditError { code: EditErrorCode::Other, description: "the database refused the edit".to_owned() };
    };
    let code = database.code().unwrap_or_default();
    let constraint = database.constraint().map(|name| format!(" '{name}'")).unwrap_or_default();
    let message = database.message();
    let column = database
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .and_then(|database| database.column())
        .unwrap_or("?")
        .to_owned();
    let (code, description) = match code.as_ref() {
        "23502" if layer.hidden_fields().any(|hidden| hidden == column) => (
            EditErrorCode::NotNullable,
            "a field that clients do not see needs a value, so that nobody can add rows here; tell an administrator"
                .to_owned(),
        ),
        "23502" => (EditErrorCode::NotNullable, format!("field '{column}' needs a value")),
        "23505" => (
            EditErrorCode::NotUnique,
            format!("another feature has the same value, which the rule{constraint} forbids"),
        ),
        "23514" => {
            (EditErrorCode::Value, format!("the values break the rule{constraint} of table {}", layer.table_name))
        }
        "23503" if op == Op::Delete => (
            EditErrorCode::DeleteFailed,
            format!("other rows refer to the feature (rule{constraint}); delete them first"),
        ),
        "23503" => {
            (EditErrorCode::Value, format!("the feature refers to a row that does not exist (rule{constraint})"))
        }
        "44000" => (
            EditErrorCode::NotOwner,
            format!(
                "after the edit the feature would be none that {} may write in layer {} ({}): the rules of the layer say which rows that are \
                 (rowAccess). Change the values, or ask an administrator",
                person(&layer.guard.user),
                layer.id,
                layer.name
            ),
        ),
        "P0001" => (
            EditErrorCode::Other,
            format!("refused by a trigger of table {}: {}", layer.table_name, crate::model::value::brief(message)),
        ),
        _ if message.to_ascii_lowercase().contains("geometry") || message.contains("transform") || code == "XX000" => (
            EditErrorCode::Geometry,
            "the geometry cannot be stored in the layer; check its type, its coordinates and their spatial reference"
                .to_owned(),
        ),
        other if other.starts_with("22") => (EditErrorCode::Value, "a value does not fit its field".to_owned()),
        _ => (EditErrorCode::failed(layer, op), "the database refused the edit; the server's log says why".to_owned()),
    };
    EditError { code, description }
}
