//! Clauses and the text they become; clauses that try to become text.

use super::{Column, Fragment, Ident, Predicate, render};
use crate::model::layer::Field;
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
        ("id", FieldType::ObjectId),
        ("gid", FieldType::GlobalId),
        ("name", FieldType::Text),
        ("pop", FieldType::Integer),
        ("height", FieldType::Single),
        ("depth", FieldType::Double),
        ("open", FieldType::Boolean),
        ("made", FieldType::Date),
        ("day", FieldType::DateOnly),
        ("hour", FieldType::TimeOnly),
        ("odd \" name", FieldType::Text),
    ]
    .iter()
    .map(field)
    .collect()
}

/// The text of a clause, or why it was refused.
fn sql(clause: &str) -> Result<String, String> {
    let fields = fields();
    let column = |field: &Field| Column { name: Ident::new(&field.name), exceeds_double: field.exceeds_double() };
    let columns: Vec<Column> = fields.iter().map(column).collect();
    let predicate = Predicate::parse(clause, &fields).map_err(|error| error.to_string())?;
    let mut fragment = Fragment::default();
    render(&predicate, &columns, Some(&Ident::new("geom")), "f", &mut fragment);
    Ok(fragment.text().to_owned())
}

fn expect(pairs: &[(&str, &str)]) {
    for (clause, text) in pairs {
        assert_eq!(sql(clause).as_deref(), Ok(*text), "{clause}");
    }
}

