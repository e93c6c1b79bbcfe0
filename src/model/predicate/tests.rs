//! Clauses that are read, and those that are not.

use super::{
    Comparison, Expr, Field, Literal, MAX_DEPTH, MAX_LIST_VALUES, MAX_OPERATORS, MAX_TEXT_BYTES, Now, Predicate, Type,
};
use crate::model::value::FieldType;

fn fields() -> Vec<Field> {
    let field = |(name, field_type): &(&str, FieldType)| Field {
        name: (*name).to_owned(),
        alias: (*name).to_owned(),
        field_type: *field_type,
        column_type: String::new(),
        length: None,
        nullable: true,
        has_default: false,
        generated: false,
    };
    [
        ("objectid", FieldType::ObjectId),
        ("globalid", FieldType::GlobalId),
        ("status", FieldType::Text),
        ("pop", FieldType::Integer),
        ("height", FieldType::Single),
        ("depth", FieldType::Double),
        ("open", FieldType::Boolean),
        ("created", FieldType::Date),
        ("day", FieldType::DateOnly),
        ("hour", FieldType::TimeOnly),
        ("from", FieldType::Text),
    ]
    .iter()
    .map(field)
    .collect()
}

fn parse(clause: &str) -> Predicate {
    Predicate::parse(clause, &fields()).unwrap_or_else(|error| panic!("{clause}: {error}"))
}

