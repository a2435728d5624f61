//! Cron expressions: six fields, and the times that fit all of them.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Weekday};

/// The times of a calendar that fit a cron expression.
///
/// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: BTreeSet<u32>,
    hours: BTreeSet<u32>,
    days: Days,
    months: BTreeSet<u32>,
    years: BTreeSet<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Days {
    OfMonth(BTreeSet<DayOfMonth>),
    OfWeek(BTreeSet<DayOfWeek>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum DayOfMonth {
    Day(u32),
    /// `L`
    Last,
    /// `3W`: the weekday of the same month that is nearest to the day.
    WeekdayNearest(u32),
}

/// Days are numbered from Sunday, which is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum DayOfWeek {
    Day(u32),
    /// `6L`: the last Friday of the month.
    LastOfMonth(u32),
    /// `6#2`: the second Friday of the month.
    OfMonth {
        day: u32,
        nth: u32,
    },
}

/// Why a field cannot say what it says.
pub(crate) struct FieldError {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) reason: String,
}

/// What a field may say.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    /// Names of values, from the least one on.
    names: &'static [&'static str],
    /// Whether it may have steps, as in `0/5`.
    has_steps: bool,
}

const MINUTES: Field = Field::numbers("minutes", 0, 59);
const HOURS: Field = Field::numbers("hours", 0, 23);
const DAY_OF_MONTH: Field = Field::numbers("day of month", 1, 31);
const YEAR: Field = Field::numbers("year", 1970, 2199);
const MONTH: Field = Field {
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
    ..Field::numbers("month", 1, 12)
};
const DAY_OF_WEEK: Field = Field {
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    has_steps: false,
    ..Field::numbers("day of week", 1, 7)
};

/// The last day that a cron expression can name.
const LAST_DAY: Date = Date::constant(2199, 12, 31);

const SATURDAY: u32 = 7;
const WEEK_DAYS: i8 = 7;

impl Cron {
    /// Reads the fields in their order, of which one of the two about days is `?`.
    pub(crate) fn parse(fields: [&str; 6]) -> Result<Self, FieldError> {
        let [minutes, hours, day_of_month, month, day_of_week, year] = fields;
        Ok(Self {
            minutes: MINUTES.values(minutes)?,
            hours: HOURS.values(hours)?,
            days: if day_of_month == "?" {
                Days::OfWeek(days_of_week(day_of_week)?)
            } else {
                Days::OfMonth(days_of_month(day_of_month)?)
            },
            months: MONTH.values(month)?,
            years: YEAR.values(year)?,
        })
    }

    /// The first time after `time` that fits.
    pub(crate) fn next(&self, time: DateTime) -> Option<DateTime> {
        let first = (time.checked_add(1.minute()).ok()?)
            .with()
            .second(0)
            .subsec_nanosecond(0)
            .build()
            .ok()?;
        let mut day = first.date();
        // The rest of the first day, then whole days.
        let mut from = (unsigned(first.hour()), unsigned(first.minute()));
        while day <= LAST_DAY {
            if !self.fits_month(day) {
                day = day.last_of_month();
            } else if self.fits(day)
                && let Some((hour, minute)) = self.time_of_day(from)
            {
                return DateTime::new(
                    day.year(),
                    day.month(),
                    day.day(),
                    i8::try_from(hour).ok()?,
                    i8::try_from(minute).ok()?,
                    0,
                    0,
                )
                .ok();
            }
            day = day.tomorrow().ok()?;
            from = (0, 0);
        }
        None
    }

    fn fits_month(&self, day: Date) -> bool {
        let year = u32::try_from(day.year()).unwrap_or_default();
        self.years.contains(&year) && self.months.contains(&unsigned(day.month()))
    }

    fn fits(&self, day: Date) -> bool {
        match &self.days {
            Days::OfMonth(days) => days.iter().any(|rule| rule.fits(day)),
            Days::OfWeek(days) => days.iter().any(|rule| rule.fits(day)),
        }
    }

    /// The first time of a day that fits, from one on.
    fn time_of_day(&self, (hour, minute): (u32, u32)) -> Option<(u32, u32)> {
        let first_minute = *self.minutes.first()?;
        if self.hours.contains(&hour)
            && let Some(minute) = self.minutes.range(minute..).next()
        {
            return Some((hour, *minute));
        }
        let hour = self.hours.range(hour + 1..).next()?;
        Some((*hour, first_minute))
    }
}

impl DayOfMonth {
    fn fits(self, day: Date) -> bool {
        let number = unsigned(day.day());
        let is_last = day == day.last_of_month();
        match self {
            Self::Day(wanted) => number == wanted,
            Self::Last => is_last,
            Self::WeekdayNearest(wanted) => {
                let day_by = |days: i64| {
                    let other = day.checked_add(days.days()).ok();
                    other.is_some_and(|other| {
                        other.month() == day.month() && unsigned(other.day()) == wanted
                    })
                };
                match day.weekday() {
                    Weekday::Saturday | Weekday::Sunday => false,
                    // Saturday is the first of the month, or Sunday is before.
                    Weekday::Monday => day_by(0) || day_by(-1) || (wanted == 1 && day_by(-2)),
                    // Saturday follows; or Sunday, the last of the month.
                    Weekday::Friday => {
                        let sunday_is_last = day
                            .checked_add(2.days())
                            .is_ok_and(|sunday| sunday == day.last_of_month());
                        day_by(0) || day_by(1) || (sunday_is_last && day_by(2))
                    }
                    _ => day_by(0),
                }
            }
        }
    }
}