#[test]
fn fields_and_literals_are_columns_and_bound_values() {
    expect(&[
        ("1=1", "true"),
        ("1=0 OR pop > 3", r#"(f."pop" > $1::bigint)"#),
        ("OBJECTS.dbo.t.Id = -7", r#"(f."id" = $1::bigint)"#),
        ("(name='Open') AND (id>100)", r#"((f."name" = $1::text) and (f."id" > $2::bigint))"#),
        (r#"name = N'it''s' OR "odd "" name" <> ''"#, r#"((f."name" = $1::text) or (f."odd "" name" <> $2::text))"#),
        ("pop = '5'", r#"(f."pop" = $1::bigint)"#),
        ("pop = '5.5'", r#"(f."pop" = $1::float8)"#),
        ("gid = '{8D8B7C2E-0000-4000-8000-00000000000A}'", r#"(f."gid" = $1::uuid)"#),
        ("name = NULL OR NULL = NULL", r#"((f."name" = null) or (null = null))"#),
        ("'1'='1'", "($1::text = $2::text)"),
        ("NOT NOT NOT pop IS NULL", r#"(not (f."pop" is null))"#),
        ("shape IS NULL", r#"(not (f."geom" is not null))"#),
        ("db.owner.t.SHAPE IS NOT NULL", r#"(f."geom" is not null)"#),
        ("name NOT LIKE '50!%%' ESCAPE '!'", r#"(not (f."name"::text like $1::text::text escape $2::text))"#),
        (r"name LIKE 'back\'", r#"(f."name"::text like $1::text::text escape '')"#),
    ]);
}

#[test]
fn integers_do_not_overflow_and_doubles_stay_in_range() {
    expect(&[
        ("9223372036854775807 + pop > 0", r#"(($1::bigint::numeric + f."pop"::numeric) > $2::bigint)"#),
        (
            "pop + 1 * 2 - 3 = 4 / 0",
            r#"(((f."pop"::numeric + ($1::bigint::numeric * $2::bigint::numeric)::numeric)::numeric - $3::bigint::numeric) = div($4::bigint::numeric, nullif($5::bigint::numeric, 0)))"#,
        ),
        ("- pop < -(-5)", r#"(($1::bigint::numeric - f."pop"::numeric) < $2::bigint)"#),
        (
            "depth / pop > 2.5",
            r#"((select case when (arg.a = 0 or abs(arg.a) between 1e-150 and 1e150) and (arg.b = 0 or abs(arg.b) between 1e-150 and 1e150) then arg.a / nullif(arg.b, 0) end from (select f."depth"::float8 as a, f."pop"::float8 as b offset 0) as arg) > $1::float8)"#,
        ),
        ("MOD(pop, 0) = 1", r#"(mod(f."pop"::numeric, nullif($1::bigint::numeric, 0)) = $2::bigint)"#),
        (
            "MOD(depth, 2) = 1",
            r#"((select case when (arg.a = 0 or abs(arg.a) between 1e-150 and 1e150) and (arg.b = 0 or abs(arg.b) between 1e-150 and 1e150) then mod(arg.a::numeric, nullif(arg.b, 0)::numeric)::float8 end from (select f."depth"::float8 as a, $1::bigint::float8 as b offset 0) as arg) = $2::bigint)"#,
        ),
        (
            "LN(pop) > 1",
            r#"((select case when arg.a > 0 then ln(arg.a) end from (select f."pop"::float8 as a offset 0) as arg) > $1::bigint)"#,
        ),
        ("ROUND(depth, 2) = 0.5", r#"(round(f."depth"::numeric, $1::int)::float8 = $2::float8)"#),
        (
            "ROUND(pop, id) = 10",
            r#"(round(f."pop"::numeric, (select case when abs(arg.a) <= 300 then arg.a end from (select f."id"::numeric as a offset 0) as arg)::int) = $1::bigint)"#,
        ),
        (
            "CASE pop WHEN 1 THEN 'a' WHEN 2 THEN name END = 'a'",
            r#"((case f."pop" when $1::bigint then $2::text when $3::bigint then f."name" end) = $4::text)"#,
        ),
        ("name = CURRENT_USER", r#"(f."name" = null)"#),
        (
            "CASE WHEN pop > 1 THEN 1 ELSE 2.5 END > 1",
            r#"((case when (f."pop" > $1::bigint) then $2::bigint::float8 else $3::float8::float8 end) > $4::bigint)"#,
        ),
        (
            "COALESCE(pop, depth, 1.5) = 1.5",
            r#"(coalesce(f."pop"::float8, f."depth"::float8, $1::float8::float8) = $2::float8)"#,
        ),
    ]);
}

#[test]
fn a_product_of_many_integers_stays_within_what_can_be_compared() {
    let product = |n: usize| sql(&format!("{} > 1.5", vec!["pop"; n].join(" * "))).unwrap();
    assert!(!product(10).contains("arg"), "{}", product(10));
    // One guard keeps all before it within bounds.
    assert_eq!(product(11).matches("abs(arg.a * arg.b) < 1e200").count(), 1, "{}", product(11));
    assert_eq!(product(13).matches("abs(arg.a * arg.b) < 1e200").count(), 3, "{}", product(13));
    let sum = sql(&format!("({0}) * ({0}) * pop > 1", ["pop * pop * pop * pop * pop"; 2].join(" + "))).unwrap();
    assert_eq!(sum.matches("abs(arg.a * arg.b) < 1e200").count(), 1, "{sum}");
}

#[test]
fn a_single_is_compared_with_singles() {
    expect(&[
        ("height = 12.3", r#"(f."height" = $1::real)"#),
        ("12.3 < height", r#"($1::real < f."height")"#),
        ("height BETWEEN 0.1 AND 12.3", r#"(f."height" between $1::real and $2::real)"#),
        ("height IN (12.3, 4, NULL)", r#"((f."height" = any($1::real[])) or null)"#),
        ("height = 16777217", r#"(f."height" = $1::bigint)"#),
        ("height = 1e300", r#"(f."height" = $1::float8)"#),
        (
            "CAST(depth AS REAL) = 12.3",
            r#"((select case when arg.a = 0 or abs(arg.a) between 1.2e-38 and 3.4e38 then arg.a::real end from (select f."depth"::float8 as a offset 0) as arg) = $1::real)"#,
        ),
    ]);
}

#[test]
fn a_flag_is_compared_with_0_and_1() {
    expect(&[
        ("open", r#"f."open""#),
        ("open = 1", r#"(f."open" = true)"#),
        ("open = '1'", r#"(f."open" = true)"#),
        ("open IN (0, 1)", r#"(f."open"::int = any($1::bigint[]))"#),
        ("open <> 2", r#"(f."open"::int <> $1::bigint)"#),
        ("open = TRUE AND pop = TRUE", r#"((f."open" = true) and (f."pop" = $1::bigint))"#),
        ("open + 1 = 2", r#"((f."open"::int::numeric + $1::bigint::numeric) = $2::bigint)"#),
        ("COALESCE(open, 0) = 0", r#"(coalesce(f."open", false) = false)"#),
    ]);
}

#[test]
fn lists_of_literals_are_one_bound_array() {
    expect(&[
        ("pop IN (1, 2, 3)", r#"(f."pop" = any($1::bigint[]))"#),
        ("pop NOT IN (1, NULL)", r#"(not ((f."pop" = any($1::bigint[])) or null))"#),
        ("pop IN (1.5, 2)", r#"(f."pop" = any($1::float8[]))"#),
        ("pop IN (NULL)", r#"(f."pop" in (null))"#),
        ("pop IN (1, pop + 1)", r#"(f."pop" in ($1::bigint, (f."pop"::numeric + $2::bigint::numeric)))"#),
        ("name IN ('a', 'b')", r#"(f."name" = any($1::text[]))"#),
        (
            "gid IN ('{8D8B7C2E-0000-4000-8000-00000000000A}','8d8b7c2e-0000-4000-8000-00000000000b')",
            r#"(f."gid" = any($1::uuid[]))"#,
        ),
        (
            "made IN (TIMESTAMP '2024-01-31 10:00:00', '2024-02-01')",
            r#"(f."made" = any(array(select timestamptz 'epoch' + v / 1000000 * interval '1 second' + v % 1000000 * interval '1 microsecond' from unnest($1::bigint[]) as v)))"#,
        ),
        (
            "day IN (DATE '2024-01-31')",
            r#"(f."day" = any(array(select date 'epoch' + v::int from unnest($1::bigint[]) as v)))"#,
        ),
        (
            "day in ('2024-01-31', '2024-01-31 10:00:00')",
            r#"(f."day" in ((date 'epoch' + $1::int), (timestamptz 'epoch' + $2::bigint * interval '1 second')))"#,
        ),
        (
            "hour IN (TIME '10:00:00', '11:00')",
            r#"(f."hour" = any(array(select time '00:00' + v * interval '1 microsecond' from unnest($1::bigint[]) as v)))"#,
        ),
    ]);
}

#[test]
fn dates_are_whole_numbers_since_1970() {
    expect(&[
        (
            "made BETWEEN TIMESTAMP '2024-01-01 00:00:00' AND DATE '2024-02-01'",
            r#"(f."made" between (timestamptz 'epoch' + $1::bigint * interval '1 second') and (timestamptz 'epoch' + $2::bigint * interval '1 second'))"#,
        ),
        ("made >= '2024-01-31 10:00:00'", r#"(f."made" >= (timestamptz 'epoch' + $1::bigint * interval '1 second'))"#),
        ("day = '2024-01-31'", r#"(f."day" = (date 'epoch' + $1::int))"#),
        (
            "hour < TIME '10:30:00' OR hour > CURRENT_TIME",
            r#"((f."hour" < (time '00:00' + $1::bigint * interval '1 microsecond')) or (f."hour" > localtime))"#,
        ),
        (
            "made >= CURRENT_TIMESTAMP - INTERVAL '1' DAY",
            r#"(f."made" >= (current_timestamp + $1::bigint * interval '1 microsecond'))"#,
        ),
        ("made > CURRENT_DATE - 7", r#"(f."made" > (current_date + $1::int))"#),
        (
            "made > CURRENT_DATE - 0.5",
            r#"(f."made" > (current_date + (select case when abs(arg.a) <= 1461000 then arg.a end from (select $1::float8::float8 as a offset 0) as arg) * interval '1 day'))"#,
        ),
        (
            "made > CURRENT_DATE - pop",
            r#"(f."made" > (current_date + (select case when abs(arg.a) <= 1461000 then arg.a end from (select ($1::bigint::numeric - f."pop"::numeric)::numeric as a offset 0) as arg)::int))"#,
        ),
        (
            "made + INTERVAL '3' MONTH < CURRENT_TIMESTAMP",
            r#"((select case when arg.a >= '0001-01-01' and arg.a < '10000-01-01' then arg.a + arg.b end from (select f."made" as a, $1::int * interval '1 month' as b offset 0) as arg) < current_timestamp)"#,
        ),
        (
            "hour - INTERVAL '30' MINUTE < '10:00'",
            r#"((f."hour" + $1::bigint * interval '1 microsecond') < (time '00:00' + $2::bigint * interval '1 microsecond'))"#,
        ),
        (
            "EXTRACT(YEAR FROM made) = 2024 AND EXTRACT(SECOND FROM hour) < 30.5",
            r#"((extract(year from f."made"::timestamp) = $1::bigint) and (extract(second from f."hour")::float8 < $2::float8))"#,
        ),
    ]);
}

#[test]
fn functions_on_text() {
    expect(&[
        ("UPPER(name) LIKE '%ABC%'", r#"(upper(f."name"::text)::text like $1::text::text escape '')"#),
        ("name || '-' || name = 'a-a'", r#"(((f."name"::text || $1::text::text)::text || f."name"::text) = $2::text)"#),
        (
            "CHAR_LENGTH(name) > 3 AND CONCAT(name, 'x') <> LOWER(name)",
            r#"((char_length(f."name"::text) > $1::bigint) and (concat(f."name"::text, $2::text::text) <> lower(f."name"::text)))"#,
        ),
        ("POSITION('a' IN name) > 0", r#"(position($1::text::text in f."name"::text) > $2::bigint)"#),
        ("SUBSTRING(name, 1, 3) = 'abc'", r#"(substring(f."name"::text, $1::int, $2::int) = $3::text)"#),
        (
            "SUBSTRING(name FROM 2 FOR id) = 'b'",
            r#"(substring(f."name"::text, $1::int, (select case when arg.a <= 1000000000 then greatest(arg.a, 0) end from (select f."id"::numeric as a offset 0) as arg)::int) = $2::text)"#,
        ),
        (
            "SUBSTRING(name, 1, -5) = ''",
            r#"(substring(f."name"::text, $1::int, (select case when arg.a <= 1000000000 then greatest(arg.a, 0) end from (select $2::bigint::numeric as a offset 0) as arg)::int) = $3::text)"#,
        ),
        (
            "TRIM(name) = 'a' OR TRIM(LEADING FROM name) = 'a' OR TRIM(TRAILING '0' FROM name) = ''",
            r#"((btrim(f."name"::text, $1::text::text) = $2::text) or (ltrim(f."name"::text, $3::text::text) = $4::text) or (rtrim(f."name"::text, $5::text::text) = $6::text))"#,
        ),
    ]);
}

#[test]
fn casts_give_null_where_there_is_no_value() {
    expect(&[
        (
            "CAST(name AS FLOAT) = 5.5",
            r#"((select case when arg.a ~* '^ *[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})(e[+-]?[0-9]{1,2})? *$' then arg.a::numeric end from (select f."name"::text as a offset 0) as arg)::float8 = $1::float8)"#,
        ),
        (
            "CAST(depth AS INT) = 5",
            r#"((select case when round(arg.a) between -2147483648 and 2147483647 then round(arg.a)::bigint end from (select f."depth"::float8 as a offset 0) as arg) = $1::bigint)"#,
        ),
        ("CAST(open AS INTEGER) = 1", r#"(f."open"::int = $1::bigint)"#),
        ("CAST(made AS DATE) = '2024-01-31'", r#"(f."made"::date = (date 'epoch' + $1::int))"#),
        ("CAST('2024-01-31' AS DATE) = day", r#"((date 'epoch' + $1::int)::date = f."day")"#),
        ("CAST(pop AS VARCHAR(10)) = '5'", r#"(left(f."pop"::text, $1::int) = $2::text)"#),
        (
            "CAST(gid AS VARCHAR(38)) LIKE '{8D%'",
            r#"(left(('{' || upper(f."gid"::text) || '}'), $1::int)::text like $2::text::text escape '')"#,
        ),
        (
            "CAST(made AS VARCHAR) LIKE '2024%'",
            r#"(to_char(f."made"::timestamp, 'YYYY-MM-DD HH24:MI:SS')::text like $1::text::text escape '')"#,
        ),
        (
            "gid = name",
            r#"(f."gid" = (select case when arg.a ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then arg.a::uuid end from (select btrim(f."name"::text, ' {}') as a offset 0) as arg))"#,
        ),
    ]);
}

#[test]
fn without_a_geometry_column_no_row_has_a_geometry() {
    let predicate = Predicate::parse("shape IS NOT NULL", &fields()).unwrap();
    let mut fragment = Fragment::default();
    render(&predicate, &[], None, "f", &mut fragment);
    assert_eq!(fragment.text(), "false");
}

#[test]
fn nested_calls_write_their_argument_once() {
    let clause = format!("{}pop{} > 1", "LN(".repeat(60), ")".repeat(60));
    let text = sql(&clause).unwrap();
    assert_eq!(text.matches("\"pop\"").count(), 1);
    // Without this the planner writes it out, 2⁶⁰ times.
    assert_eq!(text.matches(" offset 0)").count(), 60);
}

/// What is sent to break out of a literal, a name or the clause.
const HOSTILE: &[&str] = &[
    "' OR '1'='1",
    "' OR 1=1 --",
    "' OR 1=1 #",
    "' OR 1=1 /*",
    "'; drop table evil; --",
    "') OR ('1'='1",
    "'' OR evil",
    "\\' OR evil --",
    "\\'; drop table evil --",
    "%27 OR evil",
    "’ OR evil",
    "ʼ OR evil",
    "＇ OR evil",
    "$$ OR evil $$",
    "$1",
    "$tag$evil$tag$",
    "E'evil\\''",
    "U&'\\0027evil'",
    "B'101'",
    "X'evil'",
    "\"evil\"",
    "pop\" = 1 or \"evil",
    "\" or evil --",
    "pop::text = 'evil'",
    "pop = 1::evil",
    "(select evil from users)",
    "pop = (select 1)",
    "EXISTS (SELECT 1 FROM evil)",
    "pop IN (SELECT evil FROM users)",
    "1=1 UNION SELECT evil FROM users",
    "1=1 ORDER BY evil",
    "1=1 LIMIT 1",
    "pg_sleep(10) IS NULL",
    "pg_catalog.pg_sleep(10) IS NULL",
    "current_setting('evil') = 'a'",
    "pg_read_file('/etc/passwd') LIKE '%evil%'",
    "query_to_xml('evil', true, true, '') IS NULL",
    "lo_import('/etc/passwd') > 0",
    "dblink('evil', 'evil') IS NULL",
    "name ~ '^evil'",
    "name SIMILAR TO 'evil'",
    "name COLLATE \"evil\" = 'a'",
    "f.ctid = '(0,1)'",
    "pop = ANY (ARRAY[1])",
];

#[test]
fn s1_nothing_of_a_clause_becomes_text() {
    let harmless = sql("name = 'x' AND pop > 1").unwrap();
    for payload in HOSTILE {
        // As a clause of its own it is refused.
        if let Ok(text) = sql(payload) {
            panic!("{payload} became {text}");
        }
        // As a text, it is bound: the statement is that of any other text.
        let doubled = payload.replace('\'', "''");
        assert_eq!(sql(&format!("name = '{doubled}' AND pop > 1")).as_deref(), Ok(&*harmless));
        // Between quotes that it may break out of, it is refused or says what anybody may say.
        for clause in [format!("name = '{payload}' AND pop > 1"), format!("pop = {payload}")] {
            let Ok(text) = sql(&clause) else { continue };
            assert!(!text.contains("evil"), "{clause} became {text}");
            for word in text.split(|c: char| !c.is_alphanumeric() && c != '_') {
                let known = ["", "f", "name", "pop", "text", "bigint", "and", "or", "1", "2", "3", "4"];
                assert!(known.contains(&word), "{clause} became {text}");
            }
        }
    }
}