fn refusal(clause: &str) -> String {
    match Predicate::parse(clause, &fields()) {
        Ok(predicate) => panic!("{clause} was read as {predicate:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_clients_send_is_read() {
    for clause in [
        "1=1",
        "1=0",
        "1<>1",
        "OBJECTID>=0",
        "(status='Open') AND (OBJECTID>100)",
        "created BETWEEN TIMESTAMP '2024-01-01 00:00:00' AND TIMESTAMP '2024-02-01 00:00:00'",
        "UPPER(status) LIKE '%ABC%'",
        "created >= CURRENT_TIMESTAMP - INTERVAL '1' DAY",
        "GlobalID IN ('{8D8B7C2E-0000-4000-8000-00000000000A}','8d8b7c2e-0000-4000-8000-00000000000b')",
        "created > date '2024-01-31 10:00:00'",
        "Status = N'Open'",
        "\"Status\" = 'Open' and \"db\".owner.\"t\".pop is not null",
        "NOT (pop IN (1, 2) OR pop BETWEEN 3 AND 4) AND status NOT LIKE 'a!_%' ESCAPE '!'",
        "CASE WHEN pop > 5 THEN 'a' ELSE status END = 'a'",
        "CASE status WHEN 'a' THEN 1 WHEN N'b' THEN 2 END = 1",
        "CASE pop + 1 WHEN 2.5 THEN created WHEN height THEN '2024-01-31' END < CURRENT_DATE",
        "created = '2024-01-31' OR status = CURRENT_USER",
        "\"from\" = 'here'",
        "shape IS NULL OR Shape IS NOT NULL",
        "open = 1 AND open = TRUE AND open",
    ] {
        parse(clause);
    }
}

#[test]
fn clauses_without_fields_are_constant() {
    for (clause, value) in [
        ("1=1", Some(true)),
        ("9999=9999", Some(true)),
        ("1<>1", Some(false)),
        ("1=1 AND NOT 1=0", Some(true)),
        ("pop > 1 AND 1=0", Some(false)),
        ("pop > 1 OR 1=1", Some(true)),
        ("pop > 1 AND 1=1", None),
        ("pop = pop", None),
    ] {
        assert_eq!(parse(clause).constant(), value, "{clause}");
    }
    assert_eq!(parse("1=1 AND pop > 1").root(), parse("pop > 1").root());
}

#[test]
fn fields_and_the_clock_are_reported() {
    let predicate = parse("status = 'a' OR POP > 1 AND pop < 3");
    assert_eq!(predicate.fields().collect::<Vec<_>>(), [2, 3]);
    assert!(!predicate.is_volatile());
    for clause in ["day = CURRENT_DATE", "created < current_timestamp", "hour > CURRENT_TIME"] {
        assert!(parse(clause).is_volatile(), "{clause}");
    }
    let today = Expr::Now(Now::Date);
    assert_eq!(today.value_type(), Some(Type::Date));
}

#[test]
fn and_binds_tighter_than_or_and_not_looser_than_comparison() {
    let flat = parse("NOT pop = 1 AND pop = 2 OR pop = 3 AND pop = 4");
    let nested = parse("((NOT (pop = 1)) AND pop = 2) OR (pop = 3 AND pop = 4)");
    assert_eq!(flat, nested);
    assert_eq!(parse("1 + 2 * 3 - 4 = pop"), parse("(1 + (2 * 3)) - 4 = pop"));
    assert_eq!(parse("NOT NOT pop = 1"), parse("pop = 1"));
    assert_eq!(parse("pop = - - 5"), parse("pop = +5"));
}

#[test]
fn a_text_literal_takes_the_type_of_what_it_meets() {
    let literal = |clause: &str| match parse(clause).root() {
        Expr::Compare { comparison: Comparison::Equal, right, .. } => (**right).clone(),
        other => panic!("{clause}: {other:?}"),
    };
    let ten = 1_706_695_200_000_000;
    for (clause, value) in [
        ("pop = '5'", Literal::Integer(5)),
        ("depth = '-2.5'", Literal::Double(-2.5)),
        ("height = 12.3", Literal::Single(12.3)),
        ("open = '1'", Literal::Boolean(true)),
        ("open = 0", Literal::Boolean(false)),
        ("created = '2024-01-31 10:00:00'", Literal::Timestamp(ten)),
        ("created = DATE '1970-01-02'", Literal::Timestamp(86_400_000_000)),
        ("day = '1970-01-02'", Literal::Date(1)),
        ("hour = '00:00:01'", Literal::Time(1_000_000)),
        ("status = '5'", Literal::Text("5".to_owned())),
    ] {
        assert_eq!(literal(clause), Expr::Literal(value), "{clause}");
    }
    assert_eq!(
        literal("globalid = '{8D8B7C2E-0000-4000-8000-00000000000A}'"),
        literal("globalid = '8d8b7c2e-0000-4000-8000-00000000000a'")
    );
}

const REFUSALS: &[(&str, &str)] = &[
    (
        "statse = 'Open'",
        "unknown field 'statse' at column 1; the fields are: objectid, globalid, status, pop, height, depth, open, created, day, hour, from",
    ),
    ("", "an empty clause at column 1; write a condition such as 1=1"),
    (
        "status",
        "field 'status' (text) is not a condition at column 1; compare it with something, as in status = 'Open'",
    ),
    (
        "status = 5",
        "type mismatch: field 'status' (text) and the number 5 do not go together at column 10; put what is compared with text in single quotes, or use CAST",
    ),
    (
        "pop = 'five'",
        "type mismatch: the text 'five' cannot be read as integer at column 7; a number looks like 12 or -3.5",
    ),
    (
        "created = 5",
        "type mismatch: field 'created' (date and time) and the number 5 do not go together at column 11; write a date as TIMESTAMP '2024-01-31 10:00:00' or DATE '2024-01-31'",
    ),
    (
        "created = 'yesterday'",
        "type mismatch: the text 'yesterday' cannot be read as date and time at column 11; a date and time looks like 2024-01-31 10:00:00",
    ),
    (
        "created > CURRENT_DATE - day",
        "field 'day' (date) cannot be added to or taken from a date at column 26; compare them, as in due < CURRENT_DATE - 30",
    ),
    (
        "globalid = 'abc'",
        "type mismatch: the text 'abc' cannot be read as GUID at column 12; a GUID looks like {8D8B7C2E-0000-4000-8000-00000000000A}",
    ),
    (
        "pop LIKE '1%'",
        "type mismatch: LIKE needs text, not field 'pop' (integer) at column 1; make text of it with CAST(… AS VARCHAR(40))",
    ),
    (
        "status LIKE 'a!' ESCAPE '!'",
        "a pattern that ends with its escape character at column 25; double the character to match it",
    ),
    (
        "status LIKE 'a' ESCAPE '!!'",
        "the escape '!!' is not one character at column 24; write one, as in LIKE '50!%' ESCAPE '!'",
    ),
    (
        "status + 1 = 2",
        "type mismatch: '+' needs a number, not field 'status' (text) at column 1; make a number of it with CAST(… AS INTEGER)",
    ),
    (
        "pop || 'a' = '1a'",
        "type mismatch: '||' needs text, not field 'pop' (integer) at column 1; make text of it with CAST(… AS VARCHAR(40))",
    ),
    ("pop = 1 pop = 2", "unexpected 'pop' at column 9; expected an operator, AND, OR or the end of the clause"),
    ("pop = 1 = 1", "unexpected '=' at column 9; expected an operator, AND, OR or the end of the clause"),
    ("pop = ", "unexpected the end of the clause at column 7; expected a field, a value or '('"),
    ("(pop = 1", "unexpected the end of the clause at column 9; expected ')'"),
    ("pop IN ()", "unexpected ')' at column 9; expected a field, a value or '('"),
    ("pop NOT 1", "unexpected the number 1 at column 9; expected LIKE, IN or BETWEEN"),
    ("pop = 1 AND NULL", "NULL is not a condition at column 13; compare it with something, as in status = 'Open'"),
    (
        "pg_sleep(10) = 1",
        "unknown function 'PG_SLEEP' at column 1; the functions are: ABS, CEILING, FLOOR, ROUND, TRUNCATE, MOD, POWER, LN, LOG, LOG10, COS, SIN, TAN, ACOS, ASIN, ATAN, NULLIF, COALESCE, CHAR_LENGTH, CONCAT, LOWER, UPPER, CAST, EXTRACT, POSITION, SUBSTRING, TRIM",
    ),
    ("ABS(pop, 1) = 1", "ABS with 2 arguments at column 1; it takes 1"),
    (
        "UPPER(pop) = 'A'",
        "type mismatch: UPPER needs text, not field 'pop' (integer) at column 7; make text of it with CAST(… AS VARCHAR(40))",
    ),
    (
        "ROUND(depth, 1.5) = 1",
        "type mismatch: ROUND needs an integer, not the number 1.5 at column 14; make an integer of it with CAST(… AS INTEGER)",
    ),
    (
        "COALESCE(NULL, NULL) = 1",
        "COALESCE of nothing but NULL at column 1; give it at least one value that is not NULL",
    ),
    (
        "COALESCE(pop, status) = 1",
        "type mismatch: field 'pop' (integer) and field 'status' (text) do not go together at column 15; put what is compared with text in single quotes, or use CAST",
    ),
    (
        "CAST(pop AS DATE) = day",
        "type mismatch: field 'pop' (integer) cannot be cast to date at column 6; numbers, and text that holds numbers, become numbers; dates become dates; everything becomes VARCHAR",
    ),
    (
        "CAST(pop AS MONEY) = 1",
        "unexpected 'MONEY' at column 13; expected one of the types INT, INTEGER, SMALLINT, BIGINT, FLOAT, REAL, DOUBLE, DATE, TIMESTAMP, VARCHAR",
    ),
    (
        "EXTRACT(YEAR FROM hour) = 1",
        "type mismatch: field 'hour' (time) has no such part at column 19; EXTRACT takes YEAR, MONTH or DAY of a date, HOUR, MINUTE or SECOND also of a time",
    ),
    (
        "EXTRACT(EPOCH FROM created) = 1",
        "unexpected 'EPOCH' at column 9; expected YEAR, MONTH, DAY, HOUR, MINUTE or SECOND",
    ),
    (
        "created > INTERVAL '1' DAY",
        "an interval on its own at column 11; write it after a date and + or -, as in CURRENT_DATE - INTERVAL '7' DAY",
    ),
    (
        "created > CURRENT_DATE - INTERVAL '1' WEEK",
        "unexpected 'WEEK' at column 39; expected YEAR, MONTH, DAY, HOUR, MINUTE or SECOND",
    ),
    (
        "created > CURRENT_DATE - INTERVAL 'x' DAY",
        "the interval 'x' does not fit its unit at column 35; write INTERVAL '7' DAY or INTERVAL '1 12:30' DAY TO MINUTE, of at most 4000 years",
    ),
    ("created > CURRENT_DATE - 9999999", "too many days at column 26; the most is 1461000 days"),
    ("shape = 1", "the geometry 'shape' is not a value at column 1; test it with shape IS NULL or shape IS NOT NULL"),
    ("pop IN (SELECT 1)", "unexpected 'SELECT' at column 9; expected a field, a value or '('"),
    ("CASE status THEN 1 END = 1", "unexpected 'THEN' at column 13; expected WHEN and a value"),
    ("CASE END = 1", "unexpected 'END' at column 6; expected a field, a value or '('"),
    (
        "CASE pop WHEN 'x' THEN 1 END = 1",
        "type mismatch: the text 'x' cannot be read as integer at column 15; a number looks like 12 or -3.5",
    ),
    ("pop = 1e999", "the number 1e999 is too large at column 7; the largest is about 1.7e308"),
    ("TRIM(LEADING status) = 'a'", "unexpected ')' at column 20; expected FROM"),
    ("pop = -'a'", "type mismatch: the text 'a' cannot be read as number at column 8; a number looks like 12 or -3.5"),
];

#[test]
fn refusals_say_what_where_and_what_instead() {
    for (clause, message) in REFUSALS {
        assert_eq!(refusal(clause), *message, "{clause}");
    }
}

#[test]
fn long_lists_of_fields_are_cut() {
    let template = fields().remove(0);
    let many: Vec<Field> = (0..30).map(|i| Field { name: format!("f{i}"), ..template.clone() }).collect();
    let message = Predicate::parse("g = 1", &many).unwrap_err().to_string();
    assert!(message.ends_with(", f18, f19, …"), "{message}");
}

#[test]
fn s3_long_and_deep_clauses_are_refused_or_cheap() {
    // A stack smaller than that of a worker: whoever recurses over the text overflows it.
    let check = || {
        let nested = |n: usize| format!("{}pop = 1{}", "(".repeat(n), ")".repeat(n));
        parse(&nested(MAX_DEPTH));
        assert!(refusal(&nested(MAX_DEPTH + 1)).contains("nested too deeply at column 66; "));
        assert!(refusal(&"(".repeat(16_000)).contains("nested too deeply"));
        assert!(refusal(&"ABS(".repeat(4_000)).contains("nested too deeply"));
        assert!(refusal(&"CASE WHEN ".repeat(1_600)).contains("nested too deeply"));
        let deepest = "NOT 2 * -CASE WHEN ";
        assert!(refusal(&deepest.repeat(600)).contains("nested too deeply"));
        let calls = format!("{}pop{} = 1", "1 + 2 * ABS(".repeat(64), ")".repeat(64));
        parse(&calls);

        parse(&format!("{}pop = 1", "NOT ".repeat(4_000)));
        parse(&format!("pop = {}1", "- ".repeat(8_000)));
        let Expr::All(conditions) = parse(&vec!["pop=1"; 1_600].join(" AND ")).root().clone() else {
            panic!("a chain of AND is one node")
        };
        assert_eq!(conditions.len(), 1_600);

        let sum = |n: usize| format!("pop{} = 1", "+1".repeat(n));
        parse(&sum(MAX_OPERATORS));
        assert!(refusal(&sum(MAX_OPERATORS + 1)).contains("too many arithmetic operators"));

        let listed = |n: usize| format!("pop IN ({})", vec!["1"; n].join(","));
        parse(&listed(MAX_LIST_VALUES));
        assert!(refusal(&listed(MAX_LIST_VALUES + 1)).contains("too many values in IN lists"));

        let mixed = |n: usize| format!("pop IN ({})", vec!["pop"; n].join(","));
        parse(&mixed(64));
        assert!(refusal(&mixed(65)).starts_with("a list of 65 values with a field"));

        let long = format!("status = '{}'", "x".repeat(MAX_TEXT_BYTES));
        assert!(refusal(&long).starts_with("a clause of 16395 bytes at column 1; "));
        parse(&format!("status IN ('{}')", "x".repeat(MAX_TEXT_BYTES)));
        assert!(refusal(&" ".repeat(70_000)).starts_with("an empty clause"));
        assert!(refusal(&listed(40_000)).starts_with("a clause of 80004 words, values and marks"));
        assert!(refusal(&listed(300_000)).starts_with("a clause of 600008 bytes"));
        let guids = vec!["'{8D8B7C2E-0000-4000-8000-00000000000A}'"; MAX_LIST_VALUES].join(",");
        parse(&format!("globalid IN ({guids})"));
    };
    let small = std::thread::Builder::new().stack_size(1536 * 1024).spawn(check);
    small.unwrap().join().unwrap();
}
