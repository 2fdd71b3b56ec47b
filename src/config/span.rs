//! Durations as people write them: "500ms", "2s", "1m30s".

use std::time::Duration;

/// What `parse` accepts, as a regular expression for editors (which must also ask for at least two characters).
pub const PATTERN: &str = r"^(\d+(\.\d+)?h)?(\d+(\.\d+)?m)?(\d+(\.\d+)?s)?(\d+(\.\d+)?ms)?$";

/// Units from large to small, nanoseconds.
const UNITS: [(&str, f64); 4] = [("h", 3.6e12), ("m", 6e10), ("s", 1e9), ("ms", 1e6)];

/// Longest part of a duration that makes sense anywhere in a pipeline, nanoseconds: about ten years.
const MAX_NANOS: f64 = 3e17;

/// The duration `text` says: numbers with h, m, s and ms, each at most once and in this order. `None` if it says none.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut nanos = 0;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let (_, unit_nanos) = units.find(|(name, _)| *name == unit)?;
        let part = (decimal(number)? * unit_nanos).round();
        // Parts are summed as integers: a sum of f64 loses nanoseconds beyond a hundred days.
        nanos += if part <= MAX_NANOS { part as u64 } else { return None };
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::from_nanos(nanos))
}

/// The duration as text that `parse` reads back, to the millisecond.
pub fn text(duration: Duration) -> String {
    let millis = duration.as_millis();
    if (1..1000).contains(&millis) {
        return format!("{millis}ms");
    }
    let seconds = (millis % 60_000) as f64 / 1e3;
    let parts = [((millis / 3_600_000) as f64, "h"), ((millis / 60_000 % 60) as f64, "m"), (seconds, "s")];
    let text: String = parts.iter().filter(|(n, _)| *n > 0.0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".into() } else { text }
}

/// Digits, and more digits behind a point if there is one; no sign, no exponent.
fn decimal(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (digits(whole) && digits(fraction)).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table() {
        let cases = [
            ("500ms", Some(500)),
            ("2s", Some(2000)),
            ("0s", Some(0)),
            ("1m30s", Some(90_000)),
            ("1.5s", Some(1500)),
            ("1h2m3s4ms", Some(3_723_004)),
            ("", None),
            ("2", None),
            ("s", None),
            ("2 s", None),
            ("-2s", None),
            ("+2s", None),
            ("1e3s", None),
            (".5s", None),
            ("5.s", None),
            ("30s1m", None),
            ("1s2s", None),
            ("2S", None),
            ("2sec", None),
            ("nans", None),
            ("2\u{301}s", None),
            ("99999999999999999999h", None),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), millis.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn durations_are_written_shortly() {
        let cases =
            [(0, "0s"), (50, "50ms"), (1900, "1.9s"), (60_000, "1m"), (86_400_000, "24h"), (3_661_001, "1h1m1.001s")];
        for (millis, expected) in cases {
            assert_eq!(text(Duration::from_millis(millis)), expected);
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(millis in 0u64..100_000_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&text(duration)), Some(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*|[0-9hms.]{0,12}") {
            let _ = parse(&text);
        }
    }
}
