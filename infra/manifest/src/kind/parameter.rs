//! Parameters of Systems Manager Parameter Store, whose values an operator stores.

use serde_json::json;

use super::operator_value::{Declaration, Store};
use super::{Grants, Kind};
use crate::check::Check;
use crate::cloudformation::sub;
use crate::deployer::{Deployer, Statement};
use crate::grant::Grant;
use crate::manifest::{Entry, Manifest, Named};
use crate::operator_value::ValueStore;
use crate::resource_id::{Noun, ResourceId};

pub(super) static KIND: Kind = Kind {
    noun: &NOUN,
    grants: Some(Grants {
        service: "ssm",
        call: "Parameter::read",
        actions: &["GetParameter"],
        rust: |variable, _| format!("{variable}.read()"),
    }),
    has_url: false,
    is_at,
    settings: super::no_settings,
    deployer: deployer_statements,
    triggers: &[],
};

static NOUN: Noun = Noun {
    noun: "parameter",
    logical_id: "Parameter",
    identifier: "parameter",
    value: |id| sub(&STORE.stored_as(id.name())),
};

static STORE: Store = Store {
    store: ValueStore::Parameters,
    service: "ssm",
    read: "ssm:GetParameter",
    prefix: "/",
    // The slash that the name begins with is the ARN's own.
    in_arn: ("parameter", ""),
    check_name,
};

/// The longest name of a parameter, in characters, with all of its ARN.
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>
const ARN_MAX: usize = 1011;
/// What stands in the longest ARN before the name.
const ARN_START: &str = "arn:aws-us-gov:ssm:us-isof-south-1:123456789012:parameter";
/// No name may begin so, in capital or in small letters.
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>
const RESERVED: [&str; 2] = ["aws", "ssm"];

/// A parameter of Systems Manager Parameter Store. An operator stores its value, a `String` or a
/// `SecureString`, under the name `/APP-STAGE/NAME`. The app knows the name only: the value is in
/// no template, plan, log or environment variable.
///
/// ```
/// # let app = manifest::Manifest::new("shop");
/// let carrier = app
///     .parameter("carrier-url")
///     .variable("CARRIER_URL_PARAMETER");
/// app.function("ship-order").grant(carrier.read());
/// ```
#[derive(Clone, Debug)]
pub struct Parameter(Entry<Declaration>);

impl Manifest {
    /// Declares a parameter, whose value an operator stores before the app is deployed.
    #[track_caller]
    pub fn parameter(&self, name: &str) -> Parameter {
        Parameter(self.declare(Declaration::new(Named::by_caller(&NOUN, name), &STORE)))
    }
}

impl Parameter {
    /// The environment variable that tells the parameter's name, such as `/shop-dev/carrier-url`,
    /// to every function that may read it, and to the shell of `cargo xtask env`.
    pub fn variable(self, name: &str) -> Self {
        let name = name.to_owned();
        self.0
            .change(|parameter| parameter.named.variable = Some(name));
        self
    }

    /// The alias of the customer managed key that encrypts the value, such as `alias/shop`.
    /// Without it, the value is encrypted with the key that AWS manages for Systems Manager, or
    /// is a `String`.
    pub fn key(self, alias: &str) -> Self {
        let alias = alias.to_owned();
        self.0.change(|parameter| parameter.key = Some(alias));
        self
    }

    /// Lets a function read the value, by `ssm:GetParameter`.
    #[must_use]
    pub fn read(&self) -> Grant {
        self.0.get().read_grant()
    }
}

fn check_name(declaration: &Declaration, check: &mut Check<'_>) {
    let subject = declaration.subject();
    let rest = ARN_START.len() + "//".len() + declaration.named.id.name().len();
    check.length_in_stack(&subject, rest, ARN_MAX);
    let app = check.app_name();
    check.require(
        !RESERVED.iter().any(|reserved| app.starts_with(reserved)),
        &subject,
        format!("gets a name that begins like the app's, `{app}`, which Systems Manager reserves"),
        "rename the app to begin with something other than `aws` and `ssm`, or use a secret",
    );
}

fn is_at(id: &ResourceId, stack: &str, service: &str, name: &str) -> bool {
    service == STORE.service && name == format!("parameter/{stack}/{}", id.name())
}

/// Systems Manager tells only to whoever may ask about all parameters that one exists without
/// telling its value.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html>
fn deployer_statements(deployer: &Deployer<'_>) -> Vec<Statement> {
    let find = || {
        Statement::allow(
            "FindParameters",
            "ssm",
            &["DescribeParameters"],
            &json!("*"),
        )
    };
    deployer.declares(&NOUN).then(find).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{complaints, resolve, resources};

    #[test]
    fn a_function_reads_the_parameter_of_its_stage_and_no_other() {
        let app = Manifest::new("shop");
        let carrier = app.parameter("carrier-url").variable("CARRIER");
        let grant = carrier.read();
        assert_eq!(
            grant.statements(),
            [json!({
                "Sid": "CarrierUrlParameter",
                "Effect": "Allow",
                "Action": ["ssm:GetParameter"],
                "Resource": {"Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/${AWS::StackName}/carrier-url"},
            })]
        );
        app.function("ship").grant(grant);
        let function = &resources(&app, "")["ShipFunction"]["Properties"];
        assert_eq!(
            function["Environment"]["Variables"]["CARRIER"],
            json!({"Fn::Sub": "/${AWS::StackName}/carrier-url"})
        );
        let resolved = resolve(&app, "");
        let [value] = &resolved.operator_values()[..] else {
            panic!("one value");
        };
        assert_eq!(value.stored_as, "/shop-dev/carrier-url");
        let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/shop-dev/carrier-url";
        assert_eq!(
            resolved.resource_at(arn).as_deref(),
            Some("parameter `carrier-url`")
        );
        assert_eq!(resolved.resource_at(&format!("{arn}-2")), None);
    }

    #[test]
    fn a_customer_managed_key_is_used_through_the_service_only() {
        let app = Manifest::new("shop");
        let carrier = app.parameter("carrier").key("alias/shop");
        assert_eq!(
            carrier.read().statements()[1],
            json!({
                "Sid": "CarrierParameterKey",
                "Effect": "Allow",
                "Action": ["kms:Decrypt"],
                "Resource": {"Fn::Sub": "arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*"},
                "Condition": {
                    "ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/shop"]},
                    "StringEquals": {"kms:ViaService": {"Fn::Sub": "ssm.${AWS::Region}.amazonaws.com"}},
                },
            })
        );
    }

    #[test]
    fn names_and_keys_are_what_aws_takes() {
        let app = Manifest::new("awsome");
        app.function("ship");
        app.parameter("carrier")
            .key("arn:aws:kms:eu-west-1:123456789012:key/1");
        app.parameter(&"c".repeat(1000)).key("alias/aws/ssm");
        complaints(&app, "").are(&[
            "parameter `carrier` gets a name that begins like the app's, `awsome`",
            "parameter `carrier` has the key `arn:aws:kms",
            "characters in AWS, where 1011 are allowed",
            "gets a name that begins like the app's",
            "which AWS manages",
        ]);
    }

    #[test]
    fn two_parameters_have_two_variables() {
        let app = Manifest::new("shop");
        app.function("ship");
        app.parameter("carrier").variable("CARRIER");
        app.parameter("tax").variable("CARRIER");
        complaints(&app, "").are(&["has the variable `CARRIER`, as parameter `carrier` has"]);
    }
}
