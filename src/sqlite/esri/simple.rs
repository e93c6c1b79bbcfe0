//! Whether lines cross or touch themselves, which geometry blobs say of them.

/// The most comparisons of two segments for each segment of a line; beyond, it is not known.
const COMPARISONS_PER_SEGMENT: usize = 64;

/// A segment, with the smaller end first.
struct Segment {
    ends: [[i64; 2]; 2],
    /// Its position among all segments, counted over the points between parts too: neighbours in a path follow each other.
    index: usize,
    /// Which of the ends are those of the path: a bit for each.
    path_ends: u8,
}

/// Whether lines, given as points with (-1, 0) between their paths, meet each other and themselves at most at the ends of paths.
/// Lines that are too dear to compare count as not simple, which is what a writer says that does not know.
pub(super) fn is_simple(cells: &[[i64; 4]]) -> bool {
    let mut segments = segments(cells);
    segments.sort_unstable_by_key(|segment| segment.ends[0]);
    let mut left = segments.len().saturating_mul(COMPARISONS_PER_SEGMENT);
    for (position, segment) in segments.iter().enumerate() {
        let reach = segment.ends[1][0];
        for other in segments[position + 1..].iter().take_while(|other| other.ends[0][0] <= reach) {
            left = match left.checked_sub(1) {
                Some(left) => left,
                None => return false,
            };
            if !may_meet(segment, other) {
                return false;
            }
        }
    }
    true
}

fn segments(cells: &[[i64; 4]]) -> Vec<Segment> {
    let mut segments = Vec::with_capacity(cells.len());
    let mut index = 0;
    for path in cells.split(|cell| cell[0] == -1 && cell[1] == 0) {
        let n_pairs = path.len().saturating_sub(1);
        for (at, pair) in path.windows(2).enumerate() {
            // One that goes nowhere is none.
            if pair[0][..2] == pair[1][..2] {
                continue;
            }
            let (from, to) = ([pair[0][0], pair[0][1]], [pair[1][0], pair[1][1]]);
            let (begins, ends) = (u8::from(at == 0), u8::from(at + 1 == n_pairs));
            segments.push(match from < to {
                true => Segment { ends: [from, to], index, path_ends: begins | ends << 1 },
                false => Segment { ends: [to, from], index, path_ends: ends | begins << 1 },
            });
            index += 1;
        }
        // The next path is no neighbour of this one.
        index += 1;
    }
    segments
}

/// Whether what two segments have in common, if anything, is a point that they may share.
fn may_meet(a: &Segment, b: &Segment) -> bool {
    let ([a0, a1], [b0, b1]) = (a.ends, b.ends);
    if a0[1].min(a1[1]) > b0[1].max(b1[1]) || b0[1].min(b1[1]) > a0[1].max(a1[1]) || b0[0] > a1[0] {
        return true;
    }
    let sides = [side(a0, a1, b0), side(a0, a1, b1), side(b0, b1, a0), side(b0, b1, a1)];
    if sides == [0; 4] {
        // On one line: they share nothing, an end of both, or a stretch.
        return match a1.cmp(&b0) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => may_share(a, 1, b, 0),
            std::cmp::Ordering::Greater => false,
        };
    }
    if sides[0] * sides[1] > 0 || sides[2] * sides[3] > 0 {
        return true;
    }
    // They meet in one point: a common end, or within one of them.
    for (end, at) in a.ends.iter().enumerate() {
        if let Some(other) = b.ends.iter().position(|there| there == at) {
            return may_share(a, end, b, other);
        }
    }
    false
}

fn may_share(a: &Segment, end: usize, b: &Segment, other: usize) -> bool {
    let are_path_ends = a.path_ends >> end & 1 == 1 && b.path_ends >> other & 1 == 1;
    are_path_ends || a.index.abs_diff(b.index) == 1
}

/// On which side of the line from `from` to `to` a point lies: 1, -1, or 0 if on it.
fn side(from: [i64; 2], to: [i64; 2], point: [i64; 2]) -> i8 {
    let difference =
        |a: [i64; 2], b: [i64; 2]| (i128::from(a[0]) - i128::from(b[0]), i128::from(a[1]) - i128::from(b[1]));
    let ((ax, ay), (bx, by)) = (difference(to, from), difference(point, from));
    match (ax * by - bx * ay).signum() {
        1 => 1,
        -1 => -1,
        _ => 0,
    }
}
