//! Parses durations (`30s`, `1m30s`, `500ms`) and sizes (`16MiB`, `3000`).

use std::time::Duration;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text.trim()).ok()
}

/// Returns a size in bytes. The units are binary: those of Kubernetes quantities, with a final B.
pub(super) fn size(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_need_binary_units_and_durations_need_a_unit() {
        assert_eq!(size("3MiB"), Some(3 << 20));
        assert_eq!(size("3000"), Some(3000));
        assert_eq!(size("3MB"), None);
        assert_eq!(size("99999999999GiB"), None);
        assert_eq!(duration("1m 30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("30"), None);
    }
}
