//! What a schedule invokes its target with.

use jiff::Timestamp;

/// The JSON of a schedule's input, with names in the place of what EventBridge Scheduler knows only
/// when it fires.
/// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input(String);

/// What EventBridge Scheduler knows when it fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    /// The ARN of the schedule.
    pub schedule_arn: String,
    /// When the schedule was to fire.
    pub scheduled_time: Timestamp,
    /// Identifies the firing, in all attempts.
    pub execution_id: String,
    /// The number of the attempt, from 1 on.
    pub attempt_number: u32,
}

impl Input {
    /// The input of a schedule that says so.
    #[must_use]
    pub fn new(json: &str) -> Self {
        Self(json.to_owned())
    }

    /// The input that tells a function which schedule has fired, and when: what
    /// `runtime::schedule` reads.
    #[must_use]
    pub fn of_schedule(name: &str) -> Self {
        // A name is in kebab-case, so nothing has to be escaped.
        Self(format!(
            r#"{{"schedule":"{name}","scheduledTime":"<aws.scheduler.scheduled-time>","executionId":"<aws.scheduler.execution-id>"}}"#
        ))
    }

    /// The text, as the schedule's property has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The event of a firing.
    #[must_use]
    pub fn event(&self, firing: &Firing) -> String {
        let time = firing.scheduled_time.strftime("%Y-%m-%dT%H:%M:%SZ");
        let known = [
            ("schedule-arn", firing.schedule_arn.clone()),
            ("scheduled-time", time.to_string()),
            ("execution-id", firing.execution_id.clone()),
            ("attempt-number", firing.attempt_number.to_string()),
        ];
        known.iter().fold(self.0.clone(), |text, (name, value)| {
            text.replace(&format!("<aws.scheduler.{name}>"), value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_what_is_known_are_replaced() {
        let firing = Firing {
            schedule_arn: "arn:aws:scheduler:us-east-1:123456789012:schedule/default/nightly"
                .into(),
            scheduled_time: "2027-01-01T03:00:00.5Z".parse().unwrap(),
            execution_id: "d32c5kddcf5bb8c3".into(),
            attempt_number: 1,
        };
        assert_eq!(
            Input::of_schedule("nightly").event(&firing),
            r#"{"schedule":"nightly","scheduledTime":"2027-01-01T03:00:00Z","executionId":"d32c5kddcf5bb8c3"}"#
        );
        let other =
            Input::new("<aws.scheduler.attempt-number> of <aws.scheduler.schedule-arn> <x>");
        assert_eq!(
            other.event(&firing),
            "1 of arn:aws:scheduler:us-east-1:123456789012:schedule/default/nightly <x>"
        );
    }
}
