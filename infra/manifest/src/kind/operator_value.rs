//! What parameters and secrets have in common: an operator stores the value, and the app knows its
//! name.
//!
//! A stack does not create them. CloudFormation cannot create a `SecureString`, and a value in a
//! template is readable for whoever may read the stack. An empty value that is to be filled in
//! later would start functions that fail on it. So the value must exist: `cargo xtask deploy`
//! looks for it before it changes anything, and never reads it.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ssm-parameter.html>

use serde_json::{Value, json};

use crate::check::{Check, Subject};
use crate::cloudformation::sub;
use crate::grant::Grant;
use crate::manifest::{DeclaredResource, Named};
use crate::operator_value::{OperatorValue, ValueStore};
use crate::policy;
use crate::synthesis::Synthesis;

/// What the two kinds differ in.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) store: ValueStore,
    /// The service, in ARNs and in IAM's actions.
    pub(super) service: &'static str,
    /// The action that reads a value.
    pub(super) read: &'static str,
    /// The name, as `Fn::Sub` text, less the name in the manifest.
    pub(super) prefix: &'static str,
    /// What stands in ARNs before and after the name.
    pub(super) in_arn: (&'static str, &'static str),
    /// The rules of names.
    pub(super) check_name: fn(&Declaration, &mut Check<'_>),
}

/// The alias of the key is the key's owner to choose, but for these.
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html>
const AWS_ALIASES: &str = "alias/aws/";
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html>
const ALIAS_MAX: usize = 256;

#[derive(Clone, Debug)]
pub(super) struct Declaration {
    pub(super) named: Named,
    pub(super) key: Option<String>,
    store: &'static Store,
}

impl Store {
    /// The name of a value, as `Fn::Sub` text: the same for every stage, so that policies are.
    pub(super) fn stored_as(&self, name: &str) -> String {
        format!("{}${{AWS::StackName}}/{name}", self.prefix)
    }

    /// Lets a function read the value.
    ///
    /// The keys that AWS manages for the two services serve every principal of the account that
    /// comes through the service. A customer managed key has to be granted as well: by its alias,
    /// which is the same in every account, and through the service only.
    /// <https://docs.aws.amazon.com/systems-manager/latest/userguide/secure-string-parameter-kms-encryption.html>,
    /// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html>,
    /// <https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html>
    fn read_grant(&self, Declaration { named, key, .. }: &Declaration) -> Grant {
        let (logical_id, action) = (named.id.logical_id(), self.read.to_owned());
        let (before, after) = self.in_arn;
        let name = self.stored_as(named.id.name());
        let arn = sub(&format!(
            "arn:${{AWS::Partition}}:{}:${{AWS::Region}}:${{AWS::AccountId}}:{before}{name}{after}",
            self.service
        ));
        let mut statements = vec![policy::allow(
            &logical_id,
            std::slice::from_ref(&action),
            &arn,
        )];
        if let Some(alias) = key {
            statements.push(self.decrypt(&logical_id, alias));
        }
        Grant::scoped(named.id.clone(), [action], statements)
    }

    fn decrypt(&self, logical_id: &str, alias: &str) -> Value {
        let mut statement = policy::allow(
            &format!("{logical_id}Key"),
            &["kms:Decrypt".to_owned()],
            &sub("arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*"),
        );
        let service = format!("{}.${{AWS::Region}}.amazonaws.com", self.service);
        statement["Condition"] = json!({
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": [alias]},
            "StringEquals": {"kms:ViaService": sub(&service)},
        });
        statement
    }
}

impl Declaration {
    pub(super) fn new(named: Named, store: &'static Store) -> Self {
        Self {
            named,
            key: None,
            store,
        }
    }

    /// Lets a function read the value.
    pub(super) fn read_grant(&self) -> Grant {
        self.store.read_grant(self)
    }

    pub(super) fn subject(&self) -> Subject {
        Subject::new(&self.named.id).at(self.named.origin)
    }

    fn check_key(&self, check: &mut Check<'_>) {
        let Some(alias) = &self.key else { return };
        let name = alias.strip_prefix("alias/").unwrap_or_default();
        let is_alias = !name.is_empty()
            && alias.len() <= ALIAS_MAX
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte));
        check.require(
            is_alias,
            &self.subject(),
            format!("has the key `{alias}`, which is not the alias of a key"),
            "write one like `alias/shop`, of letters, digits and / _ -",
        );
        check.require(
            !alias.starts_with(AWS_ALIASES),
            &self.subject(),
            format!("has the key `{alias}`, which AWS manages"),
            "remove `key`: functions need no permission for the key that AWS manages",
        );
    }
}

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
    }

    fn operator_value(&self, stack: &str) -> Option<OperatorValue> {
        let Self { named, key, store } = self;
        let stored_as = store.stored_as(named.id.name());
        Some(OperatorValue {
            store: store.store,
            name: named.id.name().to_owned(),
            stored_as: stored_as.replace("${AWS::StackName}", stack),
            key: key.clone(),
            declared_at: named.origin.to_string(),
        })
    }

    fn check(&self, check: &mut Check<'_>) {
        (self.store.check_name)(self, check);
        self.check_key(check);
    }

    /// The value is not the stack's.
    fn synth(&self, _: &mut Synthesis<'_>) {}
}
