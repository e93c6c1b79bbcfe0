//! How large integers can become in a clause. They are computed as `numeric`, which holds far more than a double: a product that goes on for long
//! enough could not be compared with one.

use crate::model::predicate::{Expr, Function, Operator, Type};

/// Up to so many digits, a product needs no guard; sums of products have a few more. A double has 308.
const MAX_DIGITS: u32 = 200;

/// The most digits of any integer that is stored or written.
const DIGITS: u32 = 19;

/// Whether the product of two integers may be beyond what can be compared.
pub(super) fn may_exceed(left: &Expr, right: &Expr) -> bool {
    digits(left).saturating_add(digits(right)) > MAX_DIGITS
}

/// How many digits an integer has at most, where products that may exceed the limit are guarded.
fn digits(expr: &Expr) -> u32 {
    let most = |exprs: &mut dyn Iterator<Item = &Expr>| exprs.map(digits).max().unwrap_or_default();
    match expr {
        Expr::Binary { operator, left, right, value_type: Type::Integer } => match operator {
            Operator::Multiply => digits(left).saturating_add(digits(right)).min(MAX_DIGITS),
            Operator::Add | Operator::Subtract => digits(left).max(digits(right)).saturating_add(1),
            Operator::Divide | Operator::Concat => digits(left),
        },
        Expr::Case { branches, otherwise, .. } => {
            most(&mut branches.iter().map(|(_, result)| result).chain(otherwise.as_deref()))
        }
        // Rounding may carry over into one digit more.
        Expr::Call { function: Function::CharLength | Function::Position, .. } => DIGITS,
        Expr::Call { arguments, .. } => most(&mut arguments.iter()).saturating_add(1),
        _ => DIGITS,
    }
}
