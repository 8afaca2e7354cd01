//! Durations as people write them: `500ms`, `60s`, `5m`, `2h`.

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no duration; write a whole number and ms, s, m or h, such as 500ms or 60s")]
pub struct NoDuration {
    /// What was written.
    pub text: String,
}

/// Reads a duration, in milliseconds.
///
/// One number and one unit, nothing else: what two readers could read differently is refused.
pub fn parse_ms(text: &str) -> Result<u64, NoDuration> {
    let refuse = || NoDuration { text: text.chars().take(40).collect() };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(refuse()),
    };
    number.parse().ok().and_then(|n: u64| n.checked_mul(unit_ms)).ok_or_else(refuse)
}

/// Writes a duration in the largest unit that loses nothing.
pub fn format_ms(ms: u64) -> String {
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match units.iter().find(|(unit_ms, _)| ms > 0 && ms.is_multiple_of(*unit_ms)) {
        Some((unit_ms, unit)) => format!("{}{unit}", ms / unit_ms),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_and_one_unit() {
        for (text, ms) in [("1ms", 1), ("60s", 60_000), ("5m", 300_000), ("2h", 7_200_000)] {
            assert_eq!(parse_ms(text), Ok(ms), "{text}");
            assert_eq!(parse_ms(&format_ms(ms)), Ok(ms), "{text}");
        }
        assert_eq!(format_ms(0), "0ms");
    }

    #[test]
    fn anything_else_is_refused() {
        let huge = format!("{}h", u64::MAX);
        for text in [
            "", "60", "s", "-1s", "+1s", "1.5s", "1 s", "1S", "1d", "1h30m", " 1s", "\u{661}s",
            &huge,
        ] {
            assert!(parse_ms(text).is_err(), "{text:?}");
        }
    }
}
