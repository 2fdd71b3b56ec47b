//! Durations as people write them: "500ms", "2s", "1m30s".

use std::time::Duration;

/// What `parse` accepts, as a regular expression for editors (which must also ask for at least two characters).
pub const PATTERN: &str = r"^(\d+(\.\d+)?h)?(\d+(\.\d+)?m)?(\d+(\.\d+)?s)?(\d+(\.\d+)?ms)?$";

/// Units from large to small, seconds.
const UNITS: [(&str, f64); 4] = [("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001)];

/// Longest duration that makes sense anywhere in a pipeline: ten years.
const MAX_SECS: f64 = 10.0 * 365.25 * 86_400.0;

/// The duration `text` says: numbers with h, m, s and ms, each at most once and in this order. `None` if it says none.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let (_, unit_secs) = units.find(|(name, _)| *name == unit)?;
        seconds += decimal(number)? * unit_secs;
        rest = after;
    }
    let sound = !text.is_empty() && seconds <= MAX_SECS;
    sound.then(|| Duration::from_nanos((seconds * 1e9).round() as u64))
}

/// The shortest text that `parse` reads back.
pub fn text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let parts =
        [(millis / 3_600_000, "h"), (millis / 60_000 % 60, "m"), (millis / 1000 % 60, "s"), (millis % 1000, "ms")];
    let text: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
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
