use serde_json::json;

use crate::in_template::InTemplate;
use crate::testing::{complaints, resolve, resources, shop};

#[test]
fn a_resource_is_in_the_template_as_it_is_written() {
    let shop = shop();
    let stream = shop
        .app
        .resource("clicks", "AWS::Kinesis::Stream", json!({"ShardCount": 1}))
        .variable("CLICKS_NAME")
        .attribute_variable("CLICKS_ARN", "Arn")
        .depends_on(&shop.bucket)
        .holds_data();
    shop.sell
        .grant(stream.allow(["kinesis:PutRecords", "kinesis:PutRecord"]));
    let template = resources(&shop.app, "removal: retain");
    assert_eq!(
        template["ClicksResource"],
        json!({
            "Type": "AWS::Kinesis::Stream",
            "Properties": {"ShardCount": 1},
            "DependsOn": ["PhotosBucket"],
            "DeletionPolicy": "RetainExceptOnCreate",
            "UpdateReplacePolicy": "Retain",
        })
    );
    let variables = &template["SellFunction"]["Properties"]["Environment"]["Variables"];
    assert_eq!(variables["CLICKS_NAME"], stream.reference());
    assert_eq!(variables["CLICKS_ARN"], stream.attribute("Arn"));
    let policy = &template["SellRole"]["Properties"]["Policies"][0]["PolicyDocument"];
    assert_eq!(
        policy["Statement"][1],
        json!({
            "Sid": "ClicksResource",
            "Effect": "Allow",
            "Action": ["kinesis:PutRecord", "kinesis:PutRecords"],
            "Resource": {"Fn::GetAtt": ["ClicksResource", "Arn"]},
        })
    );
    let app = resolve(&shop.app, "");
    assert_eq!(
        app.logical_ids_of("AWS::Kinesis::Stream"),
        ["ClicksResource"]
    );
    assert_eq!(
        resources(&shop.app, "removal: delete")["ClicksResource"]["DeletionPolicy"],
        "Delete"
    );
}

#[test]
fn grants_are_on_the_arn_that_is_given() {
    let shop = shop();
    let arn = json!({"Fn::Sub": "${JobsResource}/*"});
    let jobs = shop
        .app
        .resource("jobs", "AWS::Batch::JobQueue", json!({}))
        .arn(arn.clone());
    assert_eq!(
        jobs.allow(["batch:SubmitJob"]).statements()[0]["Resource"],
        arn
    );
}

#[test]
fn faults_are_told_all_at_once_with_their_lines() {
    let shop = shop();
    let odd = shop
        .app
        .resource("odd", "Kinesis stream", json!([]))
        .deployer_actions("*", ["kinesis:*"]);
    shop.sell.grant(odd.allow(["PutRecord"]));
    complaints(&shop.app, "").are(&[
        "resource `odd` is of the type `Kinesis stream`, which is not one of CloudFormation's",
        "resource `odd` has properties that are not a JSON object",
        "resource `odd` has `kinesis:*`, which is not one IAM action",
        "function `sell` has `PutRecord`, which is not one IAM action",
    ]);
}

#[test]
fn what_a_resource_refers_to_is_there() {
    let shop = shop();
    let mapping = json!({
        "A": {"Ref": "PhotosBuckett"},
        "B": {"Fn::GetAtt": "Nowhere.Arn"},
        "C": {"Fn::Sub": ["${Known}-${Unknown.Arn}-${!Text}-${AWS::Region}", {"Known": {"Ref": "OrdersTable"}}]},
        "D": [shop.table.attribute("Arn"), shop.sell.reference()],
    });
    shop.app.resource("mapping", "Custom::Mapping", mapping);
    complaints(&shop.app, "").are(&[
        "resource `MappingResource` of the template refers to `Nowhere`",
        "refers to `PhotosBuckett`, which the template does not have; did you mean `PhotosBucket`?",
        "refers to `Unknown`",
    ]);
    assert!(
        complaints(&shop.app, "").0[0].starts_with("infra/manifest/src/kind/resource/tests.rs:")
    );
}

#[test]
fn a_function_with_an_alias_is_invoked_by_it() {
    let shop = shop();
    let properties = json!({
        "FunctionName": shop.sell.attribute("Arn"),
        "Other": [{"Name": shop.sell.reference()}],
    });
    shop.app
        .resource("mapping", "AWS::Lambda::EventSourceMapping", properties);
    let of = |settings| resources(&shop.app, settings)["MappingResource"]["Properties"].clone();
    assert_eq!(of("")["FunctionName"], shop.sell.attribute("Arn"));
    let canary = of("alarms: true, canary: {percent: 10, minutes: 5}");
    assert_eq!(canary["FunctionName"], json!({"Ref": "SellAlias"}));
    assert_eq!(canary["Other"][0]["Name"], shop.sell.reference());
}

