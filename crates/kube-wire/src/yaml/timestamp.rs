//! Recognizes timestamps like `go.yaml.in/yaml/v2` (`resolve.go`, `parseTimestamp`).
//!
//! Go parses them with `time.Parse` and four layouts: the date `2006-1-2` alone, or the date, one
//! of `T`, `t` and spaces, and the time `15:4:5.999999999`. After `T` or `t` a zone follows: `Z` or
//! `+07:00`.

/// Returns whether a scalar looks like a timestamp.
pub(super) fn is_timestamp(text: &str) -> bool {
    parse(text.as_bytes()).is_some()
}

fn parse(text: &[u8]) -> Option<()> {
    let (year, rest) = text.split_at_checked(4)?;
    let year = digits(year)?;
    let (month, rest) = one_or_two_digits(rest.strip_prefix(b"-")?)?;
    let (day, rest) = one_or_two_digits(rest.strip_prefix(b"-")?)?;
    let is_date = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    let rest = match rest {
        _ if !is_date => return None,
        [] => return Some(()),
        [b'T' | b't', time @ ..] => zone(time_of_day(time)?)?,
        [b' ', time @ ..] => time_of_day(skip_spaces(time))?,
        _ => return None,
    };
    rest.is_empty().then_some(())
}

/// Skips spaces. A space in Go's layout matches any number of them.
fn skip_spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = text {
        text = rest;
    }
    text
}

/// Parses hours, minutes and seconds. Returns the rest.
fn time_of_day(text: &[u8]) -> Option<&[u8]> {
    let (hour, rest) = one_or_two_digits(text)?;
    let (minute, rest) = one_or_two_digits(rest.strip_prefix(b":")?)?;
    let (second, rest) = one_or_two_digits(rest.strip_prefix(b":")?)?;
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

/// Parses a zone. Returns the rest.
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

/// Parses a number of one or two digits. Returns it with the rest.
fn one_or_two_digits(text: &[u8]) -> Option<(u32, &[u8])> {
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
