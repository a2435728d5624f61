//! What requests cost, by the rules that AWS publishes.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>

use serde_json::Value;

use super::expression::Item;

/// What requests have cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Units {
    /// Requests.
    pub requests: usize,
    /// Read units: each is 4 KB read consistently, or 8 KB eventually consistently.
    pub reads: f64,
    /// Write units of tables: each is 1 KB written, or half of that in a transaction.
    pub writes: f64,
    /// Write units of secondary indexes.
    pub index_writes: f64,
}

/// The size of an item in bytes, with the names of its attributes.
pub(super) fn size(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_size(value))
        .sum()
}

fn value_size(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|typed| typed.iter().next()) else {
        panic!("{value} is no value of DynamoDB's");
    };
    match (kind.as_str(), value) {
        ("S", Value::String(text)) => text.len(),
        // Two digits take a byte, and there is one for sign and exponent.
        ("N", Value::String(number)) => {
            let digits = number.chars().filter(char::is_ascii_digit).count();
            digits.div_ceil(2) + 1
        }
        ("BOOL" | "NULL", _) => 1,
        ("L", Value::Array(list)) => {
            3 + list
                .iter()
                .map(|value| 1 + value_size(value))
                .sum::<usize>()
        }
        ("M", Value::Object(map)) => 3 + map.len() + size(map),
        _ => panic!("the size of a value of type {kind} is not known here"),
    }
}

/// Read units of so many bytes, read at once.
#[expect(clippy::cast_precision_loss, reason = "no test reads that much")]
pub(super) fn reads(bytes: usize, is_consistent: bool) -> f64 {
    let units = bytes.div_ceil(4096).max(1) as f64;
    if is_consistent { units } else { units / 2.0 }
}

/// Write units of an item that has this size before and after.
#[expect(clippy::cast_precision_loss, reason = "no test writes that much")]
pub(super) fn writes(before: Option<&Item>, after: Option<&Item>) -> f64 {
    let bytes = before.map_or(0, size).max(after.map_or(0, size));
    bytes.div_ceil(1024).max(1) as f64
}
