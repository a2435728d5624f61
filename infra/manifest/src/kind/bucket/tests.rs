use super::*;
use crate::testing::{complaints, resources, shop};
use BucketAction::{GetObject, ListBucket, PutObject};

#[test]
fn a_bucket_and_its_objects_are_different_resources() {
    let grant = shop().bucket.allow([PutObject, ListBucket, GetObject]);
    let arn =
        "arn:${AWS::Partition}:s3:::${AWS::StackName}-photos-${AWS::AccountId}-${AWS::Region}";
    assert_eq!(
        grant.statements(),
        [
            json!({
                "Sid": "PhotosBucket",
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": {"Fn::Sub": arn},
            }),
            json!({
                "Sid": "PhotosBucketObjects",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject"],
                "Resource": {"Fn::Sub": format!("{arn}/*")},
            }),
        ]
    );
}

#[test]
fn names_fit_into_aws() {
    let shop = shop();
    shop.app.bucket(&"b".repeat(26));
    complaints(&shop.app, "").are(&["gets a name of 64 characters in AWS, where 63"]);
    complaints(&shop.app, "region: us-east-1").are(&[]);
}

#[test]
fn a_bucket_notifies_one_function_of_an_event() {
    let shop = shop();
    shop.sell.trigger(shop.bucket.object_created());
    let watch = shop.app.function("watch");
    watch.trigger(shop.bucket.object_removed());
    complaints(&shop.app, "").are(&[]);
    watch.trigger(shop.bucket.object_created());
    complaints(&shop.app, "").are(&[
        "function `watch` handles s3:ObjectCreated:* of bucket `photos`, as function `sell` does; S3 notifies one of each event",
    ]);
}

#[test]
fn functions_share_an_event_by_keys_that_no_object_has_both_of() {
    /// Prefix and suffix.
    type Keys = (&'static str, &'static str);
    let share = |one: Keys, other: Keys| {
        let shop = shop();
        let created = |(prefix, suffix): Keys| {
            let events = shop.bucket.object_created();
            let events = if prefix.is_empty() {
                events
            } else {
                events.prefix(prefix)
            };
            if suffix.is_empty() {
                events
            } else {
                events.suffix(suffix)
            }
        };
        shop.sell.trigger(created(one));
        shop.app.function("watch").trigger(created(other));
        complaints(&shop.app, "").0
    };
    for (one, other) in [
        (("a/", ""), ("b/", "")),
        (("", ".jpg"), ("", ".png")),
        (("a/", ".jpg"), ("a/", ".png")),
        (("a/", ".jpg"), ("b/", ".jpg")),
        (("a/b/", ""), ("a/c/", ".jpg")),
    ] {
        assert_eq!(share(one, other), [""; 0], "{one:?} {other:?}");
        assert_eq!(share(other, one), [""; 0], "{other:?} {one:?}");
    }
    for (one, other) in [
        (("", ""), ("a/", "")),
        (("a/", ""), ("a/b/", "")),
        (("a/", ""), ("", ".jpg")),
        (("", ".jpg"), ("", "g")),
        (("a/", ".tar.gz"), ("a/b/", ".gz")),
    ] {
        assert_eq!(share(one, other).len(), 1, "{one:?} {other:?}");
        assert_eq!(share(other, one).len(), 1, "{other:?} {one:?}");
    }
    let overlapping = share(("a/", ""), ("", ".jpg"));
    assert!(
        overlapping[0].contains(
            "function `watch` handles s3:ObjectCreated:* of bucket `photos` with suffix `.jpg`, \
             as function `sell` does with prefix `a/`; S3 notifies one of each event; remove one \
             of the triggers, let one function do both, tell them apart by `prefix` or `suffix`, \
             or let one get them `by_event_bridge`"
        ),
        "{overlapping:?}"
    );
}

#[test]
fn a_function_is_notified_by_several_filters() {
    let shop = shop();
    shop.sell
        .trigger(shop.bucket.object_created().prefix("in/").suffix(".jpg"))
        .trigger(shop.bucket.object_created().suffix(".png"))
        .trigger(shop.bucket.object_removed());
    let resources = resources(&shop.app, "");
    let function = json!({"Fn::GetAtt": ["SellFunction", "Arn"]});
    let filter = |rules: Value| json!({"S3Key": {"Rules": rules}});
    let prefix = json!({"Name": "prefix", "Value": "in/"});
    let suffix = |value: &str| json!({"Name": "suffix", "Value": value});
    assert_eq!(
        resources["PhotosBucket"]["Properties"]["NotificationConfiguration"]["LambdaConfigurations"],
        json!([
            {"Event": "s3:ObjectCreated:*", "Function": function,
             "Filter": filter(json!([prefix, suffix(".jpg")]))},
            {"Event": "s3:ObjectCreated:*", "Function": function,
             "Filter": filter(json!([suffix(".png")]))},
            {"Event": "s3:ObjectRemoved:*", "Function": function},
            {"Event": "s3:LifecycleExpiration:*", "Function": function},
        ])
    );
    assert_eq!(
        resources["PhotosBucket"]["DependsOn"],
        json!(["PhotosBucketSellPermission"])
    );
}

#[test]
fn filters_are_as_s3_takes_them() {
    let shop = shop();
    shop.sell
        .trigger(shop.bucket.object_created().prefix("").suffix("a b"))
        .trigger(shop.bucket.object_removed().suffix(&"x".repeat(1025)));
    complaints(&shop.app, "").are(&[
        "handles events of bucket `photos` with a prefix of 0 bytes; use 1 to 1024, or remove it",
        "with the suffix `a b`, which S3 does not take as it is; use letters, digits and",
        "with a suffix of 1025 bytes",
    ]);
}

#[test]
fn functions_share_events_by_eventbridge() {
    let app = Manifest::new("shop");
    let photos = app.bucket("photos");
    let images = || photos.object_created().prefix("new/").suffix(".jpg");
    app.function("label").trigger(images().by_event_bridge());
    app.function("count")
        .trigger(photos.object_created().prefix("new/").by_event_bridge())
        .trigger(photos.object_removed().by_event_bridge());
    app.function("resize").trigger(images());
    let resources = resources(&app, "");
    let notification = &resources["PhotosBucket"]["Properties"]["NotificationConfiguration"];
    assert_eq!(
        notification["EventBridgeConfiguration"],
        json!({"EventBridgeEnabled": true})
    );
    assert_eq!(
        notification["LambdaConfigurations"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let bucket = json!({"name": [{"Fn::Sub":
        "${AWS::StackName}-photos-${AWS::AccountId}-${AWS::Region}"
    }]});
    for (rule, detail_type, detail) in [
        (
            "PhotosBucketLabelEventRule",
            "Object Created",
            json!({"bucket": bucket, "object": {"key": [{"wildcard": "new/*.jpg"}]}}),
        ),
        (
            "PhotosBucketCountEventRule",
            "Object Created",
            json!({"bucket": bucket, "object": {"key": [{"prefix": "new/"}]}}),
        ),
        (
            "PhotosBucketCountEventRule2",
            "Object Deleted",
            json!({"bucket": bucket}),
        ),
    ] {
        let pattern = &resources[rule]["Properties"]["EventPattern"];
        let expected = json!({
            "source": ["aws.s3"],
            "detail-type": [detail_type],
            "detail": detail,
        });
        assert_eq!(*pattern, expected, "{rule}");
    }
    app.function("misled")
        .trigger(photos.object_created().suffix("*.jpg").by_event_bridge());
    complaints(&app, "").are(&["the suffix `*.jpg`, which S3 does not take as it is"]);
}
