//! The examples of docs/guide/any-resource.md: they are declared as the guide has them, and what they
//! become is a file that `cargo xtask ci` lints.
//!
//! `UPDATE_GOLDENS=1 cargo test -p manifest --test any_resource` writes it anew.
#![allow(
    clippy::disallowed_methods,
    reason = "the crate is pure; this test compares it with files"
)]
#![allow(clippy::unwrap_used, reason = "clippy knows tests, not their helpers")]

use std::path::Path;
use std::{env, fs};

use manifest::kinds::{HttpApi, QueueAction::SendMessage};
use manifest::{App, Exception, Grant, InTemplate, Manifest, Stages, json};

const SOURCE: &str = include_str!("any_resource.rs");
const GUIDE: &str = include_str!("../../../docs/guide/any-resource.md");

// A function in a VPC.
fn function_in_a_vpc(app: &Manifest) {
    let network = app
        .resource(
            "network",
            "AWS::EC2::VPC",
            json!({"CidrBlock": "10.0.0.0/16"}),
        )
        .deployer_actions(
            "*",
            [
                "ec2:CreateTags",
                "ec2:CreateVpc",
                "ec2:DeleteTags",
                "ec2:DeleteVpc",
                "ec2:DescribeNetworkAcls",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeVpcAttribute",
                "ec2:DescribeVpcEncryptionControls",
                "ec2:DescribeVpcs",
                "ec2:ModifyVpcAttribute",
            ],
        );
    let inside = app
        .resource(
            "inside",
            "AWS::EC2::Subnet",
            json!({
                "VpcId": network.reference(),
                "CidrBlock": "10.0.1.0/24",
            }),
        )
        .deployer_actions(
            "*",
            [
                "ec2:CreateSubnet",
                "ec2:DeleteSubnet",
                "ec2:DescribeSubnets",
                "ec2:ModifySubnetAttribute",
            ],
        );
    let outbound = app
        .resource(
            "outbound",
            "AWS::EC2::SecurityGroup",
            json!({
                "GroupDescription": "What report-sales reaches",
                "VpcId": network.reference(),
                "SecurityGroupEgress": [{
                    "Description": "Databases of the VPC",
                    "IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "CidrIp": "10.0.0.0/16",
                }],
            }),
        )
        .deployer_actions(
            "*",
            [
                "ec2:AuthorizeSecurityGroupEgress",
                "ec2:CreateSecurityGroup",
                "ec2:DeleteSecurityGroup",
                "ec2:DescribeInstances",
                "ec2:DescribeNetworkInterfaces",
                "ec2:RevokeSecurityGroupEgress",
                "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
            ],
        );
    let report = app.function("report-sales");
    app.override_property(
        &report,
        "VpcConfig",
        json!({
            "SubnetIds": [inside.reference()],
            "SecurityGroupIds": [outbound.attribute("GroupId")],
        }),
    );
    // Lambda uses them by the function's role; the code has no use for them.
    for action in [
        "AssignPrivateIpAddresses",
        "CreateNetworkInterface",
        "DeleteNetworkInterface",
        "DescribeNetworkInterfaces",
        "DescribeSubnets",
        "UnassignPrivateIpAddresses",
    ] {
        let action = format!("ec2:{action}");
        report
            .grant(Grant::unscoped(
                &action,
                "Lambda makes the function's network interfaces, whose ARNs nobody knows before",
            ))
            .exception(Exception::unused(&action, "Lambda uses it"));
    }
}
// The end.

