//! What an expression says, and when it fires.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Span, Timestamp};

use crate::cron::{Cron, FieldError, digits};
use crate::zone::TimeZone;

#[cfg(test)]
mod tests;

/// When a schedule fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Again and again after the same time, such as `rate(5 minutes)`.
    Rate(Rate),
    /// At dates and times of a calendar, such as `cron(0 3 * * ? *)`.
    Cron(Box<Cron>),
    /// Once, such as `at(2027-01-01T00:00:00)`.
    At(DateTime),
}

/// How long it takes until a schedule fires again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    value: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Minute,
    Hour,
    Day,
}

/// Why a text is not an expression, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It is of no kind.
    #[error("it is not `rate(…)`, `cron(…)` or `at(…)`")]
    Kind,
    /// A rate is not a number and a unit.
    #[error("a rate is a positive number and a unit")]
    Rate,
    /// Singular and plural are confused.
    #[error("the unit of {value} is `{unit}`")]
    RateUnit {
        /// The number.
        value: u32,
        /// What the unit is then.
        unit: String,
    },
    /// A cron expression has another number of fields.
    #[error("it has {0} fields, and a cron expression has 6")]
    Fields(usize),
    /// A field does not say what it may.
    #[error("its {name} `{text}` {reason}")]
    Field {
        /// What the field is about.
        name: &'static str,
        /// What it says.
        text: String,
        /// Why that cannot be.
        reason: String,
    },
    /// It names days of the month and of the week, or neither.
    #[error("one of its day of month and its day of week must be `?`, and only one")]
    Days,
    /// It is not a date and time.
    #[error("it is not a date and time")]
    At,
}

impl ExpressionError {
    /// What to write instead.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Kind => {
                "write one like `rate(5 minutes)`, `cron(0 3 * * ? *)` or `at(2027-01-01T00:00:00)`"
                    .to_owned()
            }
            Self::Rate => "write one like `rate(5 minutes)`, in minutes, hours or days".to_owned(),
            Self::RateUnit { value, unit } => format!("write `rate({value} {unit})`"),
            Self::Fields(_) | Self::Field { .. } => {
                "write `cron(minutes hours day-of-month month day-of-week year)`, like `cron(0 3 * * ? *)`"
                    .to_owned()
            }
            Self::Days => {
                "write `?` in the one that does not matter, like `cron(0 3 * * ? *)`".to_owned()
            }
            Self::At => "write one like `at(2027-01-01T00:00:00)`, without a time zone".to_owned(),
        }
    }
}

impl Expression {
    /// Reads an expression as EventBridge Scheduler documents it.
    ///
    /// # Errors
    /// When the text is not an expression.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let (kind, rest) = text.split_once('(').ok_or(ExpressionError::Kind)?;
        let inner = rest.strip_suffix(')').ok_or(ExpressionError::Kind)?;
        match kind {
            "rate" => Rate::parse(inner).map(Self::Rate),
            "cron" => parse_cron(inner).map(|cron| Self::Cron(Box::new(cron))),
            "at" => parse_at(inner).map(Self::At),
            _ => Err(ExpressionError::Kind),
        }
    }

    /// When a schedule in `zone` that was created then fires for the first time after a moment;
    /// `None` if it never does.
    ///
    /// - A rate fires at the creation, and from then on. A day is 24 hours on the clock, also
    ///   where daylight saving time makes it shorter or longer.
    /// - A time that clocks skip is left out of a cron expression. A time that they show twice
    ///   counts once.
    ///
    /// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time>
    #[must_use]
    pub fn next(&self, zone: &TimeZone, created: Timestamp, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Rate(rate) => rate.next(zone, created, after),
            Self::Cron(cron) => next_of_cron(cron, zone, after),
            Self::At(time) => zone.moment_of(*time).filter(|moment| *moment > after),
        }
    }

    /// Whether a schedule in `zone` can fire at all, whenever it was created.
    #[must_use]
    pub fn can_fire(&self, zone: &TimeZone) -> bool {
        match self {
            Self::Rate(_) | Self::At(_) => true,
            Self::Cron(cron) => next_of_cron(cron, zone, Timestamp::UNIX_EPOCH).is_some(),
        }
    }
}

