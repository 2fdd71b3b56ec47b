//! A point in wall-clock time, told as RFC 3339 in UTC.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{
    borrow::Cow,
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const MILLIS_A_DAY: i64 = 86_400_000;

/// Milliseconds since 1970 in UTC; written `2026-03-01T08:30:00.125Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The present, by the machine's clock.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// This much earlier.
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => millis(after),
            Err(before) => -millis(before.duration()),
        })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, millis) = (self.0.div_euclid(MILLIS_A_DAY), self.0.rem_euclid(MILLIS_A_DAY));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", millis % 1000)
    }
}

/// No point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time, expected one like 2026-03-01T08:30:00Z or 2026-03-01")]
pub struct NoTimestamp(String);

impl FromStr for Timestamp {
    type Err = NoTimestamp;

    /// RFC 3339 with any offset, fractions of a second cut to milliseconds; a date alone is its midnight in UTC.
    fn from_str(text: &str) -> Result<Self, NoTimestamp> {
        parse(text).ok_or_else(|| NoTimestamp(text.into()))
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i64>().ok()).flatten();
    let within = |value: i64, most: i64| (0..=most).contains(&value).then_some(value);
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.splitn(3, '-').map(digits);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let days = days_from_civil(year, month, day);
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    let Some(time) = time else { return Some(Timestamp(days * MILLIS_A_DAY)) };
    let offset_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, offset) = time.split_at(offset_at);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.splitn(3, ':').map(digits);
    let (hour, minute) = (within(parts.next()??, 23)?, within(parts.next()??, 59)?);
    let second = within(parts.next()??, 60)?;
    let millis = digits(format!("{fraction:0<3}").get(..3)?)?;
    digits(fraction).or(fraction.is_empty().then_some(0))?;
    let offset_minutes = match offset.get(1..).filter(|rest| !rest.is_empty()) {
        None => 0,
        Some(rest) => {
            let (hours, minutes) = rest.split_once(':')?;
            let minutes = within(digits(hours)?, 23)? * 60 + within(digits(minutes)?, 59)?;
            if offset.starts_with('-') { -minutes } else { minutes }
        }
    };
    let minutes = hour * 60 + minute - offset_minutes;
    Some(Timestamp(days * MILLIS_A_DAY + (minutes * 60 + second) * 1000 + millis))
}

/// Year, month, day of a day counted from 1970-01-01. Source: Hinnant, "chrono-compatible low-level date algorithms".
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The inverse of `civil_from_days`.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_shifted = (month + 9) % 12;
    let day_of_year = (153 * month_shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "description": "RFC 3339, UTC, milliseconds." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_as_rfc_3339_says() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01", Some(0)),
            ("2000-02-29T12:30:45.678Z", Some(951_827_445_678)),
            ("2000-02-29T13:30:45.6789+01:00", Some(951_827_445_678)),
            ("2000-02-29T07:00:45.6-05:30", Some(951_827_445_600)),
            ("1969-12-31T23:59:59.999Z", Some(-1)),
            ("2001-02-29", None),
            ("2001-13-01", None),
            ("2001-02-03T04:05:06", None),
            ("2001-02-03T24:00:00Z", None),
            ("2001-02-03T04:05Z", None),
            ("2001-02-03T04:05:06.x1Z", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, millis) in cases {
            assert_eq!(text.parse().ok(), millis.map(Timestamp), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(millis in -50_000_000_000_000i64..200_000_000_000_000) {
            let time = Timestamp(millis);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}