// A Kinesis stream as an event source.
fn stream_as_an_event_source(app: &Manifest) {
    let clicks = app
        .resource("clicks", "AWS::Kinesis::Stream", json!({
            "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
            "StreamEncryption": {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"},
        }))
        .variable("CLICKS_STREAM_NAME")
        .holds_data()
        .deployer_actions(
            "arn:${AWS::Partition}:kinesis:${AWS::Region}:${AWS::AccountId}:stream/${AWS::StackName}-*",
            ["kinesis:AddTagsToStream", "kinesis:CreateStream", "kinesis:DeleteStream",
                "kinesis:DescribeStreamSummary", "kinesis:ListTagsForResource",
                "kinesis:ListTagsForStream", "kinesis:RemoveTagsFromStream",
                "kinesis:StartStreamEncryption", "kinesis:StopStreamEncryption",
                "kinesis:TagResource", "kinesis:UntagResource"],
        )
        // IAM knows no resource for it.
        .deployer_actions("*", ["kinesis:UpdateStreamMode"]);
    let lost_clicks = app.queue("lost-clicks").variable("LOST_CLICKS_QUEUE_URL");
    let read = [
        "kinesis:DescribeStream",
        "kinesis:DescribeStreamSummary",
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
    ];
    let count = app
        .function("count-clicks")
        .grant(clicks.allow(read))
        .grant(lost_clicks.allow([SendMessage]));
    for action in read.into_iter().chain(["sqs:SendMessage"]) {
        count.exception(Exception::unused(
            action,
            "Lambda uses it to read the stream",
        ));
    }
    app.resource(
        "click-counting",
        "AWS::Lambda::EventSourceMapping",
        json!({
            "EventSourceArn": clicks.attribute("Arn"),
            "FunctionName": count.attribute("Arn"),
            "StartingPosition": "TRIM_HORIZON",
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "BisectBatchOnFunctionError": true,
            // Without them, a record that cannot be handled holds up its shard for as long as it is kept.
            "MaximumRetryAttempts": 5,
            "MaximumRecordAgeInSeconds": 3600,
            "DestinationConfig": {"OnFailure": {"Destination": lost_clicks.attribute("Arn")}},
        }),
    );
}
// The end.

// A custom domain.
fn custom_domain(app: &Manifest, shop: &HttpApi) {
    let (name, zone) = ("shop.example.com", "Z0123456789ABCDEFGHIJ");
    let certificate = app
        .resource(
            "domain",
            "AWS::CertificateManager::Certificate",
            json!({
                "DomainName": name,
                "ValidationMethod": "DNS",
                "DomainValidationOptions": [{"DomainName": name, "HostedZoneId": zone}],
            }),
        )
        .deployer_actions(
            "*",
            [
                "acm:AddTagsToCertificate",
                "acm:DeleteCertificate",
                "acm:DescribeCertificate",
                "acm:ListTagsForCertificate",
                "acm:RemoveTagsFromCertificate",
                "acm:RequestCertificate",
                "acm:UpdateCertificateOptions",
            ],
        );
    let domain = app
        .resource(
            "front",
            "AWS::ApiGatewayV2::DomainName",
            json!({
                "DomainName": name,
                "DomainNameConfigurations": [{
                    "CertificateArn": certificate.reference(),
                    "EndpointType": "REGIONAL",
                    "SecurityPolicy": "TLS_1_2",
                }],
            }),
        )
        .deployer_actions(
            "arn:${AWS::Partition}:apigateway:${AWS::Region}::/domainnames*",
            [
                "apigateway:AddCertificateToDomain",
                "apigateway:DELETE",
                "apigateway:GET",
                "apigateway:PATCH",
                "apigateway:POST",
                "apigateway:RemoveCertificateFromDomain",
            ],
        );
    app.resource(
        "front-to-shop",
        "AWS::ApiGatewayV2::ApiMapping",
        json!({
            "ApiId": shop.reference(),
            "DomainName": domain.reference(),
            "Stage": "$default",
        }),
    )
    .depends_on("ShopHttpApiStage");
    app.resource(
        "address",
        "AWS::Route53::RecordSet",
        json!({
            "HostedZoneId": zone,
            "Name": name,
            "Type": "A",
            "AliasTarget": {
                "DNSName": domain.attribute("RegionalDomainName"),
                "HostedZoneId": domain.attribute("RegionalHostedZoneId"),
            },
        }),
    )
    .deployer_actions(
        "*",
        [
            "route53:ChangeResourceRecordSets",
            "route53:GetChange",
            "route53:GetHostedZone",
            "route53:ListHostedZones",
            "route53:ListResourceRecordSets",
        ],
    );
    // There is no other way in.
    app.override_property(shop, "DisableExecuteApiEndpoint", json!(true));
}
// The end.

fn app() -> App {
    let app = Manifest::new("bazaar");
    let shop = app.http_api("shop").variable("SHOP_URL");
    app.function("serve-shop").trigger(shop.get("/"));
    function_in_a_vpc(&app);
    stream_as_an_event_source(&app);
    custom_domain(&app, &shop);
    let stages = "any-resource: {production: true, log_retention_days: 365}";
    let stage = Stages::parse(stages).unwrap().get("any-resource").unwrap();
    app.resolve(&stage).unwrap()
}

fn assert_golden(name: &str, actual: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = folder.join(name);
    if env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(&path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "{name} is stale; if the change is meant, run UPDATE_GOLDENS=1 cargo test -p manifest"
    );
}

#[test]
fn the_examples_become_what_is_linted() {
    let app = app();
    assert_golden("any-resource.yaml", &app.synth().template);
    let policies = app.deployer_policies().array();
    assert_golden("any-resource.deployer.json", &policies);
}

#[test]
fn the_guide_has_the_examples_as_they_are_declared() {
    let examples = SOURCE.split("\n// The end.\n");
    let bodies = examples.filter_map(|text| Some(text.rsplit_once("\nfn ")?.1));
    let bodies: Vec<&str> = bodies
        .filter(|body| body.starts_with(['f', 's', 'c']))
        .take(3)
        .collect();
    assert_eq!(bodies.len(), 3);
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let guide = squeezed(GUIDE);
    for body in bodies {
        let (name, body) = body.split_once(" {\n").unwrap();
        let body = body.trim_end().trim_end_matches('}');
        assert!(
            guide.contains(&squeezed(body)),
            "{name} is not in the guide"
        );
    }
}
