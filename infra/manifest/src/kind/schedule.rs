//! Schedules of EventBridge Scheduler, each of which invokes a function.

use schedules::{Expression, Firing, Input, TimeZone, Timestamp};
use serde_json::{Value, json};

use super::Kind;
use crate::check::{Check, Subject};
use crate::cloudformation::{Resource, attribute, reference, sub};
use crate::deployer::{Deployer, OfService, Statement, one_or_more};
use crate::function::Function;
use crate::manifest::{DeclaredResource, Entry, Manifest, Named};
use crate::policy;
use crate::resource_id::{Noun, ResourceId};
use crate::synthesis::Synthesis;
use crate::trigger::{Invocation, Trigger};
use crate::trigger_word::{Sample, Skeleton, TriggerWord};

#[cfg(test)]
mod tests;

pub(super) static KIND: Kind = Kind {
    noun: &NOUN,
    grants: None,
    has_url: false,
    is_at: |id, stack, service, name| {
        let name = name.strip_prefix("schedule/default/");
        service == "scheduler" && name.is_some_and(|name| super::is_made_up(id, stack, name))
    },
    settings: super::no_settings,
    deployer: deployer_statements,
    triggers: &[TriggerWord {
        word: "schedule",
        takes: "EXPRESSION",
        example: "rate(5 minutes)",
        about: "the times of `rate(…)`, `cron(…)` or `at(…)`",
        resource: |text, function| match Expression::parse(text) {
            Ok(_) => Ok(function.to_owned()),
            Err(error) => Err(format!("{error}; {}", error.remedy())),
        },
        declare: Some(|app, name, text| format!("{app}.schedule({name:?}, {text:?})")),
        call: |schedule, _| format!(".trigger({schedule}.fires())"),
        sample,
        skeleton: &Skeleton {
            handles: "the times of a schedule",
            main: include_str!("schedule/skeleton/main.rs"),
            dependencies: &["tracing"],
        },
        ..TriggerWord::DEFAULTS
    }],
};

fn sample(about: &Sample<'_>) -> Value {
    let firing = Firing {
        schedule_arn: about.arn(
            "scheduler",
            &format!("schedule/default/{}", about.made_up_name()),
        ),
        scheduled_time: Timestamp::constant(1_767_605_400, 0),
        execution_id: "d32c5kddcf5bb8c3".to_owned(),
        attempt_number: 1,
    };
    let event = Input::of_schedule(about.name()).event(&firing);
    serde_json::from_str(&event).unwrap_or_default()
}

static NOUN: Noun = Noun {
    noun: "schedule",
    logical_id: "Schedule",
    identifier: "schedule",
    value: |id| reference(&id.logical_id()),
};

/// The longest name of a schedule, in characters.
/// <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html>
const NAME_MAX: usize = 64;
/// How often EventBridge Scheduler tries again to invoke a function at most, and how old an event
/// may get meanwhile, in seconds.
/// <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html>
const RETRY_ATTEMPTS_MAX: u32 = 185;
const EVENT_AGE_SECONDS: std::ops::RangeInclusive<u32> = 60..=86_400;

/// A schedule: when a function is invoked.
#[derive(Clone, Debug)]
pub struct Schedule(Entry<Declaration>);

#[derive(Clone, Debug)]
struct Declaration {
    named: Named,
    expression: String,
    time_zone: Option<String>,
    retry_attempts: u32,
    event_age_seconds: u32,
}

/// The times of a schedule, as a trigger.
struct Fires;

/// A schedule of a resolved app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedSchedule {
    /// Its name in the manifest.
    pub name: String,
    /// The name in the manifest of the function that it invokes.
    pub function: String,
    /// What it invokes the function with.
    pub input: Input,
}