#[test]
fn whoever_deploys_may_do_what_is_declared() {
    let shop = shop();
    shop.app
        .resource("clicks", "AWS::Kinesis::Stream", json!({}))
        .deployer_actions(
            "arn:${AWS::Partition}:kinesis:${AWS::Region}:${AWS::AccountId}:stream/${AWS::StackName}-*",
            ["kinesis:DeleteStream", "kinesis:CreateStream"],
        );
    let settings = r#"account: "123456789012", region: cn-north-1"#;
    let policies = resolve(&shop.app, settings).deployer_policies().array();
    let policies: serde_json::Value = serde_json::from_str(&policies).unwrap();
    let statements = policies.as_array().unwrap().iter();
    let mut statements = statements.flat_map(|policy| policy["Statement"].as_array().unwrap());
    assert_eq!(
        *statements
            .find(|one| one["Sid"] == "DeployClicksResource1")
            .unwrap(),
        json!({
            "Sid": "DeployClicksResource1",
            "Effect": "Allow",
            "Action": ["kinesis:CreateStream", "kinesis:DeleteStream"],
            "Resource": "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/shop-dev-*",
        })
    );
}

#[test]
fn a_property_of_a_generated_resource_is_overridden() {
    let shop = shop();
    let app = &shop.app;
    app.override_property(
        &shop.bucket,
        "VersioningConfiguration.Status",
        json!("Enabled"),
    );
    app.override_property(
        &shop.bucket,
        "LifecycleConfiguration.Rules.0.Status",
        json!("Disabled"),
    );
    app.override_property(&shop.sell, "VpcConfig", json!({"SubnetIds": []}));
    app.override_property("SellLogGroup", "RetentionInDays", json!(null));
    app.override_property(&shop.bucket, "BucketEncryption", json!({}))
        .because("the company's key");
    let template = resources(app, "");
    let bucket = &template["PhotosBucket"];
    assert_eq!(
        bucket["Properties"]["VersioningConfiguration"],
        json!({"Status": "Enabled"})
    );
    let rule = &bucket["Properties"]["LifecycleConfiguration"]["Rules"][0];
    assert_eq!(rule["Status"], "Disabled");
    assert_eq!(rule["Id"], "AbortIncompleteMultipartUploads");
    assert_eq!(
        bucket["Metadata"],
        json!({"Overridden": {"BucketEncryption": "the company's key"}})
    );
    let function = &template["SellFunction"]["Properties"];
    assert_eq!(function["VpcConfig"], json!({"SubnetIds": []}));
    let log_group = &template["SellLogGroup"]["Properties"];
    assert!(log_group.get("RetentionInDays").is_none());
}

#[test]
fn a_new_version_has_an_overridden_property() {
    let version = |layers| {
        let shop = shop();
        shop.app.override_property(&shop.sell, "Layers", layers);
        let template = resources(&shop.app, "alarms: true, canary: {percent: 10, minutes: 5}");
        let variables = &template["SellFunction"]["Properties"]["Environment"]["Variables"];
        variables["CONFIGURATION_FINGERPRINT"].clone()
    };
    assert!(version(json!(["a"])).is_string());
    assert_ne!(version(json!(["a"])), version(json!(["b"])));
}

#[test]
fn an_override_fits_the_template_and_leaves_what_protects() {
    let shop = shop();
    let app = &shop.app;
    app.override_property("PhotoBucket", "Tags", json!([]));
    app.override_property(&shop.sell, "Role", json!("another"));
    app.override_property(
        &shop.bucket,
        "PublicAccessBlockConfiguration.BlockPublicAcls",
        json!(false),
    );
    app.override_property(&shop.bucket, "OwnershipControls", json!(null))
        .because(" ");
    app.override_property(
        &shop.bucket,
        "LifecycleConfiguration.Rules.1.Status",
        json!("Disabled"),
    );
    app.override_property(&shop.bucket, "CorsConfiguration", json!(null));
    complaints(app, "").are(&[
        "the override of `Tags` is of `PhotoBucket`, which the template does not have; did you mean `PhotosBucket`?",
        "the override of `Role` is of a property of `SellFunction` (AWS::Lambda::Function) that the app's declaration decides",
        "that protects `PhotosBucket` (AWS::S3::Bucket); say why by `.because",
        "the override of `OwnershipControls` is of a property that protects",
        "names a property that `PhotosBucket` (AWS::S3::Bucket) does not have: `1`",
        "names a property that `PhotosBucket` (AWS::S3::Bucket) does not have: `CorsConfiguration`",
    ]);
}
