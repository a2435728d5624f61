//! SNS topics, and the functions that handle their messages.

use serde_json::{Value, json};

use super::Kind;
use crate::check::{Check, Subject};
use crate::cloudformation::{Resource, reference};
use crate::deployer::{Deployer, OfService, Statement};
use crate::manifest::{DeclaredResource, Entry, Manifest, Named};
use crate::name;
use crate::policy;
use crate::resource_id::{Noun, ResourceId};
use crate::synthesis::Synthesis;
use crate::trigger::{Invocation, Trigger};
use crate::trigger_word::{Sample, Skeleton, TriggerWord};

pub(super) static KIND: Kind = Kind {
    noun: &NOUN,
    grants: None,
    has_url: false,
    is_at: |id, stack, service, name| service == "sns" && super::is_made_up(id, stack, name),
    settings: super::no_settings,
    deployer: deployer_statements,
    triggers: &[TriggerWord {
        word: "topic",
        takes: "TOPIC",
        example: "orders",
        about: "messages published to the topic",
        declare: Some(|app, name, _| {
            let variable = name::environment_variable(name, "TOPIC_ARN");
            format!("{app}.topic({name:?}).variable({variable:?})")
        }),
        call: |topic, _| format!(".trigger({topic}.published())"),
        sample,
        skeleton: &Skeleton {
            handles: "messages of a topic",
            main: include_str!("topic/skeleton/main.rs"),
            dependencies: &["serde", "tracing"],
        },
        ..TriggerWord::DEFAULTS
    }],
};

/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html>
fn sample(about: &Sample<'_>) -> Value {
    let topic = about.arn("sns", &about.made_up_name());
    let subscription = format!("{topic}:21be56ed-a058-49f5-8c98-aedd2564c486");
    let endpoint = format!("https://sns.{}.amazonaws.com/", about.names.region);
    json!({"Records": [{
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription,
        "Sns": {
            "Type": "Notification",
            "MessageId": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
            "TopicArn": topic,
            "Subject": null,
            "Message": r#"{"id":"1"}"#,
            "Timestamp": "2026-01-05T09:30:00.000Z",
            "SignatureVersion": "1",
            "Signature": "dGhpcyBpcyBub3QgYSBzaWduYXR1cmU=",
            "SigningCertUrl": format!("{endpoint}SimpleNotificationService-0000000000000000000000.pem"),
            "UnsubscribeUrl": format!("{endpoint}?Action=Unsubscribe&SubscriptionArn={subscription}"),
            "MessageAttributes": {},
        },
    }]})
}

static NOUN: Noun = Noun {
    noun: "topic",
    logical_id: "Topic",
    identifier: "topic",
    value: |id| reference(&id.logical_id()),
};

/// An SNS topic: encrypted, reachable over TLS only.
#[derive(Clone, Debug)]
pub struct Topic(Entry<Declaration>);

#[derive(Clone, Debug)]
struct Declaration {
    named: Named,
}

/// The messages of a topic.
struct Messages;

impl Manifest {
    /// Declares a topic.
    #[track_caller]
    pub fn topic(&self, name: &str) -> Topic {
        Topic(self.declare(Declaration {
            named: Named::by_caller(&NOUN, name),
        }))
    }
}

impl Topic {
    /// The environment variable that tells the topic's ARN to every function that may
    /// pass one of its publishers, and to the shell of `cargo xtask env`.
    pub fn variable(self, name: &str) -> Self {
        let name = name.to_owned();
        self.0.change(|topic| topic.named.variable = Some(name));
        self
    }

    /// Messages published to the topic.
    #[must_use]
    pub fn published(&self) -> Trigger {
        Trigger::new(self.id(), Invocation::Asynchronous, Messages).labelled("message")
    }

    pub(crate) fn id(&self) -> ResourceId {
        self.0.get().named.id
    }
}

in_template!(Topic);

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
    }

    /// SNS keeps one subscription of a function to a topic.
    fn check(&self, check: &mut Check<'_>) {
        for function in check.functions() {
            let triggers = function.triggers_of::<Messages>(&self.named.id);
            for (origin, _) in triggers.skip(1) {
                check.require(
                    false,
                    &Subject::of_function(function).at(origin),
                    format!("handles the messages of {} twice", self.named.id),
                    "remove one of the triggers",
                );
            }
        }
    }

    fn synth(&self, synthesis: &mut Synthesis<'_>) {
        let logical_id = self.named.id.logical_id();
        let topic = reference(&logical_id);
        synthesis.tls_only(
            &logical_id,
            self.named.origin,
            "AWS::SNS::TopicPolicy",
            json!({
                "Topics": [topic],
                // SNS takes no `sns:*` here.
                "PolicyDocument": policy::tls_only("sns:Publish", &topic),
            }),
        );
        // The key that AWS manages for SNS serves every principal of the account that
        // publishes through SNS, without a permission of its own. That a role which a service
        // assumes is one of them follows from that; AWS does not document it for this case. A
        // service that publishes in its own name (S3, EventBridge) would need a key of ours.
        // <https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html>
        let properties = json!({"KmsMasterKeyId": "alias/aws/sns"});
        let resource = synthesis.tagged("AWS::SNS::Topic", properties);
        synthesis.add(logical_id.clone(), self.named.origin, resource);

        for (function, triggers) in synthesis.invoked_by::<Messages>(&self.named.id) {
            let origin = triggers[0].0;
            let permission_id = format!("{logical_id}{}", function.logical_id("Permission"));
            synthesis.permission(
                permission_id.clone(),
                origin,
                function,
                "sns.amazonaws.com",
                json!({"SourceArn": topic}),
            );
            let subscription = json!({
                "Endpoint": synthesis.invoked(function),
                "Protocol": "lambda",
                "TopicArn": topic,
            });
            synthesis.add(
                format!("{logical_id}{}", function.logical_id("Subscription")),
                origin,
                // SNS drops a message that it is not permitted to deliver.
                Resource::new("AWS::SNS::Subscription", subscription)
                    .depends_on(vec![permission_id]),
            );
        }
    }
}

const TOPIC: OfService = &[
    (
        "AWS::SNS::Topic",
        &[
            "CreateTopic",
            "DeleteTopic",
            "GetDataProtectionPolicy",
            "GetTopicAttributes",
            "ListSubscriptionsByTopic",
            "ListTagsForResource",
            "SetTopicAttributes",
            "TagResource",
            "UntagResource",
        ],
    ),
    ("AWS::SNS::Subscription", &["Subscribe"]),
];

/// Likewise, but IAM knows no resource for them.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html>
const ALL_SUBSCRIPTIONS: OfService = &[(
    "AWS::SNS::Subscription",
    &["GetSubscriptionAttributes", "Unsubscribe"],
)];

fn deployer_statements(deployer: &Deployer<'_>) -> Vec<Statement> {
    let topics = json!(deployer.arn("sns", &format!("{}-*", deployer.stack())));
    [
        deployer.needed("DeployTopics", "sns", TOPIC, &topics),
        deployer.needed("EndSubscriptions", "sns", ALL_SUBSCRIPTIONS, &json!("*")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::{complaints, shop};

    #[test]
    fn a_function_subscribes_to_a_topic_once() {
        let shop = shop();
        shop.sell.trigger(shop.topic.published());
        let also = shop.app.function("also").trigger(shop.topic.published());
        complaints(&shop.app, "").are(&[]);
        also.trigger(shop.topic.published());
        complaints(&shop.app, "")
            .are(&["function `also` handles the messages of topic `orders` twice"]);
    }
}