impl Rate {
    fn parse(text: &str) -> Result<Self, ExpressionError> {
        let (value, unit) = text.split_once(' ').ok_or(ExpressionError::Rate)?;
        let value = digits(value)
            .filter(|value| *value > 0)
            .ok_or(ExpressionError::Rate)?;
        let (singular, unit) = match unit.strip_suffix('s') {
            Some(singular) => (singular, unit),
            None => (unit, unit),
        };
        let parsed = match singular {
            "minute" => Unit::Minute,
            "hour" => Unit::Hour,
            "day" => Unit::Day,
            _ => return Err(ExpressionError::Rate),
        };
        let of_value = if value == 1 {
            singular.to_owned()
        } else {
            format!("{singular}s")
        };
        if unit != of_value {
            return Err(ExpressionError::RateUnit {
                value,
                unit: of_value,
            });
        }
        Ok(Self {
            value,
            unit: parsed,
        })
    }

    fn next(self, zone: &TimeZone, created: Timestamp, after: Timestamp) -> Option<Timestamp> {
        if after < created {
            return Some(created);
        }
        let value = i64::from(self.value);
        let seconds = match self.unit {
            Unit::Minute => value * 60,
            Unit::Hour => value * 60 * 60,
            Unit::Day => return self.next_day(zone, created, after),
        };
        let since = after.duration_since(created).as_secs();
        let times = since / seconds + 1;
        let passed = SignedDuration::from_secs(times * seconds);
        created.checked_add(passed).ok()
    }

    fn next_day(self, zone: &TimeZone, created: Timestamp, after: Timestamp) -> Option<Timestamp> {
        const DAY_SECONDS: i64 = 24 * 60 * 60;
        let value = i64::from(self.value);
        let first = zone.shown_at(created);
        // One too early, as days may be shorter.
        let mut times = after.duration_since(created).as_secs() / (value * DAY_SECONDS);
        loop {
            let days = Span::new().try_days(times * value).ok()?;
            let moment = zone.moment_of(first.checked_add(days).ok()?)?;
            if moment > after {
                return Some(moment);
            }
            times += 1;
        }
    }
}

fn parse_cron(text: &str) -> Result<Cron, ExpressionError> {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [minutes, hours, day_of_month, month, day_of_week, year] = fields.as_slice() else {
        return Err(ExpressionError::Fields(fields.len()));
    };
    if (*day_of_month == "?") == (*day_of_week == "?") {
        return Err(ExpressionError::Days);
    }
    Cron::parse([minutes, hours, day_of_month, month, day_of_week, year])
        .map_err(|FieldError { name, text, reason }| ExpressionError::Field { name, text, reason })
}

/// Exactly `yyyy-mm-ddThh:mm:ss`.
fn parse_at(text: &str) -> Result<DateTime, ExpressionError> {
    let parse = || {
        let (day, time) = text.split_once('T')?;
        let parts = |text: &str, separator, lengths: [usize; 3]| {
            let parts: Vec<&str> = text.split(separator).collect();
            let lengths_fit = parts.iter().map(|part| part.len()).eq(lengths);
            let numbers: Vec<i16> = parts
                .iter()
                .filter_map(|part| digits(part)?.try_into().ok())
                .collect();
            <[i16; 3]>::try_from(numbers).ok().filter(|_| lengths_fit)
        };
        let [year, month, day] = parts(day, '-', [4, 2, 2])?;
        let [hour, minute, second] = parts(time, ':', [2, 2, 2])?;
        let small = |number: i16| i8::try_from(number).ok();
        DateTime::new(
            year,
            small(month)?,
            small(day)?,
            small(hour)?,
            small(minute)?,
            small(second)?,
            0,
        )
        .ok()
    };
    parse().ok_or(ExpressionError::At)
}

/// The first time of a cron expression after a moment.
fn next_of_cron(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut shown = zone.shown_at(after);
    loop {
        shown = cron.next(shown)?;
        // A time that clocks show for the second time has been.
        if let Some(moment) = zone.first_moment_of(shown)
            && moment > after
        {
            return Some(moment);
        }
    }
}
