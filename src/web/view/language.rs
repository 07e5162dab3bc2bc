//! The languages of the pages: which one a visitor gets, and how it writes numbers, sizes and times.

use actix_web::http::header::{ACCEPT_LANGUAGE, HeaderMap};
use time::UtcDateTime;

use crate::clock::Wall;
use crate::invariant::present;

/// A language that all pages are complete in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Russian,
}

impl Language {
    pub(super) const ALL: [Language; 2] = [Language::English, Language::Russian];

    /// Its code (ISO 639-1).
    pub(super) const fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Russian => "ru",
        }
    }

    /// The language of this code.
    pub(super) fn from_code(code: &str) -> Option<Language> {
        Language::ALL
            .into_iter()
            .find(|language| language.code() == code)
    }

    /// The one that an `Accept-Language` header likes best; English when it names none of ours.
    fn accepted(header: &str) -> Language {
        let mut best = (0_u16, Language::English);
        for choice in header.split(',').take(32) {
            let mut parts = choice.split(';').map(str::trim);
            const SPLIT: &str = "splitting gives one part at least";
            let tag = present(parts.next(), SPLIT).unwrap_or_default();
            let tag = tag.to_ascii_lowercase();
            let code = present(tag.split('-').next(), SPLIT);
            let language = Language::from_code(code.unwrap_or_default());
            let weight = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1_000, thousandths);
            if let Some(language) = language.filter(|_| weight > best.0) {
                best = (weight, language);
            }
        }
        best.1
    }

    /// The one that a browser likes best; a browser that says nothing, or nothing that is text, gets the default.
    pub(super) fn preferred(headers: &HeaderMap) -> Language {
        let field = headers.get(ACCEPT_LANGUAGE);
        let field = field.and_then(|field| field.to_str().ok());
        Language::accepted(field.unwrap_or_default())
    }

    const fn thousands_separator(self) -> char {
        match self {
            Language::English => ',',
            Language::Russian => '\u{a0}',
        }
    }

    const fn decimal_separator(self) -> char {
        match self {
            Language::English => '.',
            Language::Russian => ',',
        }
    }

    /// A whole number with its digits in groups of three.
    pub(super) fn number(self, value: u64) -> String {
        let digits = value.to_string();
        let mut text = String::with_capacity(digits.len() * 2);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(self.thousands_separator());
            }
            text.push(digit);
        }
        text
    }

    /// A number with this many places after the point; negative and odd ones count as 0.
    pub(super) fn decimal(self, value: f64, places: usize) -> String {
        let value = if value.is_finite() {
            value.max(0.0)
        } else {
            0.0
        };
        let text = format!("{value:.places$}");
        let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
        let mut grouped = whole
            .parse()
            .map_or_else(|_| whole.to_owned(), |w| self.number(w));
        if !rest.is_empty() {
            grouped.push(self.decimal_separator());
            grouped.push_str(rest);
        }
        grouped
    }

    /// A number of bytes in the largest unit that leaves a whole part, with one place after the point from KiB on.
    pub(super) fn bytes(self, bytes: u64) -> String {
        const UNITS: [[&str; 5]; 2] = [
            ["KiB", "MiB", "GiB", "TiB", "PiB"],
            ["КиБ", "МиБ", "ГиБ", "ТиБ", "ПиБ"],
        ];
        let [english, russian] = UNITS;
        let (byte, units) = match self {
            Language::English => ("B", english),
            Language::Russian => ("Б", russian),
        };
        if bytes < 1_024 {
            return format!("{}\u{a0}{byte}", self.number(bytes));
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "shown with one place after the point"
        )]
        let mut value = bytes as f64 / 1_024.0;
        let mut unit = 0;
        while value >= 1_023.95 && unit + 1 < units.len() {
            value /= 1_024.0;
            unit += 1;
        }
        let name = present(units.get(unit), "the last unit takes all that is greater");
        let name = name.copied().unwrap_or_default();
        format!("{}\u{a0}{name}", self.decimal(value, 1))
    }

    /// A duration as `3 days, 4:05:06`, in the original's manner.
    pub(super) fn duration(self, seconds: u64) -> String {
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let clock = format!("{}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60);
        if days == 0 {
            return clock;
        }
        let word = match self {
            Language::English if days == 1 => "day",
            Language::English => "days",
            Language::Russian => russian_plural(days, ["день", "дня", "дней"]),
        };
        format!("{}\u{a0}{word}, {clock}", self.number(days))
    }
}

