//! JSON whose members are in any order.

use serde_json::{Map, Value};

/// Writes JSON with the members of each object in an order that depends on `seed`.
pub(crate) fn in_order(value: &Value, seed: u64) -> String {
    match value {
        Value::Object(members) => object_in_order(members, seed),
        Value::Array(elements) => {
            let elements = elements.iter().map(|element| in_order(element, seed));
            format!("[{}]", elements.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

fn object_in_order(members: &Map<String, Value>, seed: u64) -> String {
    let mut members = members.iter().collect::<Vec<_>>();
    members.sort_by_key(|(key, _)| {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        key.bytes().fold(seed, mix)
    });
    let members = members.into_iter().map(|(key, value)| {
        let value = in_order(value, seed);
        format!("{}: {value}", Value::from(key.as_str()))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}
