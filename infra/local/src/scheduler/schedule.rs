//! When a schedule is due.

use std::sync::Arc;

use schedules::{Expression, Input, TimeZone, Timestamp};
use serde::Deserialize;

/// A schedule, as `schedules.py` lists it.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    pub(super) arn: String,
    expression: String,
    time_zone: String,
    is_enabled: bool,
    /// In seconds since the epoch.
    starts_at: f64,
    ends_at: Option<f64>,
    pub(super) target: Target,
}

/// What a schedule invokes.
/// <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Target.html>
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Target {
    pub(super) arn: String,
    pub(super) role_arn: String,
    input: Option<String>,
    #[serde(default)]
    pub(super) retry_policy: RetryPolicy,
    pub(super) dead_letter_config: Option<DeadLetterConfig>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RetryPolicy {
    pub(super) maximum_event_age_in_seconds: u64,
    pub(super) maximum_retry_attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            maximum_event_age_in_seconds: 86_400,
            maximum_retry_attempts: 185,
        }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeadLetterConfig {
    pub(super) arn: String,
}

impl Target {
    /// An empty object if there is no input.
    /// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html>
    pub(super) fn input(&self) -> Input {
        Input::new(self.input.as_deref().unwrap_or("{}"))
    }
}

/// A schedule that is followed.
#[derive(Debug)]
pub(super) struct Schedule {
    listed: Arc<Listed>,
    when: Result<When, String>,
}

#[derive(Debug)]
struct When {
    expression: Expression,
    zone: TimeZone,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
    /// Everything up to this moment has been fired.
    fired_until: Timestamp,
}

impl Schedule {
    /// `fired_until` is the moment up to which it has been fired, if it has.
    pub(super) fn new(listed: Listed, fired_until: Option<Timestamp>) -> Self {
        let mut when = When::of(&listed);
        if let (Ok(when), Some(fired_until)) = (&mut when, fired_until) {
            when.fired_until = when.fired_until.max(fired_until);
        }
        Self {
            listed: Arc::new(listed),
            when,
        }
    }

    /// Whether it is listed unchanged.
    pub(super) fn is(&self, listed: &Listed) -> bool {
        *self.listed == *listed
    }

    pub(super) fn listed(&self) -> &Arc<Listed> {
        &self.listed
    }

    /// Why it cannot be fired.
    pub(super) fn fault(&self) -> Option<&str> {
        self.when.as_ref().err().map(String::as_str)
    }

    /// The time for which it is to be fired now. What came due while nobody looked, as on a
    /// machine that slept, is made up for by one firing.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<Timestamp> {
        let when = self.when.as_mut().ok()?;
        if !self.listed.is_enabled || when.ends_at.is_some_and(|end| now > end) {
            return None;
        }
        let next = when
            .expression
            .next(&when.zone, when.starts_at, when.fired_until)?;
        if next > now {
            return None;
        }
        when.fired_until = now;
        Some(next)
    }
}

impl When {
    fn of(listed: &Listed) -> Result<Self, String> {
        let expression = &listed.expression;
        let starts_at = timestamp(listed.starts_at)?;
        Ok(Self {
            expression: Expression::parse(expression)
                .map_err(|error| format!("{expression}: {error}"))?,
            zone: TimeZone::named(&listed.time_zone).map_err(|error| error.to_string())?,
            starts_at,
            ends_at: listed.ends_at.map(timestamp).transpose()?,
            // A rate fires at its start.
            fired_until: starts_at
                .checked_sub(std::time::Duration::from_nanos(1))
                .map_err(|error| error.to_string())?,
        })
    }
}

fn timestamp(seconds: f64) -> Result<Timestamp, String> {
    let duration = jiff::SignedDuration::try_from_secs_f64(seconds);
    duration
        .and_then(Timestamp::from_duration)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde_json::{Value, json};

    fn schedule(change: impl FnOnce(&mut Value)) -> Schedule {
        let mut listed = json!({
            "arn": "arn:aws:scheduler:us-east-1:000000000000:schedule/default/nightly",
            "expression": "rate(5 minutes)",
            "timeZone": "UTC",
            "isEnabled": true,
            "startsAt": 1_000_000_000.25,
            "endsAt": null,
            "target": {"Arn": "arn:function", "RoleArn": "arn:role"},
        });
        change(&mut listed);
        Schedule::new(serde_json::from_value(listed).unwrap(), None)
    }

    #[test]
    fn what_an_earlier_start_has_fired_is_not_fired_again() {
        for (expression, due) in [
            // What was missed since is made up for by one firing.
            ("rate(5 minutes)", Some(600.0)),
            ("at(2001-09-09T01:46:50)", None),
            ("at(2001-09-09T01:53:20)", Some(399.75)),
        ] {
            let fresh = schedule(|listed| listed["expression"] = expression.into());
            let listed = Arc::into_inner(fresh.listed).unwrap();
            let mut restarted = Schedule::new(listed, Some(at(350.0)));
            assert_eq!(restarted.due(at(1700.0)), due.map(at), "{expression}");
            assert_eq!(restarted.due(at(1701.0)), None);
        }
    }

    /// In seconds after the start.
    fn at(seconds: f64) -> Timestamp {
        timestamp(1_000_000_000.25 + seconds).unwrap()
    }

    #[test]
    fn each_time_is_fired_once() {
        let mut schedule = schedule(|_| {});
        for (now, due) in [
            (-1.0, None),
            (0.5, Some(0.0)),
            (1.5, None),
            (299.0, None),
            (300.0, Some(300.0)),
            (301.0, None),
            // Several were missed.
            (2000.0, Some(600.0)),
            (2001.0, None),
            (2100.0, Some(2100.0)),
        ] {
            assert_eq!(schedule.due(at(now)), due.map(at), "{now}");
        }
    }

    #[test]
    fn it_fires_while_it_is_enabled_and_not_at_its_end() {
        let mut disabled = schedule(|listed| listed["isEnabled"] = false.into());
        assert_eq!(disabled.due(at(10.0)), None);
        let mut ending = schedule(|listed| listed["endsAt"] = 1_000_000_400.into());
        assert!(ending.due(at(1.0)).is_some());
        assert!(ending.due(at(399.0)).is_some());
        assert_eq!(ending.due(at(700.0)), None);
    }

    #[test]
    fn what_was_to_be_before_it_was_made_is_not_fired() {
        // 2001-09-09T01:46:40Z.
        for (expression, due) in [
            ("at(2001-09-09T01:46:39)", None),
            ("at(2001-09-09T03:46:50)", Some(9.75)),
        ] {
            let mut once = schedule(|listed| {
                listed["expression"] = expression.into();
                listed["timeZone"] = if due.is_some() {
                    "Europe/Zurich"
                } else {
                    "UTC"
                }
                .into();
            });
            assert_eq!(once.due(at(60.0)), due.map(at), "{expression}");
            assert_eq!(once.due(at(120.0)), None);
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (field, value, told) in [
            (
                "expression",
                "rate(1 minutes)",
                "rate(1 minutes): the unit of 1 is `minute`",
            ),
            ("timeZone", "Mars", "there is no time zone `Mars`"),
        ] {
            let mut schedule = schedule(|listed| listed[field] = value.into());
            assert_eq!(schedule.fault(), Some(told));
            assert_eq!(schedule.due(at(600.0)), None);
        }
    }
}