impl Manifest {
    /// Declares when a function is invoked, in AWS's words: again and again
    /// (`rate(5 minutes)`), by the calendar (`cron(0 3 * * ? *)`), or once
    /// (`at(2027-01-01T00:00:00)`).
    ///
    /// A cron expression has the fields minutes, hours, day of month, month, day of week and year.
    /// A rate fires when the schedule is created or changed, and from then on.
    /// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>
    ///
    /// ```
    /// use manifest::Manifest;
    ///
    /// let app = Manifest::new("shop");
    /// let nightly = app
    ///     .schedule("nightly", "cron(0 3 * * ? *)")
    ///     .time_zone("Europe/Zurich");
    /// app.function("sweep").trigger(nightly.fires());
    /// ```
    #[track_caller]
    pub fn schedule(&self, name: &str, expression: &str) -> Schedule {
        Schedule(self.declare(Declaration {
            named: Named::by_caller(&NOUN, name),
            expression: expression.to_owned(),
            time_zone: None,
            retry_attempts: RETRY_ATTEMPTS_MAX,
            event_age_seconds: *EVENT_AGE_SECONDS.end(),
        }))
    }
}

impl Schedule {
    /// The time zone that a cron expression or a single time is of, by its name in the IANA
    /// database; otherwise UTC.
    pub fn time_zone(self, name: &str) -> Self {
        let name = name.to_owned();
        self.0.change(|schedule| schedule.time_zone = Some(name));
        self
    }

    /// How often EventBridge Scheduler tries again to hand an event to Lambda, 185 times unless
    /// said otherwise. How often Lambda tries the function again is another matter.
    pub fn retry_attempts(self, attempts: u32) -> Self {
        self.0.change(|schedule| schedule.retry_attempts = attempts);
        self
    }

    /// For how long EventBridge Scheduler tries to hand an event to Lambda, in seconds; a day
    /// unless said otherwise.
    pub fn event_age_seconds(self, seconds: u32) -> Self {
        self.0
            .change(|schedule| schedule.event_age_seconds = seconds);
        self
    }

    /// The times at which the schedule fires, delivered asynchronously.
    #[must_use]
    pub fn fires(&self) -> Trigger {
        Trigger::new(self.0.get().named.id, Invocation::Asynchronous, Fires).labelled("fires")
    }
}

/// The schedules that invoke a function.
pub(crate) fn schedules_of(function: &Function) -> impl Iterator<Item = DeployedSchedule> {
    let fires = function
        .triggers()
        .filter(|trigger| trigger.details::<Fires>().is_some());
    fires.map(|trigger| DeployedSchedule {
        name: trigger.source().name().to_owned(),
        function: function.name().to_owned(),
        input: input(trigger.source()),
    })
}

/// What a function is invoked with: see `runtime::schedule`.
fn input(id: &ResourceId) -> Input {
    Input::of_schedule(id.name())
}

in_template!(Schedule);

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
    }

    fn check(&self, check: &mut Check<'_>) {
        let subject = Subject::new(&self.named.id).at(self.named.origin);
        self.check_expression(check, &subject);
        self.check_retries(check, &subject);

        let mut invoked = Vec::new();
        for function in check.functions() {
            for (origin, _) in function.triggers_of::<Fires>(&self.named.id) {
                if let Some(other) = invoked.first() {
                    check.require(
                        false,
                        &Subject::of_function(function).at(origin),
                        format!(
                            "is invoked by {}, as function `{other}` is; a schedule invokes one function",
                            self.named.id
                        ),
                        "remove one of the triggers, or declare another schedule",
                    );
                }
                invoked.push(function.name.as_str());
            }
        }
        check.require(
            !invoked.is_empty(),
            &subject,
            "invokes no function",
            "give a function the trigger `fires()` of it, or remove it",
        );
    }

    fn synth(&self, synthesis: &mut Synthesis<'_>) {
        // The check has found one trigger.
        for (function, _) in synthesis.invoked_by::<Fires>(&self.named.id) {
            self.synth_role(synthesis, function);
            self.synth_schedule(synthesis, function);
        }
    }
}

impl Declaration {
    fn check_expression(&self, check: &mut Check<'_>, subject: &Subject) {
        let text = &self.expression;
        let zone = match self.time_zone.as_deref().map(TimeZone::named) {
            None => Some(TimeZone::UTC),
            Some(Ok(zone)) => Some(zone),
            Some(Err(unknown)) => {
                let remedy = match &unknown.nearest {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => "write a name of the IANA database, like `Europe/Zurich`".to_owned(),
                };
                let name = &unknown.name;
                check.require(
                    false,
                    subject,
                    format!("has an unknown time zone `{name}`"),
                    remedy,
                );
                None
            }
        };
        match Expression::parse(text) {
            Err(error) => check.require(
                false,
                subject,
                format!("fires at `{text}`: {error}"),
                error.remedy(),
            ),
            Ok(expression) => check.require(
                zone.is_none_or(|zone| expression.can_fire(&zone)),
                subject,
                format!("fires at `{text}`, which is never"),
                "name a time that some calendar day has",
            ),
        }
    }

