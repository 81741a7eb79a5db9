//! Times as `go.yaml.in/yaml/v2` recognises them (`resolve.go`, `parseTimestamp`), by Go's
//! `time.Parse` of `2006-1-2`, and of it with `T`, `t` or spaces and `15:4:5.999999999`; but for spaces a
//! zone has to follow, `Z` or `+07:00`.

/// Whether a scalar looks like a time.
pub(super) fn is_timestamp(text: &str) -> bool {
    parse(text.as_bytes()).is_some()
}

fn parse(text: &[u8]) -> Option<()> {
    let (year, rest) = text.split_at_checked(4)?;
    let year = digits(year)?;
    let (month, rest) = one_or_two(rest.strip_prefix(b"-")?)?;
    let (day, rest) = one_or_two(rest.strip_prefix(b"-")?)?;
    let is_date = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    let rest = match rest {
        _ if !is_date => return None,
        [] => return Some(()),
        [b'T' | b't', time @ ..] => zone(time_of_day(time)?)?,
        [b' ', time @ ..] => time_of_day(time.trim_prefix_spaces())?,
        _ => return None,
    };
    rest.is_empty().then_some(())
}

trait TrimPrefixSpaces {
    fn trim_prefix_spaces(&self) -> &Self;
}

impl TrimPrefixSpaces for [u8] {
    /// A space in a layout stands for any number of them.
    fn trim_prefix_spaces(&self) -> &Self {
        let mut rest = self;
        while let [b' ', after @ ..] = rest {
            rest = after;
        }
        rest
    }
}

/// What comes after hours, minutes and seconds.
fn time_of_day(text: &[u8]) -> Option<&[u8]> {
    let (hour, rest) = one_or_two(text)?;
    let (minute, rest) = one_or_two(rest.strip_prefix(b":")?)?;
    let (second, rest) = one_or_two(rest.strip_prefix(b":")?)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let [b'.' | b',', fraction @ ..] = rest else {
        return Some(rest);
    };
    let length = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
    Some(if length == 0 {
        rest
    } else {
        fraction.get(length..).unwrap_or_default()
    })
}

fn zone(text: &[u8]) -> Option<&[u8]> {
    let (sign, rest) = text.split_first()?;
    if *sign == b'Z' {
        return Some(rest);
    }
    let (hours, rest) = rest.split_at_checked(2)?;
    let (minutes, rest) = rest.strip_prefix(b":")?.split_at_checked(2)?;
    let is_zone = b"+-".contains(sign) && digits(hours)? <= 24 && digits(minutes)? <= 60;
    is_zone.then_some(rest)
}

fn one_or_two(text: &[u8]) -> Option<(u32, &[u8])> {
    let length = text.iter().take(2).take_while(|b| b.is_ascii_digit());
    let (number, rest) = text.split_at_checked(length.count())?;
    Some((digits(number)?, rest))
}

fn digits(text: &[u8]) -> Option<u32> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| is_number)?;
    text.parse().ok()
}

fn days_in(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
