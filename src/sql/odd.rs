//! Which rows have values that clients cannot be given.

use crate::model::{layer::Layer, value::FieldType};

use super::{
    fragment::{Fragment, Ident},
    predicate,
    select::{column, table},
    shape,
};

/// Why a value is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// A geometry of another type or spatial reference than the layer's.
    Misfit,
    /// A geometry that lies where its spatial reference has no places.
    Nowhere,
    /// A number in a field that is none, infinite, or too great for a double.
    Number(usize),
    /// An instant or a day in a field that is infinite or not of the years 1 to 9999.
    Moment(usize),
}

/// What may be odd in rows of a layer, as far as its columns allow it.
pub(crate) fn possible(layer: &Layer) -> Vec<Oddity> {
    let misfit = layer.shape.iter().filter(|shape| !shape.declared).map(|_| Oddity::Misfit);
    let of_fields = layer.fields.iter().enumerate().filter_map(|(index, field)| match field.field_type {
        FieldType::Single | FieldType::Double => Some(Oddity::Number(index)),
        FieldType::Date | FieldType::DateOnly => Some(Oddity::Moment(index)),
        _ => None,
    });
    misfit.chain(layer.shape.iter().map(|_| Oddity::Nowhere)).chain(of_fields).collect()
}

/// The first rows in which something is odd. Columns: object id, the position of the first of the oddities that it has.
pub(crate) fn rows(layer: &Layer, oddities: &[Oddity], limit: i64) -> Fragment {
    let mut out = Fragment::new("-- odd_rows\nselect s.id, s.oddity from (select n.");
    out.ident(&column(layer, layer.object_id)).sql("::int8 as id, case");
    for (position, oddity) in oddities.iter().enumerate() {
        out.sql("\n  when ");
        is(layer, *oddity, &mut out);
        out.sql(" then ").number(position);
    }
    // Worked out once for each row.
    out.sql(" end as oddity\nfrom ").ident(&table(layer)).sql(" n offset 0) s where s.oddity is not null limit ");
    out.bind(limit);
    out
}

/// Appends whether a row on `n` is odd in a way.
fn is(layer: &Layer, oddity: Oddity, out: &mut Fragment) {
    match (oddity, &layer.shape) {
        (Oddity::Misfit, Some(shape)) => {
            out.sql("not (");
            shape::fits(shape, "n", out);
            out.sql(")");
        }
        (Oddity::Nowhere, Some(shape)) => {
            let geometry = Ident::new(&shape.column);
            out.sql("not ST_IsEmpty(n.").ident(&geometry).sql(") and (not (");
            shape::is_place(&geometry, "n", out);
            out.sql(") or ");
            if shape.srid == 4326 {
                // Degrees go round the world, and are written beyond 180 across the date line.
                out.sql("not n.").ident(&geometry).sql(" @ ST_MakeEnvelope(-400, -90, 400, 90, 4326)");
            } else {
                shape::in_reference(shape, "n", 4326, out);
                out.sql(" is null");
            }
            out.sql(")");
        }
        (Oddity::Misfit | Oddity::Nowhere, None) => {
            out.sql("false");
        }
        (Oddity::Number(index), _) => {
            out.sql("not abs(");
            match layer.fields[index].exceeds_double() {
                true => predicate::as_double(&column(layer, index), "n", out),
                false => {
                    out.sql("n.").ident(&column(layer, index)).sql("::float8");
                }
            }
            out.sql(") < 'infinity'");
        }
        (Oddity::Moment(index), _) => {
            out.sql("not n.").ident(&column(layer, index)).sql(" >= '0001-01-01' or not n.");
            out.ident(&column(layer, index)).sql(" < '10000-01-01'");
        }
    }
}
