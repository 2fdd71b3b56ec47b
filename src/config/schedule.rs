//! Active hours as people write them: "08:00-18:00", "mon-fri 22:00-06:00", "sat,sun". Pure: time comes in as a minute of
//! the week.

use std::fmt;

const MINUTES_A_DAY: u16 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A moment of the week, local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeekMinute {
    /// Day, from 0 for Monday to 6.
    pub day: u8,
    /// Minute of the day, 0..1440.
    pub minute: u16,
}

/// When a stream is active: in any of its spans, or always where it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(Vec<Span>);

/// The same hours on some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// One bit a day on which it begins, Monday lowest.
    days: u8,
    /// First minute of the day.
    from: u16,
    /// Minute after the last; not after `from` where it runs past midnight.
    to: u16,
}

/// Text that is no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected hours such as \"08:00-18:00\", \"mon-fri 22:00-06:00\" or \"sat,sun\"")]
pub struct NoSpan;

impl Schedule {
    /// Active in any of `spans`; always if there are none.
    pub fn new(spans: Vec<Span>) -> Self {
        Self(spans)
    }

    /// Whether the stream is active at `now`.
    pub fn is_active(&self, now: WeekMinute) -> bool {
        self.0.is_empty() || self.0.iter().any(|span| span.contains(now))
    }

    /// Whether there is a time at which it is not.
    pub fn is_always(&self) -> bool {
        self.0.is_empty()
    }
}

impl Span {
    /// Reads a span: days, hours or both.
    pub fn parse(text: &str) -> Result<Self, NoSpan> {
        let mut days = 0x7f;
        let (mut from, mut to) = (0, MINUTES_A_DAY);
        let parts: Vec<&str> = text.split_whitespace().collect();
        let (day_part, hour_part) = match parts[..] {
            [only] if only.starts_with(|c: char| c.is_ascii_digit()) => (None, Some(only)),
            [only] => (Some(only), None),
            [days, hours] => (Some(days), Some(hours)),
            _ => return Err(NoSpan),
        };
        if let Some(part) = day_part {
            days = part.split(',').try_fold(0, |days, part| Some(days | day_bits(part)?)).ok_or(NoSpan)?;
        }
        if let Some(part) = hour_part {
            let (begin, end) = part.split_once('-').ok_or(NoSpan)?;
            (from, to) = minute(begin).zip(minute(end)).ok_or(NoSpan)?;
            if from == MINUTES_A_DAY || from == to {
                return Err(NoSpan);
            }
        }
        Ok(Self { days, from, to })
    }

    fn contains(&self, now: WeekMinute) -> bool {
        let begins = |day: u8| self.days >> (day % 7) & 1 == 1;
        if self.from < self.to {
            return begins(now.day) && (self.from..self.to).contains(&now.minute);
        }
        begins(now.day) && now.minute >= self.from || begins(now.day + 6) && now.minute < self.to
    }
}

/// Bits of "mon" or "fri-mon".
fn day_bits(text: &str) -> Option<u8> {
    let day = |text: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(text));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (day(first)?, day(last)?);
    let count = (last + 7 - first) % 7 + 1;
    Some((0..count).fold(0, |bits, step| bits | 1 << ((first + step) % 7)))
}

/// Minute of the day of "07:30"; "24:00" is its end.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let at = hours * 60 + minutes;
    (minutes < 60 && at <= MINUTES_A_DAY).then_some(at)
}

impl fmt::Display for WeekMinute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:02}:{:02}", DAYS[usize::from(self.day % 7)], self.minute / 60, self.minute % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> WeekMinute {
        let (day, time) = text.split_once(' ').unwrap();
        let day = DAYS.iter().position(|name| *name == day).unwrap() as u8;
        WeekMinute { day, minute: minute(time).unwrap() }
    }

    #[test]
    fn table_of_spans() {
        let cases: [(&str, &[&str], &[&str]); 6] = [
            ("08:00-18:00", &["mon 08:00", "sun 17:59"], &["mon 07:59", "sun 18:00"]),
            ("mon-fri 08:00-18:00", &["fri 12:00"], &["sat 12:00", "mon 07:00"]),
            ("mon-fri 22:00-06:00", &["fri 23:00", "sat 05:59", "tue 05:00"], &["mon 05:59", "sat 22:00", "fri 21:59"]),
            ("sat,SUN", &["sat 00:00", "sun 23:59"], &["mon 00:00", "fri 23:59"]),
            ("sat-mon 00:00-24:00", &["sat 00:00", "mon 23:59"], &["tue 00:00", "fri 23:59"]),
            ("sun 23:00-01:00", &["sun 23:30", "mon 00:30"], &["sun 00:30", "mon 01:00"]),
        ];
        for (text, active, inactive) in cases {
            let schedule = Schedule::new(vec![Span::parse(text).unwrap()]);
            assert!(active.iter().all(|time| schedule.is_active(at(time))), "{text}");
            assert!(inactive.iter().all(|time| !schedule.is_active(at(time))), "{text}");
        }
        assert!(Schedule::default().is_active(at("tue 03:00")));
    }

    #[test]
    fn what_is_no_span() {
        for text in [
            "",
            "8-18",
            "08:00",
            "25:00-26:00",
            "08:00-08:00",
            "24:00-01:00",
            "mo 08:00-09:00",
            "mon tue 1",
            "08:60-09:00",
        ] {
            assert_eq!(Span::parse(text), Err(NoSpan), "{text}");
        }
    }
}
