//! What AWS does not accept in the settings of a stage.

use super::{ACCOUNT_DIGITS, Check, Subject};
use crate::name;

/// Tags of one resource, `app` and `stage` included.
/// <https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html>
const TAGS_MAX: usize = 50;
/// Periods that CloudWatch Logs can keep logs for, in days.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>
const LOG_RETENTION_DAYS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

impl Check<'_> {
    /// The setting that `keys` lead to; the stage itself without keys.
    fn setting(&self, keys: &[&str]) -> Subject {
        Subject::new(format!("stage `{}`", self.stage.name)).in_setting(keys)
    }

    pub(super) fn stage(&mut self) {
        let stage = self.stage;
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
                format!("has `region: {region}`, which is no region"),
                "write one like `eu-central-1`",
            );
        }
        if let Some(account) = &stage.account {
            self.require(
                account.len() == ACCOUNT_DIGITS
                    && account.bytes().all(|byte| byte.is_ascii_digit()),
                &self.setting(&["account"]),
                format!("has `account: {account}`, which is no account ID"),
                "write its 12 digits in quotes",
            );
        }
        if let Some(endpoint_url) = &stage.endpoint_url {
            self.require(
                ["http://", "https://"].iter().any(|scheme| {
                    endpoint_url
                        .strip_prefix(scheme)
                        .is_some_and(|rest| !rest.is_empty())
                }),
                &self.setting(&["endpoint_url"]),
                format!("has `endpoint_url: {endpoint_url}`, which is no URL"),
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
        if let Some(memory_mb) = stage.memory_mb {
            self.memory(&self.setting(&["memory_mb"]), memory_mb);
        }
        if let Some(timeout_seconds) = stage.timeout_seconds {
            self.timeout(&self.setting(&["timeout_seconds"]), timeout_seconds);
        }
        self.tags();
    }

    fn tags(&mut self) {
        let stage = self.stage;
        self.require(
            stage.tags.len() + 2 <= TAGS_MAX,
            &self.setting(&["tags"]),
            format!("has {} tags", stage.tags.len()),
            format!("keep at most {}", TAGS_MAX - 2),
        );
        for (key, value) in &stage.tags {
            let subject = self.setting(&["tags", key]);
            self.require(
                !["app", "stage"].contains(&key.as_str()),
                &subject,
                format!("sets the tag `{key}`, which every resource has already"),
                "remove it",
            );
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
