//! Records that are related to features, and attachments of features.

use crate::model::{
    layer::{Layer, attachment},
    query::{AttachmentQuery, Columns, Page, RelatedQuery},
};

use super::{
    fragment::Fragment,
    select::{and_visible, column, list, sort},
    selection::{Past, Selection, conditions, source},
};

/// The two ends of a relationship, now or at a past moment.
pub(crate) struct Ends<'a> {
    /// What is asked.
    pub(crate) query: &'a RelatedQuery,
    /// The past whose rows are asked for.
    pub(crate) past: Option<Past>,
}

/// The records related to features, feature by feature. Columns: object id of the feature; then those of the record.
pub(crate) fn records(ends: &Ends<'_>, page: &Page, limit: i64) -> Fragment {
    let RelatedQuery { layer, related, .. } = ends.query;
    let mut out = Fragment::new("-- related_records\nselect f.");
    out.ident(&column(layer, layer.object_id)).sql("::int8, ");
    list(related, &page.columns, "n", &mut out);
    join(ends, " join ", &mut out);
    out.sql("\norder by f.").ident(&column(layer, layer.object_id)).sql(", ");
    sort(related, &page.order, &mut out);
    out.sql("\nlimit ").bind(limit).sql(" offset ").bind(page.offset);
    out
}

/// How many records are related to each of the features. Columns: object id of the feature, number.
pub(crate) fn counts(ends: &Ends<'_>) -> Fragment {
    let RelatedQuery { layer, related, .. } = ends.query;
    let mut out = Fragment::new("-- related_counts\nselect f.");
    out.ident(&column(layer, layer.object_id)).sql("::int8, count(n.").ident(&column(related, related.object_id));
    out.sql(")");
    join(ends, " left join ", &mut out);
    out.sql("\ngroup by 1 order by 1");
    out
}

/// Appends `from features f join records n on … where …`.
fn join(ends: &Ends<'_>, how: &'static str, out: &mut Fragment) {
    let RelatedQuery { layer, layer_field, object_ids, related, related_field, choice, .. } = ends.query;
    out.sql("\nfrom ");
    source(layer, ends.past, "f", out);
    out.sql(how);
    source(related, ends.past, "n", out);
    out.sql(" on n.").ident(&column(related, *related_field)).sql(" = f.").ident(&column(layer, *layer_field));
    out.sql(" and ");
    conditions(related, &Selection { choice: Some(choice), ..Selection::default() }, "n", out);
    out.sql("\nwhere f.").ident(&column(layer, layer.object_id)).sql(" = any(").bind(object_ids.clone()).sql(")");
    and_visible(layer, "f", out);
}

/// The attachments of features, feature by feature. Columns: object id of the feature; then all of the attachment.
pub(crate) fn attachments(
    features: &Layer,
    table_of: &Layer,
    query: &AttachmentQuery,
    past: Option<Past>,
    limit: i64,
) -> Fragment {
    let mut out = Fragment::new("-- attachment_query\nselect f.");
    out.ident(&column(features, features.object_id)).sql("::int8, ");
    list(table_of, &Columns::all(table_of, 0), "n", &mut out);
    attached(features, table_of, query, past, &mut out);
    out.sql("\norder by f.").ident(&column(features, features.object_id)).sql(", ");
    sort(table_of, &query.order, &mut out);
    out.sql("\nlimit ").bind(limit).sql(" offset ").bind(query.offset);
    out
}

/// How many attachments each feature has that has some. Columns: object id and global id of the feature, number.
pub(crate) fn attachment_counts(
    features: &Layer,
    table_of: &Layer,
    query: &AttachmentQuery,
    past: Option<Past>,
    limit: i64,
) -> Fragment {
    let mut out = Fragment::new("-- attachment_counts\nselect f.");
    out.ident(&column(features, features.object_id)).sql("::int8, f.").ident(&column(features, features.global_id));
    out.sql(", count(*)");
    attached(features, table_of, query, past, &mut out);
    out.sql("\ngroup by 1, 2 order by 1\nlimit ").bind(limit).sql(" offset ").bind(query.offset);
    out
}

/// Appends `from attachments n join features f on … where …`.
fn attached(features: &Layer, table_of: &Layer, query: &AttachmentQuery, past: Option<Past>, out: &mut Fragment) {
    out.sql("\nfrom ");
    source(table_of, past, "n", out);
    out.sql(" join ");
    source(features, past, "f", out);
    out.sql(" on f.").ident(&column(features, features.global_id));
    out.sql(" = n.").ident(&column(table_of, attachment::PARENT)).sql("\nwhere ");
    conditions(features, &Selection { choice: Some(&query.features), ..Selection::default() }, "f", out);
    if let Some(clause) = &query.clause {
        out.sql("\n  and (");
        super::predicate::render(clause, &super::select::columns(table_of), None, "n", out);
        out.sql(")");
    }
    if !query.types.is_empty() {
        let patterns: Vec<String> = query.types.iter().map(|wanted| pattern(wanted)).collect();
        out.sql("\n  and lower(n.").ident(&column(table_of, attachment::CONTENT_TYPE)).sql(") like any(");
        out.bind(patterns).sql(")");
    }
    let size = column(table_of, attachment::SIZE);
    for (bound, comparison) in [(query.size_bytes.0, " >= "), (query.size_bytes.1, " <= ")] {
        if let Some(bound) = bound {
            out.sql("\n  and n.").ident(&size).sql(comparison).bind(bound);
        }
    }
    if !query.keywords.is_empty() {
        out.sql("\n  and exists (select from unnest(string_to_array(n.").ident(&column(table_of, attachment::KEYWORDS));
        out.sql(", ',')) k where lower(btrim(k)) = any(").bind(query.keywords.clone()).sql("))");
    }
}

/// The pattern of `LIKE` for a media type that may end in a star.
fn pattern(wanted: &str) -> String {
    let (start, any) = match wanted.strip_suffix('*') {
        Some(start) => (start, "%"),
        None => (wanted, ""),
    };
    let mut pattern = String::with_capacity(wanted.len() + 1);
    for c in start.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern + any
}
