//! Numbers as Go reads and writes them (`strconv`, `encoding/json`).

use super::scalar::Meaning;

/// An integer by Go's `ParseInt`, or `ParseUint` beyond its range; without a base its prefix says it, as
/// in Go's source: `0x`, `0o`, `0b`, and `0` for octals.
pub(super) fn int_of(text: &str, base: Option<u32>) -> Option<Meaning<'static>> {
    let (is_negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let (base, digits) = base.map_or_else(|| based(digits), |base| (base, digits));
    // Rust's own parsers take a sign here.
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    let is_signed = digits.len() < text.len() && text.starts_with(['+', '-']);
    match i64::try_from(magnitude) {
        Ok(int) if is_negative => Some(Meaning::Int(-int)),
        Ok(int) => Some(Meaning::Int(int)),
        Err(_) if is_negative && magnitude == i64::MIN.unsigned_abs() => {
            Some(Meaning::Int(i64::MIN))
        }
        Err(_) => (!is_signed).then_some(Meaning::Uint(magnitude)),
    }
}

fn based(digits: &str) -> (u32, &str) {
    let base = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => 16,
        [b'0', b'b' | b'B', ..] => 2,
        [b'0', b'o' | b'O', ..] => 8,
        [b'0', _, ..] => return (8, digits.get(1..).unwrap_or_default()),
        _ => return (10, digits),
    };
    (base, digits.get(2..).unwrap_or_default())
}

/// A decimal by Go's `ParseFloat`; what is too large is none.
pub(super) fn float_of(text: &str) -> Option<f64> {
    let is_decimal = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if !text.bytes().all(is_decimal) {
        return None;
    }
    let float: f64 = text.parse().ok()?;
    float.is_finite().then_some(float)
}

/// Drops underscores, which Go takes between digits alone.
pub(super) fn without_separators(text: &str) -> Option<String> {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '_' {
            kept.push(c);
            continue;
        }
        let follows = kept.ends_with(|c: char| c.is_ascii_digit());
        if !follows || !rest.peek().is_some_and(char::is_ascii_digit) {
            return None;
        }
    }
    Some(kept)
}

/// A float's shortest form, as digits of which the first stands before the point, and an exponent.
struct Shortest {
    sign: &'static str,
    digits: String,
    exponent: i32,
}

impl Shortest {
    fn of(scientific: &str) -> Self {
        let (sign, unsigned) = match scientific.strip_prefix('-') {
            Some(unsigned) => ("-", unsigned),
            None => ("", scientific),
        };
        let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
        Self {
            sign,
            digits: mantissa.replace('.', ""),
            exponent: exponent.parse().unwrap_or_default(),
        }
    }

    /// Without an exponent.
    fn plain(&self) -> String {
        let (sign, digits) = (self.sign, &self.digits);
        let Ok(exponent) = usize::try_from(self.exponent) else {
            let zeros = "0".repeat((-1 - self.exponent).unsigned_abs() as usize);
            return format!("{sign}0.{zeros}{digits}");
        };
        let point = exponent + 1;
        match digits.split_at_checked(point) {
            Some((whole, "")) => format!("{sign}{whole}"),
            Some((whole, rest)) => format!("{sign}{whole}.{rest}"),
            None => format!("{sign}{digits}{}", "0".repeat(point - digits.len())),
        }
    }

    /// With an exponent of so many digits at least.
    fn scientific(&self, width: usize) -> String {
        let (first, rest) = self.digits.split_at_checked(1).unwrap_or(("0", ""));
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if self.exponent < 0 { '-' } else { '+' };
        let exponent = self.exponent.unsigned_abs();
        format!("{}{first}{point}{rest}e{sign}{exponent:0width$}", self.sign)
    }
}

/// As `FormatFloat(f, 'g', -1, 64)` and go-yaml have it.
pub(super) fn general(float: f64) -> String {
    general_of(float, &format!("{float:e}"))
}

/// The same for a float of 32 bits, which keys are taken for.
#[allow(
    clippy::cast_possible_truncation,
    reason = "as in `FormatFloat(f, 'g', -1, 32)`"
)]
pub(super) fn general_32(float: f64) -> String {
    general_of(float, &format!("{:e}", float as f32))
}

fn general_of(float: f64, scientific: &str) -> String {
    if float.is_nan() {
        return ".nan".to_owned();
    }
    if scientific.ends_with("inf") {
        let sign = if float < 0.0 { "-" } else { "" };
        return format!("{sign}.inf");
    }
    let shortest = Shortest::of(scientific);
    // Of the shortest form, 6 digits are written before the point at most (`strconv/ftoa.go`).
    if shortest.exponent < -4 || shortest.exponent >= 6 {
        shortest.scientific(2)
    } else {
        shortest.plain()
    }
}

/// As `encoding/json` has it; `None` for what JSON can't say.
pub(super) fn json(float: f64) -> Option<String> {
    if !float.is_finite() {
        return None;
    }
    let shortest = Shortest::of(&format!("{float:e}"));
    let magnitude = float.abs();
    Some(if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        shortest.scientific(1)
    } else {
        shortest.plain()
    })
}
