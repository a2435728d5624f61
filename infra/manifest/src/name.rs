//! Names: how they may look, what derives from them, which one was meant.

/// `order-items` → `OrderItems`, `PHOTOS_BUCKET_NAME` → `PhotosBucketName`: the form
/// of CloudFormation's logical IDs, which may hold letters and digits only.
pub(crate) fn pascal_case(name: &str) -> String {
    name.split(|letter: char| !letter.is_ascii_alphanumeric())
        .flat_map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first
                .into_iter()
                .chain(letters.map(|letter| letter.to_ascii_lowercase()))
        })
        .collect()
}

/// The logical ID of the `part` of the template that belongs to a function.
pub(crate) fn function_logical_id(function: &str, part: &str) -> String {
    format!("{}{part}", pascal_case(function))
}

/// The length of an account ID, in digits.
pub(crate) const ACCOUNT_DIGITS: usize = 12;

/// The name of the stage that is none: its stack holds the artifact bucket.
pub(crate) const BOOTSTRAP: &str = "bootstrap";

/// The name of every function's alias, on stages that have canaries.
pub(crate) const ALIAS: &str = "live";

/// The name of a stage's stack.
pub(crate) fn stack(app: &str, stage: &str) -> String {
    format!("{app}-{stage}")
}

/// The name of a function's log group, the one that Lambda would choose as well.
pub(crate) fn log_group(function: &str) -> String {
    format!("/aws/lambda/{function}")
}

// Names in AWS, as `Fn::Sub` text. The stack is named `<app>-<stage>`, so they are
// the same text for every stage. Only what must be known before it exists is named
// here; the rest is named by CloudFormation, which can then replace it.

/// A function's name.
pub(crate) fn function(name: &str) -> String {
    format!("${{AWS::StackName}}-{name}")
}

/// A bucket's name. Bucket names are global, hence account and region.
///
/// Derived, not referred to, wherever it is needed: the bucket depends on the
/// permission to notify a function, the permission on the function, and the function
/// on its role and environment, which name the bucket.
pub(crate) fn bucket(name: &str) -> String {
    format!("${{AWS::StackName}}-{name}-${{AWS::AccountId}}-${{AWS::Region}}")
}

/// A bucket's ARN.
pub(crate) fn bucket_arn(name: &str) -> String {
    format!("arn:${{AWS::Partition}}:s3:::{}", bucket(name))
}

/// The partition of a region.
/// <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>
pub(crate) fn partition(region: &str) -> &'static str {
    const PARTITIONS: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
        ("eusc-", "aws-eusc"),
    ];
    PARTITIONS
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix))
        .map_or("aws", |(_, partition)| *partition)
}

/// `orders` and `TOPIC_ARN` → `ORDERS_TOPIC_ARN`: the environment variable of a resource that is
/// declared without one being named.
pub(crate) fn environment_variable(name: &str, of: &str) -> String {
    format!("{}_{of}", name.replace('-', "_").to_uppercase())
}

/// Whether `name` is words of `a-z0-9` joined by single hyphens, starting with a letter.
pub(crate) fn is_kebab_case(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.split('-').all(|word| {
            !word.is_empty()
                && word
                    .chars()
                    .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        })
}

/// The candidate that was probably meant by `name`, if one is near enough.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR_ENOUGH: f64 = 0.7;
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(&name, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(similarity, _)| *similarity >= NEAR_ENOUGH)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derives_pascal_case_from_both_conventions() {
        assert_eq!(pascal_case("send-confirmation"), "SendConfirmation");
        assert_eq!(pascal_case("PHOTOS_BUCKET_NAME"), "PhotosBucketName");
        assert_eq!(pascal_case("api2"), "Api2");
    }

    #[test]
    fn kebab_case_is_strict() {
        for name in ["orders", "order-items", "v2", "a-1"] {
            assert!(is_kebab_case(name), "{name}");
        }
        for name in [
            "", "Orders", "2orders", "-orders", "orders-", "a--b", "a_b", "é",
        ] {
            assert!(!is_kebab_case(name), "{name}");
        }
    }

    #[test]
    fn suggests_only_what_is_near() {
        assert_eq!(nearest("regoin", ["region", "account"]), Some("region"));
        assert_eq!(nearest("prd", ["dev", "prod"]), Some("prod"));
        assert_eq!(nearest("DEV", ["dev", "prod"]), Some("dev"));
        assert_eq!(nearest("banana", ["dev", "prod"]), None);
        let functions = ["place-order", "send-confirmation", "shop-api"];
        assert_eq!(nearest("place_order", functions), Some("place-order"));
        assert_eq!(nearest("placeorde", functions), Some("place-order"));
        assert_eq!(nearest("xyzzy", functions), None);
    }
}
