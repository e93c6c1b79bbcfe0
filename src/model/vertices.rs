//! How many vertices geometries may have, told by their text before any of it is read.

/// The most vertices of one geometry.
pub const MAX_VERTICES: usize = 1_000_000;

/// The most vertices of all geometries of one request.
pub const MAX_VERTICES_OF_REQUEST: usize = 10_000_000;
/// The shortest text of a vertex, such as `[1,1],`.
pub const VERTEX_BYTES: usize = 6;

/// Whether the texts of a request have more vertices than one may have.
pub fn are_too_many(texts: &[&str]) -> bool {
    // Of what is shorter, no look is needed.
    texts.iter().map(|text| text.len()).sum::<usize>() >= MAX_VERTICES_OF_REQUEST * VERTEX_BYTES
        && texts.iter().map(|text| n_vertices(text)).sum::<usize>() > MAX_VERTICES_OF_REQUEST
}

/// How many vertices stand in a text of JSON, at most: lists that end in something else than a list or an object.
pub fn n_vertices(text: &str) -> usize {
    let mut n = 0;
    let mut before = b'[';
    for &byte in text.as_bytes() {
        n += usize::from(byte == b']' && !matches!(before, b'[' | b']' | b'}'));
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vertices_are_counted_and_what_encloses_them_is_not() {
        for (text, n) in [
            ("", 0),
            ("[]", 0),
            (r#"{"rings":[[[0,0],[0,1 ],[1,1] ,[0,0]],[]]}"#, 4),
            (r#"[{"geometry":{"x":1,"y":2}},{"attributes":{"a":null}}]"#, 0),
            (r#"{"points":[[1,2,"NaN"],[3,4,null]]}"#, 2),
        ] {
            assert_eq!(n_vertices(text), n, "{text}");
        }
    }

    #[test]
    fn a_request_has_an_end() {
        let half = "[1,1],".repeat(MAX_VERTICES_OF_REQUEST / 2);
        assert!(!are_too_many(&[&half, &half]));
        assert!(are_too_many(&[&half, &half, "[1,1]"]));
    }
}
