//! The order of keys in emitted YAML (`go.yaml.in/yaml/v2`, `sorter.go`): numbers inside keys
//! compare by value, and letters come last.

/// Sorts members by their keys.
///
/// The order has cycles, for example `a11`, `a100`, `a10b`. The standard library may panic on them;
/// this merge sort always ends.
pub(super) fn sort<T>(members: Vec<(String, T)>) -> Vec<(String, T)> {
    if members.len() < 2 {
        return members;
    }
    let mut left = members;
    let right = sort(left.split_off(left.len() / 2));
    let left = sort(left);
    let mut sorted = Vec::with_capacity(left.len() + right.len());
    let mut right = right.into_iter().peekable();
    for member in left {
        while let Some(earlier) = right.next_if(|other| is_less(&other.0, &member.0)) {
            sorted.push(earlier);
        }
        sorted.push(member);
    }
    sorted.extend(right);
    sorted
}

fn is_less(a: &str, b: &str) -> bool {
    let common = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    let before: usize = common.map(|(c, _)| c.len_utf8()).sum();
    let (Some((same, a)), Some((_, b))) = (a.split_at_checked(before), b.split_at_checked(before))
    else {
        return false;
    };
    let (Some(first_a), Some(first_b)) = (a.chars().next(), b.chars().next()) else {
        return a.len() < b.len();
    };
    match (first_a.is_alphabetic(), first_b.is_alphabetic()) {
        (true, true) => return first_a < first_b,
        (true, false) | (false, true) => return first_b.is_alphabetic(),
        (false, false) => {}
    }
    // A zero belongs to the number if a digit other than zero precedes it in the common prefix.
    let is_within = (first_a == '0' || first_b == '0')
        && same
            .bytes()
            .rev()
            .take_while(u8::is_ascii_digit)
            .any(|digit| digit != b'0');
    let (number_a, length_a) = number(a, is_within);
    let (number_b, length_b) = number(b, is_within);
    (number_a, length_a, first_a) < (number_b, length_b, first_b)
}

/// Returns the number at the beginning and its length in digits. Overflow wraps, as in Go.
fn number(text: &str, is_within: bool) -> (i64, usize) {
    let digits = text.bytes().take_while(u8::is_ascii_digit);
    digits.fold((i64::from(is_within), 0), |(number, length), digit| {
        let digit = i64::from(digit - b'0');
        (number.wrapping_mul(10).wrapping_add(digit), length + 1)
    })
}
