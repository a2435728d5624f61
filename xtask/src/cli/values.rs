//! How values of options are written.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use traces::{Kind, Outcome};

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let unit_seconds = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => 0,
    };
    text.get(..text.len().saturating_sub(1))
        .and_then(|count| count.parse::<u64>().ok())
        .and_then(|count| count.checked_mul(unit_seconds))
        .filter(|_| unit_seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(|| "write a number and a unit, for example 30s, 10m, 2h or 7d".to_owned())
}

/// A pattern may begin with a hyphen, before a term that lines must not have. Two are an option
/// that took the pattern's place.
pub(super) fn parse_pattern(text: &str) -> Result<String, String> {
    if text.starts_with("--") {
        return Err(format!(
            "a pattern is missing before `{text}`, or needs quotes of its own: --filter '\"{text}\"'"
        ));
    }
    Ok(text.to_owned())
}

/// One of these, by its name.
pub(super) fn kinds() -> impl TypedValueParser<Value = Kind> {
    let names = Kind::ALL.map(Kind::as_str);
    PossibleValuesParser::new(names).map(|name| {
        let named = |kind: &Kind| kind.as_str() == name;
        Kind::ALL.into_iter().find(named).unwrap_or(Kind::Call)
    })
}

/// One of these, by its name.
pub(super) fn outcomes() -> impl TypedValueParser<Value = Outcome> {
    let names = Outcome::ALL.map(Outcome::as_str);
    PossibleValuesParser::new(names).map(|name| {
        let named = |outcome: &Outcome| outcome.as_str() == name;
        Outcome::ALL.into_iter().find(named).unwrap_or(Outcome::Ok)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_pattern_may_leave_lines_out() {
        for pattern in ["-INFO", "ERROR -retried", "", "{ $.level = \"INFO\" }"] {
            assert_eq!(parse_pattern(pattern).unwrap(), pattern);
        }
        let error = parse_pattern("--json").unwrap_err();
        assert!(error.contains("a pattern is missing"), "{error}");
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "10", "m", "-1s", "1w", "99999999999999999999s", "10µ"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
