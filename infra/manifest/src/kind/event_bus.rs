//! Event buses of EventBridge, to which functions put events.

use serde_json::json;

use super::{Grants, Kind};
use crate::check::{Check, Subject};
use crate::cloudformation::{attribute, reference, sub};
use crate::deployer::{Deployer, OfService, Statement};
use crate::grant::Grant;
use crate::manifest::{DeclaredResource, Entry, Manifest, Named};
use crate::name;
use crate::resource_id::{Noun, ResourceId};
use crate::synthesis::Synthesis;

pub(super) static KIND: Kind = Kind {
    noun: &NOUN,
    grants: Some(Grants {
        service: "events",
        call: "EventBus::allow",
        actions: EventBusAction::NAMES,
        rust: super::allow,
    }),
    has_url: false,
    is_at: |id, stack, service, name| {
        let bus = name.strip_prefix("event-bus/");
        let own = match id.name() {
            DEFAULT => DEFAULT.to_owned(),
            own => format!("{stack}-{own}"),
        };
        service == "events" && bus == Some(own.as_str())
    },
    settings: super::no_settings,
    deployer: deployer_statements,
    triggers: &[],
};

static NOUN: Noun = Noun {
    noun: "event bus",
    logical_id: "EventBus",
    identifier: "bus",
    value: |id| match id.name() {
        DEFAULT => json!(DEFAULT),
        _ => reference(&id.logical_id()),
    },
};

/// The name of the bus that every account has, and that AWS's own services use.
const DEFAULT: &str = "default";

/// The longest name of an event bus, in characters.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateEventBus.html>
const NAME_MAX: usize = 256;

/// An event bus: encrypted, open to this account only.
#[derive(Clone, Debug)]
pub struct EventBus(Entry<Declaration>);

#[derive(Clone, Debug)]
struct Declaration {
    named: Named,
    /// Whether it is the account's, and not of the stack.
    is_default: bool,
}

impl Manifest {
    /// Declares an event bus of the app.
    #[track_caller]
    pub fn event_bus(&self, name: &str) -> EventBus {
        EventBus(self.declare(Declaration {
            named: Named::by_caller(&NOUN, name),
            is_default: false,
        }))
    }

    /// Declares that the app uses the event bus that every account has. AWS's own services put
    /// their events there.
    #[track_caller]
    pub fn default_event_bus(&self) -> EventBus {
        EventBus(self.declare(Declaration {
            named: Named::by_caller(&NOUN, DEFAULT),
            is_default: true,
        }))
    }
}

impl EventBus {
    /// The environment variable that tells the event bus's name to every function with a grant on
    /// it, and to the shell of `cargo xtask env`.
    pub fn variable(self, name: &str) -> Self {
        let name = name.to_owned();
        self.0.change(|bus| bus.named.variable = Some(name));
        self
    }

    /// Lets a function do `actions` to the event bus.
    #[must_use]
    pub fn allow<const N: usize>(&self, actions: [EventBusAction; N]) -> Grant {
        let id = self.id();
        let arn = match id.name() {
            DEFAULT => sub(&format!(
                "arn:${{AWS::Partition}}:events:${{AWS::Region}}:${{AWS::AccountId}}:event-bus/{DEFAULT}"
            )),
            _ => attribute(&id.logical_id(), "Arn"),
        };
        Grant::on_arn(id, actions.map(EventBusAction::iam_action), &arn)
    }

    pub(crate) fn id(&self) -> ResourceId {
        self.0.get().named.id
    }
}

iam_actions! {
    "events",
    /// What a function may do to an event bus, in IAM's words.
    EventBusAction {
        /// Put events on the bus.
        PutEvents,
    }
}

in_template!(EventBus);

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
    }

    fn check(&self, check: &mut Check<'_>) {
        let subject = Subject::new(&self.named.id).at(self.named.origin);
        let name = self.named.id.name();
        check.require(
            self.is_default || name != DEFAULT,
            &subject,
            "has the name of the default bus of every account",
            "use `default_event_bus`, or rename it",
        );
        check.length_in_stack(&subject, 1 + name.len(), NAME_MAX);
    }

    fn synth(&self, synthesis: &mut Synthesis<'_>) {
        if self.is_default {
            return;
        }
        // CloudFormation makes up no name for it.
        let name = format!("${{AWS::StackName}}-{}", self.named.id.name());
        let bus = synthesis.tagged("AWS::Events::EventBus", json!({"Name": sub(&name)}));
        synthesis.add(self.named.id.logical_id(), self.named.origin, bus);
    }
}

const EVENT_BUS: OfService = &[(
    "AWS::Events::EventBus",
    &[
        "CreateEventBus",
        "DeleteEventBus",
        "DescribeEventBus",
        "ListTagsForResource",
        "TagResource",
        "UntagResource",
        "UpdateEventBus",
    ],
)];

fn deployer_statements(deployer: &Deployer<'_>) -> Vec<Statement> {
    let name = name::stack(deployer.app(), &deployer.stage().name);
    let buses = json!(deployer.arn("events", &format!("event-bus/{name}-*")));
    let deploy = deployer.needed("DeployEventBuses", "events", EVENT_BUS, &buses);
    deploy.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{complaints, resources, shop};

    #[test]
    fn a_function_puts_events_on_one_bus() {
        let app = Manifest::new("shop");
        let arn = |bus: &EventBus| {
            bus.allow([EventBusAction::PutEvents]).statements()[0]["Resource"].clone()
        };
        let own = app.event_bus("orders").variable("ORDERS_BUS_NAME");
        assert_eq!(arn(&own), attribute("OrdersEventBus", "Arn"));
        let of_account = app.default_event_bus().variable("BUS_NAME");
        assert_eq!(
            arn(&of_account),
            sub("arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default")
        );
        app.function("sell")
            .grant(own.allow([EventBusAction::PutEvents]))
            .grant(of_account.allow([EventBusAction::PutEvents]));
        let resources = resources(&app, "");
        let variables = &resources["SellFunction"]["Properties"]["Environment"]["Variables"];
        assert_eq!(variables["ORDERS_BUS_NAME"], reference("OrdersEventBus"));
        assert_eq!(variables["BUS_NAME"], "default");
        assert!(resources.get("DefaultEventBus").is_none());
    }

    #[test]
    fn the_accounts_bus_is_not_made() {
        let shop = shop();
        shop.app.event_bus("default");
        complaints(&shop.app, "").are(&[
            "event bus `default` has the name of the default bus of every account; use `default_event_bus`",
        ]);
    }
}
