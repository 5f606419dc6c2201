//! Reports bulk: literals with many elements, long strings, numbers without end, and constants that
//! are repeated beyond reason.

use ruff_python_ast::{Expr, Number, Operator, UnaryOp};
use ruff_text_size::Ranged;

use crate::ObservationKind as Kind;
use crate::observe::Observer;
use crate::report::Seen;

/// Elements from which a literal is reported.
const ELEMENTS_MIN: u64 = 256;
/// Bytes from which a string is reported.
const TEXT_BYTES_MIN: usize = 2_048;
/// Number literals in a module from which their sum is reported.
const NUMBERS_MIN: u32 = 1_024;
/// Elements from which the repetition of a constant is reported.
const REPETITION_MIN: f64 = 1e6;
/// Bits from which a power of constants is reported.
const POWER_BITS_MIN: f64 = 1e5;

impl Observer<'_, '_> {
    /// A literal or an operation on constants.
    pub(crate) fn see_bulk(&mut self, expression: &Expr) {
        match expression {
            Expr::List(list) => self.see_elements(expression, "list", list.elts.len()),
            Expr::Tuple(tuple) => self.see_elements(expression, "tuple", tuple.elts.len()),
            Expr::Set(set) => self.see_elements(expression, "set", set.elts.len()),
            Expr::Dict(dict) => self.see_elements(expression, "dict", dict.items.len()),
            Expr::BytesLiteral(bytes) if bytes.value.len() >= TEXT_BYTES_MIN => {
                self.see_count(expression, "bytes", &bytes.value.len().to_string());
            }
            Expr::NumberLiteral(number) => {
                self.numbers += 1;
                if let Number::Int(value) = &number.value
                    && value.as_i64().is_none()
                {
                    let digits = value.to_string().len();
                    self.see_count(expression, "integer", &digits.to_string());
                }
            }
            Expr::BinOp(operation) => match operation.op {
                Operator::Mult => {
                    self.see_repetition(expression, &operation.left, &operation.right);
                }
                Operator::Pow | Operator::LShift => {
                    self.see_power(expression, operation.op, &operation.left, &operation.right);
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Reports a string or docstring by its length.
    pub(crate) fn see_long_text(&mut self, node: &impl Ranged, name: &str, text: &str) {
        if text.len() >= TEXT_BYTES_MIN {
            self.see_count(node, name, &text.len().to_string());
        }
    }

    /// Reports how many numbers the module holds: a table may be cut into small pieces.
    pub(crate) fn report_numbers(&mut self) {
        if self.numbers >= NUMBERS_MIN {
            let start = ruff_text_size::TextRange::default();
            self.see_count(&start, "numbers", &self.numbers.to_string());
        }
    }

    fn see_elements(&mut self, node: &Expr, name: &str, count: usize) {
        if count as u64 >= ELEMENTS_MIN {
            self.see_count(node, name, &count.to_string());
        }
    }

    fn see_repetition(&mut self, node: &Expr, left: &Expr, right: &Expr) {
        let repeated = match (elements(left), elements(right)) {
            (Some(length), None) => constant(right).map(|times| length * times),
            (None, Some(length)) => constant(left).map(|times| length * times),
            _ => None,
        };
        if let Some(count) = repeated.filter(|count| *count >= REPETITION_MIN) {
            self.see_count(node, "repetition", &format!("{count:.0}"));
        }
    }

    fn see_power(&mut self, node: &Expr, operator: Operator, left: &Expr, right: &Expr) {
        let (Some(base), Some(exponent)) = (constant(left), constant(right)) else { return };
        let bits = match operator {
            Operator::LShift => exponent,
            _ => exponent * base.abs().max(1.0).log2(),
        };
        if bits >= POWER_BITS_MIN {
            self.see_count(node, "power", &format!("{bits:.0}"));
        }
    }

    fn see_count(&mut self, node: &impl Ranged, name: &str, count: &str) {
        self.see(node, Seen::new(Kind::LargeLiteral, name).detail(count));
    }
}

/// Elements of a sequence that is written out.
#[expect(clippy::cast_precision_loss, reason = "an order of magnitude is enough")]
fn elements(expression: &Expr) -> Option<f64> {
    match expression {
        Expr::StringLiteral(text) => Some(text.value.len() as f64),
        Expr::BytesLiteral(bytes) => Some(bytes.value.len() as f64),
        Expr::List(list) => Some(list.elts.len() as f64),
        Expr::Tuple(tuple) => Some(tuple.elts.len() as f64),
        _ => None,
    }
}

/// The value of an integer expression of constants; none beyond a few levels.
fn constant(expression: &Expr) -> Option<f64> {
    /// Levels that are looked at, so that long sums cost no more than short ones.
    const LEVELS_MAX: u32 = 6;
    constant_within(expression, LEVELS_MAX)
}

#[expect(clippy::cast_precision_loss, reason = "an order of magnitude is enough")]
fn constant_within(expression: &Expr, levels: u32) -> Option<f64> {
    let levels = levels.checked_sub(1)?;
    match expression {
        Expr::NumberLiteral(number) => match &number.value {
            Number::Int(value) => Some(value.as_i64().map_or(f64::MAX, |value| value as f64)),
            _ => None,
        },
        Expr::UnaryOp(operation) if operation.op == UnaryOp::USub => {
            constant_within(&operation.operand, levels).map(|value| -value)
        }
        Expr::BinOp(operation) => {
            let left = constant_within(&operation.left, levels)?;
            let right = constant_within(&operation.right, levels)?;
            match operation.op {
                Operator::Add => Some(left + right),
                Operator::Sub => Some(left - right),
                Operator::Mult => Some(left * right),
                Operator::Pow => Some(left.powf(right)),
                Operator::LShift => Some(left * right.exp2()),
                _ => None,
            }
        }
        _ => None,
    }
}
