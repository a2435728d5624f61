//! Rules of EventBridge: which events of a bus invoke which functions.

use serde_json::{Value, json};

use super::Kind;
use super::event_bus::EventBus;
use crate::check::{Check, Subject};
use crate::cloudformation::{attribute, reference};
use crate::deployer::{Deployer, OfService, Statement, one_or_more};
use crate::function::Function;
use crate::manifest::{DeclaredResource, Entry, Manifest, Named};
use crate::origin::Origin;
use crate::resource_id::{Noun, ResourceId};
use crate::synthesis::Synthesis;
use crate::trigger::{Invocation, Trigger};
use crate::trigger_word::{Sample, Skeleton, TriggerWord};

mod pattern;

#[cfg(test)]
mod tests;

pub(super) static KIND: Kind = Kind {
    noun: &NOUN,
    grants: None,
    has_url: false,
    is_at: |id, stack, service, name| {
        let name = name.strip_prefix("rule/").map(|name| {
            let (_, name) = name.rsplit_once('/').unwrap_or(("", name));
            name
        });
        service == "events" && name.is_some_and(|name| super::is_made_up(id, stack, name))
    },
    settings: super::no_settings,
    deployer: deployer_statements,
    triggers: &[TriggerWord {
        word: "event",
        takes: "RULE",
        example: "order-paid",
        about: "events of a bus that match the rule",
        declare: Some(|app, name, _| {
            let pattern = format!("r#\"{{\"detail-type\": [{name:?}]}}\"#");
            format!("{app}.event_rule(&{app}.default_event_bus(), {name:?}, {pattern})")
        }),
        call: |rule, _| format!(".trigger({rule}.matched())"),
        sample,
        skeleton: &Skeleton {
            handles: "events of an event bus",
            main: include_str!("event_rule/skeleton/main.rs"),
            dependencies: &["serde", "tracing"],
        },
        ..TriggerWord::DEFAULTS
    }],
};

/// <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>
fn sample(about: &Sample<'_>) -> Value {
    json!({
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": about.name(),
        "source": "shop",
        "account": about.names.account,
        "time": "2026-01-05T09:30:00Z",
        "region": about.names.region,
        "resources": [],
        "detail": {"id": "1"},
    })
}

static NOUN: Noun = Noun {
    noun: "event rule",
    logical_id: "EventRule",
    identifier: "rule",
    value: |id| reference(&id.logical_id()),
};

/// The targets of a rule.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html>
const TARGETS_MAX: usize = 5;
/// The longest name of a rule, in characters.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html>
const NAME_MAX: usize = 64;

/// For how long EventBridge tries to hand an event to Lambda, in seconds, and how often at most:
/// as long and as often as it can.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_RetryPolicy.html>
const EVENT_AGE_SECONDS: u32 = 86_400;
const RETRY_ATTEMPTS: u32 = 185;

/// A rule: which events of a bus invoke functions.
#[derive(Clone, Debug)]
pub struct EventRule(Entry<Declaration>);

#[derive(Clone, Debug)]
struct Declaration {
    named: Named,
    bus: ResourceId,
    pattern: String,
}

/// The events that match a rule.
struct Matched;

impl Manifest {
    /// Declares which events of a bus invoke functions, up to five of them, by a pattern in JSON.
    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>
    ///
    /// ```
    /// use manifest::{Manifest, kinds::EventBusAction::PutEvents};
    ///
    /// let app = Manifest::new("shop");
    /// let bus = app.event_bus("shop").variable("SHOP_BUS_NAME");
    /// let paid = app.event_rule(&bus, "order-paid", r#"{"detail-type": ["OrderPaid"]}"#);
    /// app.function("pay").grant(bus.allow([PutEvents]));
    /// app.function("ship").trigger(paid.matched());
    /// app.function("thank").trigger(paid.matched());
    /// ```
    #[track_caller]
    pub fn event_rule(&self, bus: &EventBus, name: &str, pattern: &str) -> EventRule {
        EventRule(self.declare(Declaration {
            named: Named::by_caller(&NOUN, name),
            bus: bus.id(),
            pattern: pattern.to_owned(),
        }))
    }
}

impl EventRule {
    /// Events that match the rule, delivered asynchronously.
    #[must_use]
    pub fn matched(&self) -> Trigger {
        Trigger::new(self.0.get().named.id, Invocation::Asynchronous, Matched).labelled("event")
    }
}

