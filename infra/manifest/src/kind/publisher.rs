//! Roles by which AWS services publish to topics.

use serde_json::{Value, json};

use super::topic::Topic;
use super::{Grants, Kind};
use crate::check::{Check, Subject};
use crate::cloudformation::{attribute, reference, sub};
use crate::grant::Grant;
use crate::manifest::{DeclaredResource, Entry, Manifest, Named};
use crate::name;
use crate::policy;
use crate::resource_id::{Noun, ResourceId};
use crate::synthesis::Synthesis;

pub(super) static KIND: Kind = Kind {
    noun: &NOUN,
    grants: Some(Grants {
        service: "iam",
        call: "Publisher::pass",
        actions: &["PassRole"],
        rust: |variable, _| format!("{variable}.pass()"),
    }),
    has_url: false,
    is_at: |id, stack, service, name| {
        let name = name.rsplit('/').next().unwrap_or_default();
        service == "iam" && super::is_made_up(id, stack, name)
    },
    settings: super::no_settings,
    // Roles are deployed with the functions'.
    deployer: |_| Vec::new(),
    triggers: &[],
};

static NOUN: Noun = Noun {
    noun: "publisher",
    logical_id: "PublisherRole",
    identifier: "publisher",
    value: |id| attribute(&id.logical_id(), "Arn"),
};

/// A role by which an AWS service publishes to one topic, for this app's account only.
#[derive(Clone, Debug)]
pub struct Publisher(Entry<Declaration>);

#[derive(Clone, Debug)]
struct Declaration {
    named: Named,
    topic: ResourceId,
    service: String,
}

impl Manifest {
    /// Declares a role by which an AWS service, such as `rekognition`, publishes to the topic
    /// when a function that may pass the role tells it to.
    #[track_caller]
    pub fn publisher(&self, topic: &Topic, service: &str) -> Publisher {
        let topic = topic.id();
        Publisher(self.declare(Declaration {
            named: Named::by_caller(&NOUN, topic.name()),
            topic,
            service: service.to_owned(),
        }))
    }
}

impl Publisher {
    /// The environment variable that tells the role's ARN to every function that may
    /// pass it, and to the shell of `cargo xtask env`.
    pub fn variable(self, name: &str) -> Self {
        let name = name.to_owned();
        self.0
            .change(|publisher| publisher.named.variable = Some(name));
        self
    }

    /// Lets a function pass the role to its service, and to no other. The function
    /// also gets the variable of the topic, which the service wants to know as well.
    #[must_use]
    pub fn pass(&self) -> Grant {
        let Declaration {
            named: Named { id, .. },
            topic,
            service,
        } = self.0.get();
        let action = "iam:PassRole".to_owned();
        let logical_id = id.logical_id();
        let mut statement = policy::allow(
            &format!("Pass{logical_id}"),
            std::slice::from_ref(&action),
            &attribute(&logical_id, "Arn"),
        );
        statement["Condition"] =
            json!({"StringEquals": {"iam:PassedToService": policy::principal(&service)}});
        Grant::scoped(id, [action], vec![statement])
            .telling(topic)
            .calling(&service)
    }
}

in_template!(Publisher);

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
    }

    fn leads_to(&self) -> Vec<ResourceId> {
        vec![self.topic.clone()]
    }

    fn check(&self, check: &mut Check<'_>) {
        let subject = Subject::new(&self.named.id).at(self.named.origin);
        check.references(&subject, [&self.topic]);
        check.require(
            name::is_kebab_case(&self.service),
            &subject,
            format!("is `{}`, which is not an AWS service", self.service),
            "write one like `rekognition`, without `.amazonaws.com`",
        );
    }

    fn synth(&self, synthesis: &mut Synthesis<'_>) {
        let role = synthesis.role(&self.trust(), vec![("publish", self.document())]);
        synthesis.add(self.named.id.logical_id(), self.named.origin, role);
    }
}

impl Declaration {
    /// Lets the service assume the role, for this account's resources only.
    ///
    /// AWS documents the two conditions, and that for stored videos the account alone will
    /// do: their jobs have no ARN that Rekognition promises to send. Hence `IfExists`,
    /// which admits no other account's ARN and does not insist on one.
    /// <https://docs.aws.amazon.com/rekognition/latest/dg/cross-service-confused-deputy-prevention.html>
    fn trust(&self) -> Value {
        let service = &self.service;
        policy::document(&[json!({
            "Effect": "Allow",
            "Principal": {"Service": policy::principal(service)},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": reference("AWS::AccountId")},
                "ArnLikeIfExists": {"aws:SourceArn": sub(&format!(
                    "arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:*"
                ))},
            },
        })])
    }

    /// Everything that the service may do by the role. The key that encrypts the topic is used by
    /// SNS, not by the role.
    fn document(&self) -> Value {
        let topic = self.topic.logical_id();
        let publish = ["sns:Publish".to_owned()];
        policy::document(&[policy::allow(&topic, &publish, &reference(&topic))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{complaints, shop};

    #[test]
    fn a_role_is_passed_to_its_service_only() {
        let app = Manifest::new("shop");
        let films = app.topic("films");
        let publisher = app.publisher(&films, "rekognition");
        assert_eq!(
            publisher.pass().statements(),
            [json!({
                "Sid": "PassFilmsPublisherRole",
                "Effect": "Allow",
                "Action": ["iam:PassRole"],
                "Resource": {"Fn::GetAtt": ["FilmsPublisherRole", "Arn"]},
                "Condition": {
                    "StringEquals": {"iam:PassedToService": "rekognition.amazonaws.com"},
                },
            })]
        );
    }

    #[test]
    fn a_publisher_has_a_topic_and_a_service() {
        let shop = shop();
        let elsewhere = Manifest::new("elsewhere");
        let order = elsewhere.topic("order");
        shop.app.publisher(&order, "rekognition.amazonaws.com");
        let foreign = elsewhere.publisher(&elsewhere.topic("bills"), "rekognition");
        shop.sell.grant(foreign.pass());
        complaints(&shop.app, "").are(&[
            "publisher `order` refers to topic `order`, which the manifest does not declare; did you mean `orders`?",
            "publisher `order` is `rekognition.amazonaws.com`, which is not an AWS service",
            "function `sell` refers to publisher `bills`, which the manifest does not declare",
            "function `sell` refers to topic `bills`, which the manifest does not declare",
        ]);
    }
}