    fn check_retries(&self, check: &mut Check<'_>, subject: &Subject) {
        let (attempts, seconds) = (self.retry_attempts, self.event_age_seconds);
        check.require(
            attempts <= RETRY_ATTEMPTS_MAX,
            subject,
            format!("has {attempts} retry attempts"),
            format!("set `retry_attempts` to 0 to {RETRY_ATTEMPTS_MAX}"),
        );
        check.require(
            EVENT_AGE_SECONDS.contains(&seconds),
            subject,
            format!("keeps an event for {seconds} s"),
            format!(
                "set `event_age_seconds` to {} to {}",
                EVENT_AGE_SECONDS.start(),
                EVENT_AGE_SECONDS.end()
            ),
        );
    }

    /// By it, EventBridge Scheduler invokes the function, and keeps an event that it could not
    /// hand over.
    fn synth_role(&self, synthesis: &mut Synthesis<'_>, function: &Function) {
        let invoke = policy::allow(
            "Invoke",
            &["lambda:InvokeFunction".to_owned()],
            &synthesis.invoked(function),
        );
        let keep = policy::allow(
            "KeepFailedEvents",
            &["sqs:SendMessage".to_owned()],
            &function.failure_queue_arn(),
        );
        let fire = policy::document(&[invoke, keep]);
        let role = synthesis.role(&trust(), vec![("fire", fire)]);
        synthesis.add(self.role_id(), self.named.origin, role);
    }

    fn synth_schedule(&self, synthesis: &mut Synthesis<'_>, function: &Function) {
        let mut properties = json!({
            "ScheduleExpression": self.expression,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": synthesis.invoked(function),
                "RoleArn": attribute(&self.role_id(), "Arn"),
                "Input": input(&self.named.id).as_str(),
                "RetryPolicy": {
                    "MaximumEventAgeInSeconds": self.event_age_seconds,
                    "MaximumRetryAttempts": self.retry_attempts,
                },
                "DeadLetterConfig": {"Arn": function.failure_queue_arn()},
            },
        });
        if let Some(time_zone) = &self.time_zone {
            properties["ScheduleExpressionTimezone"] = json!(time_zone);
        }
        // Its group could have tags, and it can have none.
        let schedule = Resource::new("AWS::Scheduler::Schedule", properties);
        synthesis.add(self.named.id.logical_id(), self.named.origin, schedule);
    }

    fn role_id(&self) -> String {
        format!("{}Role", self.named.id.logical_id())
    }
}

/// Lets EventBridge Scheduler assume the role for this account's schedules. It tells the group of
/// a schedule, not the schedule.
/// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html>
fn trust() -> Value {
    let group =
        "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule-group/default";
    policy::document(&[json!({
        "Effect": "Allow",
        "Principal": {"Service": policy::principal("scheduler")},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": reference("AWS::AccountId")},
            "ArnEquals": {"aws:SourceArn": sub(group)},
        },
    })])
}

const SCHEDULE: OfService = &[(
    "AWS::Scheduler::Schedule",
    &[
        "CreateSchedule",
        "DeleteSchedule",
        "GetSchedule",
        "UpdateSchedule",
    ],
)];

fn deployer_statements(deployer: &Deployer<'_>) -> Vec<Statement> {
    let names = deployer.made_up_names("AWS::Scheduler::Schedule", NAME_MAX);
    let schedules: Vec<String> = names
        .iter()
        .map(|name| deployer.arn("scheduler", &format!("schedule/default/{name}")))
        .collect();
    let schedules = one_or_more(&schedules);
    let deploy = deployer.needed("DeploySchedules", "scheduler", SCHEDULE, &schedules);
    let pass = deploy.is_some().then(|| {
        Statement::allow("PassScheduleRoles", "iam", &["PassRole"], &deployer.roles())
            .when(json!({"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}))
    });
    deploy.into_iter().chain(pass).collect()
}