in_template!(EventRule);

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
    }

    fn check(&self, check: &mut Check<'_>) {
        let id = &self.named.id;
        let subject = Subject::new(id).at(self.named.origin);
        check.references(&subject, [&self.bus]);
        for (problem, remedy) in pattern::parse(&self.pattern).err().unwrap_or_default() {
            check.require(
                false,
                &subject,
                format!("has a pattern that {problem}"),
                remedy,
            );
        }
        let mut targets = Vec::new();
        for function in check.functions() {
            let triggers = function.triggers_of::<Matched>(id);
            for (place, (origin, _)) in triggers.enumerate() {
                if place == 0 {
                    targets.push(function.name.as_str());
                }
                check.require(
                    place == 0,
                    &Subject::of_function(function).at(origin),
                    format!("handles the events of {id} twice"),
                    "remove one of the triggers",
                );
            }
        }
        check.require(
            !targets.is_empty(),
            &subject,
            "invokes no function",
            "give a function the trigger `matched()` of it, or remove it",
        );
        check.require(
            targets.len() <= TARGETS_MAX,
            &subject,
            format!(
                "invokes {} functions ({}), but a rule has at most {TARGETS_MAX} targets",
                targets.len(),
                targets.join(", ")
            ),
            "declare another rule with the same pattern",
        );
    }

    fn synth(&self, synthesis: &mut Synthesis<'_>) {
        let targets = synthesis.invoked_by::<Matched>(&self.named.id);
        let targets: Vec<(&Function, Origin)> = targets
            .into_iter()
            .map(|(function, triggers)| (function, triggers[0].0))
            .collect();
        Rule {
            logical_id: self.named.id.logical_id(),
            origin: self.named.origin,
            bus: self.bus.value(),
            pattern: pattern::parse(&self.pattern).unwrap_or_default(),
        }
        .synth(synthesis, &targets);
    }
}

/// A rule's part of the template.
pub(super) struct Rule {
    pub(super) logical_id: String,
    pub(super) origin: Origin,
    /// The name of the event bus.
    pub(super) bus: Value,
    pub(super) pattern: Value,
}

impl Rule {
    /// `targets` are the functions that it invokes, and where that is declared.
    pub(super) fn synth(self, synthesis: &mut Synthesis<'_>, targets: &[(&Function, Origin)]) {
        let arn = attribute(&self.logical_id, "Arn");
        let mut shown = Vec::new();
        for (function, origin) in targets {
            // EventBridge keeps what Lambda did not take where Lambda keeps what the function
            // failed on.
            synthesis.keeps_failures(function, &self.logical_id, "events.amazonaws.com", &arn);
            synthesis.permission(
                format!("{}{}", self.logical_id, function.logical_id("Permission")),
                *origin,
                function,
                "events.amazonaws.com",
                json!({"SourceArn": arn}),
            );
            shown.push(json!({
                "Id": function.name(),
                "Arn": synthesis.invoked(function),
                "RetryPolicy": {
                    "MaximumEventAgeInSeconds": EVENT_AGE_SECONDS,
                    "MaximumRetryAttempts": RETRY_ATTEMPTS,
                },
                "DeadLetterConfig": {"Arn": function.failure_queue_arn()},
            }));
        }
        let properties = json!({
            "EventBusName": self.bus,
            "EventPattern": self.pattern,
            "Targets": shown,
        });
        let rule = synthesis.tagged("AWS::Events::Rule", properties);
        synthesis.add(self.logical_id, self.origin, rule);
    }
}

const RULE: OfService = &[(
    "AWS::Events::Rule",
    &[
        "DeleteRule",
        "DescribeRule",
        "ListTagsForResource",
        "ListTargetsByRule",
        "PutRule",
        "PutTargets",
        "RemoveTargets",
        "TagResource",
        "UntagResource",
    ],
)];

/// Also of the rules that buckets have.
fn deployer_statements(deployer: &Deployer<'_>) -> Vec<Statement> {
    let mut names = deployer.made_up_names("AWS::Events::Rule", NAME_MAX);
    if deployer.has("AWS::Events::EventBus") {
        names.insert(format!("{}-*/*", deployer.stack()));
    }
    let rules: Vec<String> = names
        .iter()
        .map(|name| deployer.arn("events", &format!("rule/{name}")))
        .collect();
    let rules = one_or_more(&rules);
    let deploy = deployer.needed("DeployEventRules", "events", RULE, &rules);
    deploy.into_iter().collect()
}