/// The form of a Russian noun that goes with a number.
fn russian_plural(number: u64, [one, few, many]: [&'static str; 3]) -> &'static str {
    match (number % 10, number % 100) {
        (_, 11..=14) => many,
        (1, _) => one,
        (2..=4, _) => few,
        _ => many,
    }
}

/// `0.75` as 750; anything odd as 0.
fn thousandths(text: &str) -> u16 {
    let weight: f64 = text.trim().parse().unwrap_or(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=1000; NaN becomes 0"
    )]
    let weight = (weight.clamp(0.0, 1.0) * 1_000.0) as u16;
    weight
}

/// A moment as `2026-11-23 14:05:06`, UTC; the pages' script turns it into the visitor's own time. What lies beyond the year 9999,
/// as only a damaged database has it, is the end of that year.
pub fn moment(wall: Wall) -> String {
    let moment = i64::try_from(wall.0)
        .ok()
        .and_then(|seconds| UtcDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(UtcDateTime::MAX);
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second) = moment.as_hms();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W8
    #[test]
    fn the_best_liked_language_is_chosen() {
        for (header, code) in [
            ("", "en"),
            ("ru", "ru"),
            ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
            ("en-GB,en;q=0.9,ru;q=0.8", "en"),
            ("de,ru;q=0.1", "ru"),
            ("en;q=0.2, RU;q=0.7", "ru"),
            ("ru;q=0", "en"),
            ("ru;q=x,;;,q=,en;q=NaN", "en"),
        ] {
            assert_eq!(Language::accepted(header).code(), code, "{header}");
        }
    }

    /// W8
    #[test]
    fn numbers_are_written_as_the_language_has_them() {
        let (en, ru) = (Language::English, Language::Russian);
        assert_eq!(en.number(1_234_567), "1,234,567");
        assert_eq!(ru.number(1_234_567), "1\u{a0}234\u{a0}567");
        assert_eq!((en.number(0), en.number(999)), ("0".into(), "999".into()));
        assert_eq!(en.number(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(ru.decimal(12_345.678, 1), "12\u{a0}345,7");
        assert_eq!(en.decimal(f64::NAN, 1), "0.0");
        assert_eq!(en.bytes(1_023), "1,023\u{a0}B");
        assert_eq!(en.bytes(1_536), "1.5\u{a0}KiB");
        assert_eq!(en.bytes(1_048_575), "1.0\u{a0}MiB");
        assert_eq!(ru.bytes(5 << 30), "5,0\u{a0}ГиБ");
    }

    /// W2
    #[test]
    fn durations_are_written_as_in_the_original() {
        assert_eq!(Language::English.duration(3_909), "1:05:09");
        assert_eq!(Language::English.duration(86_400), "1\u{a0}day, 0:00:00");
        assert_eq!(
            Language::Russian.duration(22 * 86_400 + 5),
            "22\u{a0}дня, 0:00:05"
        );
        assert_eq!(
            Language::Russian.duration(11 * 86_400),
            "11\u{a0}дней, 0:00:00"
        );
    }

    #[test]
    fn moments_follow_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_795_442_706, "2026-11-23 14:05:06"),
            (4_107_542_399, "2100-02-28 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (7_258_118_399, "2199-12-31 23:59:59"),
            (253_402_300_799, "9999-12-31 23:59:59"),
            (253_402_300_800, "9999-12-31 23:59:59"),
            (u64::MAX, "9999-12-31 23:59:59"),
        ] {
            assert_eq!(moment(Wall(seconds)), text);
        }
    }

    #[test]
    fn every_day_of_230_years_has_its_date() {
        let mut days = 0;
        for year in 1970_u64..2200 {
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if is_leap { 29 } else { 28 };
            let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, length) in (1..).zip(lengths) {
                for day in 1..=length {
                    let (hour, minute, second) = (days % 24, days % 60, days * 7 % 60);
                    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
                    let text =
                        format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
                    assert_eq!(moment(Wall(seconds)), text);
                    days += 1;
                }
            }
        }
    }
}
