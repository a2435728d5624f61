//! Secrets of Secrets Manager, whose values an operator stores.

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
        service: "secretsmanager",
        call: "Secret::read",
        actions: &["GetSecretValue"],
        rust: |variable, _| format!("{variable}.read()"),
    }),
    has_url: false,
    is_at,
    settings: super::no_settings,
    deployer: deployer_statements,
    triggers: &[],
};

static NOUN: Noun = Noun {
    noun: "secret",
    logical_id: "Secret",
    identifier: "secret",
    value: |id| sub(&STORE.stored_as(id.name())),
};

static STORE: Store = Store {
    store: ValueStore::Secrets,
    service: "secretsmanager",
    read: "secretsmanager:GetSecretValue",
    prefix: "",
    in_arn: ("secret:", RANDOM),
    check_name,
};

/// Secrets Manager adds a hyphen and six random characters to the name in an ARN. Six question
/// marks match them and no longer name.
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html>
const RANDOM: &str = "-??????";
/// The longest name of a secret, in characters.
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>
const NAME_MAX: usize = 512;

/// A secret of Secrets Manager. An operator stores its value under the name `APP-STAGE/NAME`. The
/// app knows the name only: the value is in no template, plan, log or environment variable.
///
/// ```
/// # let app = manifest::Manifest::new("shop");
/// let key = app.secret("payment-key").variable("PAYMENT_KEY_SECRET");
/// app.function("pay").grant(key.read());
/// ```
#[derive(Clone, Debug)]
pub struct Secret(Entry<Declaration>);

impl Manifest {
    /// Declares a secret, whose value an operator stores before the app is deployed.
    #[track_caller]
    pub fn secret(&self, name: &str) -> Secret {
        Secret(self.declare(Declaration::new(Named::by_caller(&NOUN, name), &STORE)))
    }
}

impl Secret {
    /// The environment variable that tells the secret's name, such as `shop-dev/payment-key`, to
    /// every function that may read it, and to the shell of `cargo xtask env`.
    pub fn variable(self, name: &str) -> Self {
        let name = name.to_owned();
        self.0.change(|secret| secret.named.variable = Some(name));
        self
    }

    /// The alias of the customer managed key that encrypts the value, such as `alias/shop`.
    /// Without it, the value is encrypted with the key that AWS manages for Secrets Manager.
    pub fn key(self, alias: &str) -> Self {
        let alias = alias.to_owned();
        self.0.change(|secret| secret.key = Some(alias));
        self
    }

    /// Lets a function read the value, by `secretsmanager:GetSecretValue`.
    #[must_use]
    pub fn read(&self) -> Grant {
        self.0.get().read_grant()
    }
}

fn check_name(declaration: &Declaration, check: &mut Check<'_>) {
    let rest = "/".len() + declaration.named.id.name().len();
    check.length_in_stack(&declaration.subject(), rest, NAME_MAX);
}

fn is_at(id: &ResourceId, stack: &str, service: &str, name: &str) -> bool {
    let stored_as = format!("secret:{stack}/{}-", id.name());
    let random = name.strip_prefix(&stored_as);
    service == STORE.service && random.is_some_and(|random| random.len() == RANDOM.len() - 1)
}

fn deployer_statements(deployer: &Deployer<'_>) -> Vec<Statement> {
    let secrets = deployer.arn(STORE.service, &format!("secret:{}/*", deployer.stack()));
    let find = || {
        Statement::allow(
            "FindSecrets",
            STORE.service,
            &["DescribeSecret"],
            &json!(secrets),
        )
    };
    deployer.declares(&NOUN).then(find).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{complaints, resolve};

    #[test]
    fn a_function_reads_the_secret_of_its_stage_and_no_other() {
        let app = Manifest::new("shop");
        let key = app.secret("payment-key");
        assert_eq!(
            key.read().statements(),
            [json!({
                "Sid": "PaymentKeySecret",
                "Effect": "Allow",
                "Action": ["secretsmanager:GetSecretValue"],
                "Resource": {"Fn::Sub": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${AWS::StackName}/payment-key-??????"},
            })]
        );
        app.function("pay").grant(key.read());
        let resolved = resolve(&app, "");
        assert_eq!(
            resolved.operator_values()[0].stored_as,
            "shop-dev/payment-key"
        );
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-dev/payment-key";
        let at = |random: &str| resolved.resource_at(&format!("{arn}-{random}"));
        assert_eq!(at("AbCdEf").as_deref(), Some("secret `payment-key`"));
        assert_eq!(at("old-AbCdEf"), None);
    }

    #[test]
    fn a_name_is_what_secrets_manager_takes() {
        let app = Manifest::new("shop");
        app.function("pay");
        app.secret(&"s".repeat(504));
        complaints(&app, "").are(&["gets a name of 513 characters in AWS, where 512 are allowed"]);
    }

    #[test]
    fn the_deployer_asks_about_the_stages_secrets_and_reads_none() {
        let app = Manifest::new("shop");
        let key = app.secret("payment-key").key("alias/shop");
        app.function("pay").grant(key.read());
        let settings = r#"account: "123456789012", region: eu-west-1"#;
        let policies = resolve(&app, settings).deployer_policies().array();
        assert!(policies.contains("secretsmanager:DescribeSecret"));
        assert!(policies.contains(":secret:shop-dev/*"));
        for read in ["GetSecretValue", "kms:Decrypt", "ssm:"] {
            assert!(!policies.contains(read), "{read}");
        }
    }
}
