//! Numbers as Go parses and formats them (`strconv`, `encoding/json`).

/// An integer in Go.
pub(super) enum Integer {
    Int64(i64),
    /// Above the range of `i64`.
    Uint64(u64),
}

/// Parses an integer like Go's `ParseInt`, or like `ParseUint` if it is too large. Without a base,
/// the prefix decides as in Go's source: `0x`, `0o`, `0b`, and `0` for octal numbers.
pub(super) fn parse_int(text: &str, base: Option<u32>) -> Option<Integer> {
    let (is_negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let (base, digits) = base.map_or_else(|| split_base(digits), |base| (base, digits));
    // `from_str_radix` would accept a sign here.
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    let is_signed = digits.len() < text.len() && text.starts_with(['+', '-']);
    match i64::try_from(magnitude) {
        Ok(int) if is_negative => Some(Integer::Int64(-int)),
        Ok(int) => Some(Integer::Int64(int)),
        Err(_) if is_negative && magnitude == i64::MIN.unsigned_abs() => {
            Some(Integer::Int64(i64::MIN))
        }
        Err(_) => (!is_signed).then_some(Integer::Uint64(magnitude)),
    }
}

/// Splits off the prefix of a number. Returns its base and the digits.
fn split_base(digits: &str) -> (u32, &str) {
    let base = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => 16,
        [b'0', b'b' | b'B', ..] => 2,
        [b'0', b'o' | b'O', ..] => 8,
        [b'0', _, ..] => return (8, digits.get(1..).unwrap_or_default()),
        _ => return (10, digits),
    };
    (base, digits.get(2..).unwrap_or_default())
}

/// Parses a decimal like Go's `ParseFloat`. Returns `None` if it is out of range.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let is_decimal = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if !text.bytes().all(is_decimal) {
        return None;
    }
    let float: f64 = text.parse().ok()?;
    float.is_finite().then_some(float)
}

/// Removes underscores. Returns `None` if one is not between two digits, which Go rejects.
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

/// The shortest decimal that parses to a float: its digits with the decimal point after the first one, and its
/// exponent.
struct Shortest {
    sign: &'static str,
    digits: String,
    exponent: i32,
}

impl Shortest {
    /// Splits the output of Rust's `{:e}`, which always has a decimal exponent if the float is
    /// finite.
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

    /// Formats the number without an exponent.
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

    /// Formats the number with an exponent of at least `width` digits.
    fn scientific(&self, width: usize) -> String {
        let (first, rest) = self.digits.split_at_checked(1).unwrap_or(("0", ""));
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if self.exponent < 0 { '-' } else { '+' };
        let exponent = self.exponent.unsigned_abs();
        format!("{}{first}{point}{rest}e{sign}{exponent:0width$}", self.sign)
    }
}

/// Formats a float like Go's `FormatFloat(f, 'g', -1, 64)`, and infinities and NaN like go-yaml.
pub(super) fn general(float: f64) -> String {
    general_of(float, &format!("{float:e}"))
}

/// Formats a key, which `sigs.k8s.io/yaml` converts to 32 bits.
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
    // With the shortest precision, Go uses an exponent below 1e-4 and from 1e6 on
    // (`strconv/ftoa.go`).
    if shortest.exponent < -4 || shortest.exponent >= 6 {
        shortest.scientific(2)
    } else {
        shortest.plain()
    }
}

/// Formats a float like `encoding/json`. Returns `None` if it is infinite or NaN.
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
