//! Durations (`30s`, `1m30s`, `500ms`) and sizes (`16MiB`, `3000`).

use std::time::Duration;

pub(super) fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text.trim()).ok()
}

/// Bytes; binary units, as Kubernetes' quantities have them, with a final B.
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
    fn sizes_and_durations_have_units() {
        assert_eq!(size("3MiB"), Some(3 << 20));
        assert_eq!(size("3000"), Some(3000));
        assert_eq!(size("3MB"), None);
        assert_eq!(size("99999999999GiB"), None);
        assert_eq!(duration("1m 30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("30"), None);
    }
}