impl DayOfWeek {
    fn fits(self, day: Date) -> bool {
        let of_week = unsigned(day.weekday().to_sunday_one_offset());
        let of_month = day.day();
        match self {
            Self::Day(wanted) => of_week == wanted,
            Self::LastOfMonth(wanted) => {
                of_week == wanted && of_month + WEEK_DAYS > day.days_in_month()
            }
            Self::OfMonth { day: wanted, nth } => {
                of_week == wanted && unsigned((of_month - 1) / WEEK_DAYS + 1) == nth
            }
        }
    }
}

fn days_of_month(text: &str) -> Result<BTreeSet<DayOfMonth>, FieldError> {
    let mut days = BTreeSet::new();
    for part in text.split(',') {
        if part == "L" {
            days.insert(DayOfMonth::Last);
        } else if let Some(day) = part.strip_suffix('W') {
            let day = DAY_OF_MONTH.value(text, day)?;
            days.insert(DayOfMonth::WeekdayNearest(day));
        } else {
            let part = DAY_OF_MONTH.part(text, part)?;
            days.extend(part.into_iter().map(DayOfMonth::Day));
        }
    }
    Ok(days)
}

fn days_of_week(text: &str) -> Result<BTreeSet<DayOfWeek>, FieldError> {
    if let Some((day, nth)) = text.split_once('#') {
        let day = DAY_OF_WEEK.value(text, day)?;
        let nth = digits(nth).filter(|nth| (1..=5).contains(nth));
        let nth = nth.ok_or_else(|| {
            DAY_OF_WEEK.error(
                text,
                "is not one day, `#` and its place in the month, 1 to 5".to_owned(),
            )
        })?;
        return Ok([DayOfWeek::OfMonth { day, nth }].into());
    }
    let mut days = BTreeSet::new();
    for part in text.split(',') {
        match part.strip_suffix('L') {
            Some("") => {
                days.insert(DayOfWeek::Day(SATURDAY));
            }
            Some(day) => {
                let day = DAY_OF_WEEK.value(text, day)?;
                days.insert(DayOfWeek::LastOfMonth(day));
            }
            None => {
                let part = DAY_OF_WEEK.part(text, part)?;
                days.extend(part.into_iter().map(DayOfWeek::Day));
            }
        }
    }
    Ok(days)
}

impl Field {
    const fn numbers(name: &'static str, min: u32, max: u32) -> Self {
        Self {
            name,
            min,
            max,
            names: &[],
            has_steps: true,
        }
    }

    /// The values of a list of values, ranges and steps.
    fn values(&self, text: &str) -> Result<BTreeSet<u32>, FieldError> {
        let mut values = BTreeSet::new();
        for part in text.split(',') {
            values.extend(self.part(text, part)?);
        }
        Ok(values)
    }

    /// The values of an element of a list.
    fn part(&self, text: &str, part: &str) -> Result<BTreeSet<u32>, FieldError> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let (from, to) = match (range, range.split_once('-')) {
            ("*", _) => (self.min, self.max),
            (_, Some((from, to))) => (self.value(text, from)?, self.value(text, to)?),
            (from, None) => {
                let from = self.value(text, from)?;
                // From there to the end, in steps.
                (from, if step.is_some() { self.max } else { from })
            }
        };
        if from > to {
            return Err(self.error(text, "has a range that runs backwards".to_owned()));
        }
        let step = match step {
            None => 1,
            Some(_) if !self.has_steps => {
                return Err(self.error(text, "has a step, which it cannot have".to_owned()));
            }
            Some(step) => digits(step)
                .filter(|step| *step > 0)
                .and_then(|step| usize::try_from(step).ok())
                .ok_or_else(|| {
                    self.error(text, "has a step that is not a positive number".to_owned())
                })?,
        };
        Ok((from..=to).step_by(step).collect())
    }

    /// A number, or a name.
    fn value(&self, text: &str, value: &str) -> Result<u32, FieldError> {
        let named = self.names.iter().position(|name| *name == value);
        let named = named.and_then(|place| Some(self.min + u32::try_from(place).ok()?));
        named
            .or_else(|| digits(value))
            .filter(|value| (self.min..=self.max).contains(value))
            .ok_or_else(|| {
                let names = match self.names {
                    [first, .., last] => format!(" or {first} to {last}"),
                    _ => String::new(),
                };
                let (min, max) = (self.min, self.max);
                self.error(
                    text,
                    format!("has something else than {min} to {max}{names}"),
                )
            })
    }

    fn error(&self, text: &str, reason: String) -> FieldError {
        FieldError {
            name: self.name,
            text: text.to_owned(),
            reason,
        }
    }
}

/// A number of a date, none of which is negative.
fn unsigned(number: i8) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// A run of digits, without a sign.
pub(crate) fn digits(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}
