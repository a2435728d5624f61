//! What AWS does not accept in the settings of a stage.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::check::Check;
use crate::name;
use crate::stage::{Alarms, Canary};

#[cfg(test)]
mod tests;

/// Tags that every resource has.
const OWN_TAGS: [&str; 2] = ["app", "stage"];
/// Tags of one resource, those included.
/// <https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html>
const TAGS_MAX: usize = 50;
/// Periods that CloudWatch Logs can keep logs for, in days.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>
const LOG_RETENTION_DAYS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];
/// How long CloudFormation may watch alarms after a deployment, in minutes. It may also be
/// none at all, which is what leaving the setting out is for.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackConfiguration.html>
const ROLLBACK_ON_ALARM_MINUTES: RangeInclusive<u32> = 1..=180;

/// The share of invocations that a new version may get first, in percent.
const CANARY_PERCENT: RangeInclusive<u32> = 1..=99;
/// How long it may take from the first invocations to all, in minutes. CodeDeploy would take 2880.
/// CloudFormation gives up an update of an alias that takes longer than its handler may: see
/// `timeoutInMinutes` in the schema of `AWS::Lambda::Alias`.
/// <https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html>
const CANARY_MINUTES: RangeInclusive<u32> = 1..=120;

impl Check<'_> {
    /// What AWS does not accept in the settings of the stage, whatever the app consists of.
    pub(crate) fn settings(&mut self) {
        let stage = self.stage();
        let whole = self.setting(&[]);
        self.kebab_case(&whole, &stage.name);
        self.require(
            stage.name != name::BOOTSTRAP,
            &whole,
            "has the name of the stack with the artifact bucket",
            "choose another name",
        );
        if let Some(region) = &stage.region {
            self.require(
                is_region(region),
                &self.setting(&["region"]),
                format!("has `region: {region}`, which is not a region"),
                "write one like `eu-central-1`",
            );
        }
        if let Some(account) = &stage.account {
            self.require(
                is_account(account),
                &self.setting(&["account"]),
                format!("has `account: {account}`, which is not an account ID"),
                "write its 12 digits in quotes",
            );
        }
        if let Some(endpoint_url) = &stage.endpoint_url {
            self.require(
                ["http://", "https://"]
                    .iter()
                    .any(|scheme| endpoint_url.strip_prefix(scheme).is_some_and(is_graphic)),
                &self.setting(&["endpoint_url"]),
                format!("has `endpoint_url: {endpoint_url}`, which is not a URL"),
                "write one like `http://127.0.0.1:4566`",
            );
        }
        self.require(
            LOG_RETENTION_DAYS.contains(&stage.log_retention_days),
            &self.setting(&["log_retention_days"]),
            format!(
                "has `log_retention_days: {}`, a period that CloudWatch Logs does not offer",
                stage.log_retention_days
            ),
            format!("choose from {}", join(LOG_RETENTION_DAYS)),
        );
        self.require(
            !(stage.express && stage.production),
            &self.setting(&["express"]),
            "is production and has `express: true`, which ends a deployment before everything is ready to serve",
            "remove one of the two",
        );
        self.safety();
        self.tags();
        self.per_function();
        for (variable, value) in &stage.environment {
            let subject = self.setting(&["environment", variable]);
            self.variable(&subject, variable);
            self.variable_value(&subject, variable, value);
        }
        self.arns();
    }

    /// What takes a deployment back.
    fn safety(&mut self) {
        let stage = self.stage();
        if let Some(minutes) = stage.rollback_on_alarm_minutes {
            let subject = self.setting(&["rollback_on_alarm_minutes"]);
            self.require(
                ROLLBACK_ON_ALARM_MINUTES.contains(&minutes),
                &subject,
                format!("has `rollback_on_alarm_minutes: {minutes}`"),
                "set it to 1 to 180",
            );
            self.require(
                stage.alarms != Alarms::Off,
                &subject,
                "has `rollback_on_alarm_minutes`, but no alarms",
                "set `alarms`",
            );
        }
        if let Some(Canary { percent, minutes }) = stage.canary {
            let too_long = if minutes > *CANARY_MINUTES.end() {
                ", but CloudFormation gives up the update of an alias after 120 minutes"
            } else {
                ""
            };
            for (key, value, range, reason) in [
                ("percent", percent, CANARY_PERCENT, ""),
                ("minutes", minutes, CANARY_MINUTES, too_long),
            ] {
                self.require(
                    range.contains(&value),
                    &self.setting(&["canary", key]),
                    format!("has a `canary` with `{key}: {value}`{reason}"),
                    format!("set it to {} to {}", range.start(), range.end()),
                );
            }
            self.require(
                stage.alarms != Alarms::Off,
                &self.setting(&["canary"]),
                "has a `canary`, but no alarms to judge it by",
                "set `alarms`",
            );
        }
    }

    fn tags(&mut self) {
        let stage = self.stage();
        self.require(
            stage.tags.len() + OWN_TAGS.len() <= TAGS_MAX,
            &self.setting(&["tags"]),
            format!("has {} tags", stage.tags.len()),
            format!("keep at most {}", TAGS_MAX - OWN_TAGS.len()),
        );
        let mut seen = BTreeMap::new();
        for (key, value) in &stage.tags {
            let subject = self.setting(&["tags", key]);
            // IAM takes keys that differ in case alone for one, and every function has a role.
            // <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html>
            let folded = key.to_lowercase();
            let problem = match OWN_TAGS.iter().find(|own| **own == folded) {
                Some(own) if own == key => Some(format!(
                    "sets the tag `{key}`, which every resource has already"
                )),
                Some(own) => Some(format!(
                    "sets the tag `{key}`, which IAM takes for the `{own}` that every resource has already"
                )),
                None => None,
            };
            self.require(
                problem.is_none(),
                &subject,
                problem.unwrap_or_default(),
                "remove it",
            );
            if let Some(first) = seen.get(&folded) {
                self.require(
                    OWN_TAGS.contains(&folded.as_str()),
                    &subject,
                    format!("sets the tags `{first}` and `{key}`, which IAM treats as one tag"),
                    "remove one",
                );
            }
            seen.entry(folded).or_insert(key);
            self.require(
                !key.to_ascii_lowercase().starts_with("aws:"),
                &subject,
                format!("sets the tag `{key}`; tags that begin with `aws:` are AWS's own"),
                "choose another key",
            );
            self.require(
                (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256,
                &subject,
                format!("has a tag `{key}` that is too long or empty"),
                "keep keys within 1 to 128 characters and values within 256",
            );
            self.require(
                key.chars()
                    .chain(value.chars())
                    .all(|letter| letter.is_alphanumeric() || " _.:/=+-@".contains(letter)),
                &subject,
                format!("has a tag `{key}` with characters that AWS does not accept in tags"),
                "use letters, digits, spaces and _ . : / = + - @",
            );
        }
    }

    /// Settings by functions' names.
    fn per_function(&mut self) {
        let stage = self.stage();
        for (function, memory_mb) in stage.memory_mb.written() {
            let keys: Vec<&str> = std::iter::once("memory_mb").chain(function).collect();
            self.function_of_setting(&keys);
            self.memory(&self.setting(&keys), memory_mb);
        }
        for (function, ephemeral_storage_mb) in stage.ephemeral_storage_mb.written() {
            let setting = std::iter::once("ephemeral_storage_mb");
            let keys: Vec<&str> = setting.chain(function).collect();
            self.function_of_setting(&keys);
            self.ephemeral_storage(&self.setting(&keys), ephemeral_storage_mb);
        }
        for (function, _) in stage.log_level.written() {
            let keys: Vec<&str> = std::iter::once("log_level").chain(function).collect();
            self.function_of_setting(&keys);
        }
        for (function, timeout_seconds) in stage.timeout_seconds.written() {
            let keys: Vec<&str> = std::iter::once("timeout_seconds").chain(function).collect();
            self.function_of_setting(&keys);
            self.timeout(&self.setting(&keys), timeout_seconds);
        }
        for function in stage.reserved_concurrency.keys() {
            self.function_of_setting(&["reserved_concurrency", function]);
        }
    }

    /// The second of `keys`, if there is one, is the name of a function.
    fn function_of_setting(&mut self, keys: &[&str]) {
        if let [setting, function] = keys {
            let functions = self.functions().iter();
            let names: Vec<&str> = functions.map(|function| function.name.as_str()).collect();
            self.known(&self.setting(keys), setting, "function", function, &names);
        }
    }

    fn arns(&mut self) {
        let stage = self.stage();
        if let Some(policy) = &stage.permissions_boundary {
            let subject = self.setting(&["permissions_boundary"]);
            let account = match arn(policy) {
                Some(["iam", "", account, resource])
                    if (account == "aws" || is_account(account))
                        && resource
                            .strip_prefix("policy/")
                            .is_some_and(|name| !name.is_empty()) =>
                {
                    Some(account)
                }
                _ => None,
            };
            self.require(
                account.is_some(),
                &subject,
                format!("has `permissions_boundary: {policy}`, which is not a policy"),
                "write its ARN, like `arn:aws:iam::123456789012:policy/boundary`",
            );
            if let (Some(of), Some(account)) = (account, &stage.account) {
                self.require(
                    of == "aws" || of == account,
                    &subject,
                    format!("bounds roles of account {account} by a policy of account {of}"),
                    "use a policy of the same account",
                );
            }
        }
        if let Alarms::Topic(topic) = &stage.alarms {
            let subject = self.setting(&["alarms"]);
            let region = match arn(topic) {
                Some(["sns", region, account, name])
                    if is_region(region)
                        && is_account(account)
                        && !name.is_empty()
                        && !name.contains(':') =>
                {
                    Some(region)
                }
                _ => None,
            };
            self.require(
                region.is_some(),
                &subject,
                format!("has `alarms: {topic}`, which is not an SNS topic"),
                "write its ARN, like `arn:aws:sns:eu-central-1:123456789012:alarms`, or `true`",
            );
            if let (Some(of), Some(region)) = (region, &stage.region) {
                self.require(
                    of == region,
                    &subject,
                    format!("has alarms in {region} for a topic in {of}"),
                    "use a topic of the same region",
                );
            }
        }
    }
}

/// An ARN's service, region, account and resource.
fn arn(text: &str) -> Option<[&str; 4]> {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next();
    let ("arn", partition) = (next()?, next()?) else {
        return None;
    };
    let arn = [next()?, next()?, next()?, next()?];
    (is_graphic(text) && partition.starts_with("aws")).then_some(arn)
}

/// Whether there is something, without spaces, control characters and letters of other
/// alphabets.
pub(crate) fn is_graphic(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_graphic())
}

fn is_account(account: &str) -> bool {
    account.len() == name::ACCOUNT_DIGITS && account.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_region(region: &str) -> bool {
    let words: Vec<&str> = region.split('-').collect();
    match words.as_slice() {
        [area @ .., number] => {
            area.len() >= 2
                && area.iter().all(|word| {
                    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase())
                })
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        [] => false,
    }
}

fn join(numbers: impl IntoIterator<Item = u32>) -> String {
    let texts: Vec<String> = numbers
        .into_iter()
        .map(|number| number.to_string())
        .collect();
    texts.join(", ")
}
