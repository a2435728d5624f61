//! What must hold for the template and the policies of every stage, whatever the
//! declaration says.
#![allow(clippy::unwrap_used, reason = "clippy knows tests, not their helpers")]

use std::collections::{BTreeMap, BTreeSet};

use manifest::{App, Removal};
use serde_json::{Value, json};

mod example;

use example::{STAGES, apps};

fn template(app: &App) -> Value {
    serde_yaml::from_str(&app.synth().template).unwrap()
}

/// The names that `value` refers to by `Ref`, `Fn::GetAtt` or `Fn::Sub`.
fn references(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("Ref", Value::String(name)) => {
                        found.insert(name.clone());
                    }
                    ("Fn::GetAtt", Value::Array(path)) => {
                        found.insert(path[0].as_str().unwrap().to_owned());
                    }
                    ("Fn::Sub", Value::String(text)) => {
                        found.extend(
                            text.split("${")
                                .skip(1)
                                .map(|rest| rest.split(['}', '.']).next().unwrap().to_owned()),
                        );
                    }
                    _ => found.extend(references(value)),
                }
            }
        }
        Value::Array(items) => found.extend(items.iter().flat_map(references)),
        _ => {}
    }
    found.retain(|name| !name.starts_with("AWS::"));
    found
}

fn statements(policy: &str) -> Vec<Value> {
    let policy: Value = serde_json::from_str(policy).unwrap();
    policy["Statement"].as_array().unwrap().clone()
}

/// Whether `service` and nothing else can assume a role.
fn is_for(service: &str, role: &Value) -> bool {
    let trust = &role["Properties"]["AssumeRolePolicyDocument"]["Statement"];
    trust.as_array().unwrap().len() == 1
        && trust[0]["Principal"] == json!({"Service": format!("{service}.amazonaws.com")})
}

#[test]
fn synthesis_is_deterministic() {
    for (first, second) in apps().iter().zip(apps()) {
        assert_eq!(first.synth(), second.synth());
    }
}

#[test]
fn every_resource_has_the_line_that_declares_it() {
    let declaration: Vec<&str> = include_str!("example/mod.rs").lines().collect();
    let every_setting: Vec<&str> = STAGES.lines().collect();
    for app in apps() {
        let template = template(&app);
        for (logical_id, resource) in template["Resources"].as_object().unwrap() {
            let declared_at = app.declared_at(logical_id).unwrap();
            let (file, line) = declared_at.rsplit_once(':').unwrap();
            let line = line.parse::<usize>().unwrap() - 1;
            if let Some(setting) = match resource["Type"].as_str().unwrap() {
                "AWS::CloudWatch::Alarm" => Some("  alarms:"),
                "AWS::CloudWatch::CompositeAlarm" => Some("  rollback_on_alarm_minutes:"),
                "AWS::CodeDeploy::Application"
                | "AWS::CodeDeploy::DeploymentConfig"
                | "AWS::CodeDeploy::DeploymentGroup"
                | "AWS::Lambda::Alias"
                | "AWS::Lambda::Version" => Some("  canary:"),
                "AWS::IAM::Role" if logical_id == "CanaryRole" => Some("  canary:"),
                "AWS::ApiGatewayV2::Authorizer" => Some("    shop:"),
                _ => None,
            } {
                assert_eq!(file, "infra/stages.yaml", "{logical_id}");
                assert!(every_setting[line].starts_with(setting), "{logical_id}");
                continue;
            }
            assert_eq!(file, "infra/manifest/tests/example/mod.rs", "{logical_id}");
            let line = declaration[line];
            let declares = match resource["Type"].as_str().unwrap() {
                "AWS::S3::Bucket" | "AWS::S3::BucketPolicy" => &[".bucket("][..],
                "AWS::DynamoDB::Table" => &[".table("],
                "AWS::SNS::Topic" | "AWS::SNS::TopicPolicy" => &[".topic("],
                "AWS::Events::EventBus" => &[".event_bus("],
                "AWS::Events::Rule" => &[".event_rule(", ".trigger("],
                "AWS::Scheduler::Schedule" => &[".schedule("],
                "AWS::ApiGatewayV2::Api" | "AWS::ApiGatewayV2::Stage" => &[".http_api("],
                "AWS::Lambda::Url" => &[".function_url("],
                "AWS::Lambda::Permission"
                | "AWS::Lambda::EventSourceMapping"
                | "AWS::SNS::Subscription"
                | "AWS::ApiGatewayV2::Integration"
                | "AWS::ApiGatewayV2::Route" => &[".trigger("],
                "AWS::SQS::Queue" | "AWS::SQS::QueuePolicy" => {
                    &[".function(", ".queue(", ".fifo_queue("]
                }
                "AWS::IAM::Role" => &[".function(", ".publisher(", ".schedule("],
                "AWS::Logs::LogGroup" => &[".function(", ".http_api("],
                _ => &[".function("],
            };
            assert!(
                declares.iter().any(|declares| line.contains(declares)),
                "{logical_id}: {line}"
            );
        }
        assert_eq!(app.declared_at("Nothing"), None);
    }
    let app = &apps()[0];
    let route = app
        .declared_at("ShopHttpApiPostOrdersRoute")
        .and_then(|at| at.rsplit(':').next()?.parse::<usize>().ok())
        .unwrap();
    assert!(declaration[route - 1].contains(r#"shop.post("/orders")"#));
}

#[test]
fn every_reference_leads_to_a_resource_or_parameter() {
    for app in apps() {
        let template = template(&app);
        let declared: BTreeSet<&String> = ["Resources", "Parameters"]
            .iter()
            .flat_map(|section| template[*section].as_object().unwrap().keys())
            .collect();
        for name in references(&template) {
            assert!(declared.contains(&name), "{name} is not declared");
        }
    }
}

#[test]
fn resources_do_not_depend_on_each_other_in_a_circle() {
    for app in apps() {
        let template = template(&app);
        let resources = template["Resources"].as_object().unwrap();
        let mut waiting: BTreeMap<&String, BTreeSet<String>> = resources
            .iter()
            .map(|(logical_id, resource)| {
                let explicit = resource["DependsOn"].as_array().into_iter().flatten();
                let explicit = explicit.map(|name| name.as_str().unwrap().to_owned());
                let mut needs: BTreeSet<String> =
                    references(resource).into_iter().chain(explicit).collect();
                needs.retain(|name| resources.contains_key(name));
                (logical_id, needs)
            })
            .collect();
        while !waiting.is_empty() {
            let ready: Vec<&String> = waiting
                .iter()
                .filter(|(_, needs)| needs.iter().all(|name| !waiting.contains_key(name)))
                .map(|(logical_id, _)| *logical_id)
                .collect();
            assert!(!ready.is_empty(), "a circle among {:?}", waiting.keys());
            for logical_id in ready {
                waiting.remove(logical_id);
            }
        }
    }
}

#[test]
fn policies_are_the_same_on_every_stage_and_part_of_the_template() {
    let apps = apps();
    for app in &apps {
        let assembly = app.synth();
        assert_eq!(assembly.policies, apps[0].synth().policies);

        let template = template(app);
        let embedded: Vec<&Value> = template["Resources"]
            .as_object()
            .unwrap()
            .values()
            .filter(|resource| resource["Type"] == "AWS::IAM::Role" && is_for("lambda", resource))
            .map(|role| &role["Properties"]["Policies"][0]["PolicyDocument"])
            .collect();
        assert_eq!(embedded.len(), assembly.policies.len());
        for policy in assembly.policies.values() {
            let policy: Value = serde_json::from_str(policy).unwrap();
            assert!(embedded.contains(&&policy));
        }
    }
}

#[test]
fn policies_grant_single_actions_and_no_more_than_logs_without_a_grant() {
    for app in apps() {
        for (function, policy) in app.synth().policies {
            let statements = statements(&policy);
            for statement in &statements {
                assert_eq!(statement["Effect"], "Allow", "{function}");
                for action in statement["Action"].as_array().unwrap() {
                    let action = action.as_str().unwrap();
                    assert!(!action.contains('*'), "{function}: {action}");
                    assert_ne!(action, "logs:CreateLogGroup", "{function}");
                }
                if statement["Resource"] == "*" {
                    let action = statement["Action"][0].as_str().unwrap();
                    assert!(action.starts_with("rekognition:"), "{function}: {action}");
                }
            }
            let sids: BTreeSet<&str> = statements
                .iter()
                .map(|statement| statement["Sid"].as_str().unwrap())
                .collect();
            assert_eq!(sids.len(), statements.len(), "{function}: Sids repeat");
        }
    }
}

#[test]
fn nothing_wants_tls_where_there_is_none() {
    for app in apps() {
        let plain_http = app.stage().endpoint_url.as_deref() == Some("http://127.0.0.1:4566");
        for template in [app.synth().template, app.bootstrap_template()] {
            assert_eq!(template.contains("aws:SecureTransport"), !plain_http);
        }
    }
}

#[test]
fn a_service_publishes_to_its_topic_for_this_account_only() {
    for app in apps() {
        let template = template(&app);
        let role = &template["Resources"]["FilmsPublisherRole"];
        assert!(is_for("rekognition", role));
        assert_eq!(
            role["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]["Condition"],
            json!({
                "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
                "ArnLikeIfExists": {"aws:SourceArn": {"Fn::Sub":
                    "arn:${AWS::Partition}:rekognition:${AWS::Region}:${AWS::AccountId}:*"
                }},
            })
        );
        assert_eq!(
            role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"],
            json!([{
                "Sid": "FilmsTopic",
                "Effect": "Allow",
                "Action": ["sns:Publish"],
                "Resource": {"Ref": "FilmsTopic"},
            }])
        );
        let passing = &template["Resources"]["WatchFilmFunction"]["Properties"];
        let variables = &passing["Environment"]["Variables"];
        assert_eq!(variables["FILMS_TOPIC_ARN"], json!({"Ref": "FilmsTopic"}));
        assert_eq!(
            variables["FILMS_ROLE_ARN"],
            json!({"Fn::GetAtt": ["FilmsPublisherRole", "Arn"]})
        );
    }
}

#[test]
fn messages_of_a_topic_invoke_the_function_that_handles_them() {
    for app in apps() {
        let template = template(&app);
        let function = if app.stage().canary.is_some() {
            json!({"Ref": "FileFilmAlias"})
        } else {
            json!({"Fn::GetAtt": ["FileFilmFunction", "Arn"]})
        };
        let resource = |name: &str| &template["Resources"][name]["Properties"];
        assert_eq!(
            *resource("FilmsTopicFileFilmSubscription"),
            json!({"Endpoint": function, "Protocol": "lambda", "TopicArn": {"Ref": "FilmsTopic"}})
        );
        assert_eq!(
            *resource("FilmsTopicFileFilmPermission"),
            json!({
                "Action": "lambda:InvokeFunction",
                "FunctionName": function,
                "Principal": "sns.amazonaws.com",
                "SourceArn": {"Ref": "FilmsTopic"},
            })
        );
        let variables = &resource("FileFilmFunction")["Environment"]["Variables"];
        assert!(variables["PHOTOS_BUCKET_NAME"].is_object(), "{variables}");
        let queue = &template["Outputs"]["FileFilmFailureQueueUrl"]["Value"];
        assert_eq!(*queue, json!({"Ref": "FileFilmFailureQueue"}));
    }
}

#[test]
fn no_stream_is_read_without_bounds() {
    for app in apps() {
        let template = template(&app);
        let mappings: Vec<&Value> = template["Resources"]
            .as_object()
            .unwrap()
            .values()
            .filter(|resource| resource["Type"] == "AWS::Lambda::EventSourceMapping")
            .map(|mapping| &mapping["Properties"])
            .filter(|mapping| mapping["StartingPosition"].is_string())
            .collect();
        assert!(!mappings.is_empty());
        for mapping in mappings {
            assert_eq!(mapping["BisectBatchOnFunctionError"], true, "{mapping}");
            assert_eq!(
                mapping["FunctionResponseTypes"],
                json!(["ReportBatchItemFailures"])
            );
            // Without them, for ever.
            for bound in ["MaximumRetryAttempts", "MaximumRecordAgeInSeconds"] {
                assert!(mapping[bound].as_u64().is_some(), "{bound} of {mapping}");
            }
            assert!(mapping["DestinationConfig"]["OnFailure"]["Destination"].is_object());
        }
    }
}

#[test]
fn data_stays_where_it_is_to_and_production_can_be_restored() {
    for app in apps() {
        let template = template(&app);
        let stage = app.stage();
        let retain = stage.removal == Removal::Retain;
        for (logical_id, resource) in template["Resources"].as_object().unwrap() {
            let (deletion, replacement) = match resource["Type"].as_str().unwrap() {
                "AWS::S3::Bucket" if retain => ("RetainExceptOnCreate", "Retain"),
                "AWS::SQS::Queue" if retain && !logical_id.ends_with("FailureQueue") => {
                    ("RetainExceptOnCreate", "Retain")
                }
                "AWS::SQS::Queue" => ("Delete", "Delete"),
                "AWS::DynamoDB::Table" if retain => ("Retain", "Retain"),
                "AWS::S3::Bucket" | "AWS::DynamoDB::Table" => ("Delete", "Delete"),
                _ => continue,
            };
            assert_eq!(resource["DeletionPolicy"], deletion, "{logical_id}");
            assert_eq!(resource["UpdateReplacePolicy"], replacement, "{logical_id}");
            if resource["Type"] == "AWS::DynamoDB::Table" {
                let properties = &resource["Properties"];
                assert_eq!(properties["DeletionProtectionEnabled"], retain);
                assert_eq!(
                    properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"],
                    stage.production
                );
            }
        }
    }
}

#[test]
fn outputs_tell_what_the_environment_and_the_failure_queues_are() {
    for app in apps() {
        let template = template(&app);
        let outputs: BTreeSet<&str> = template["Outputs"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let variables = app.env_outputs();
        let queues: BTreeSet<String> = app
            .functions()
            .filter_map(manifest::Function::failure_queue_output)
            .collect();
        let promised: BTreeSet<&str> = variables
            .keys()
            .chain(&queues)
            .map(String::as_str)
            .chain(app.rollback_alarm_output())
            .collect();
        assert_eq!(outputs, promised);
        assert_eq!(variables["PhotosBucketName"], "PHOTOS_BUCKET_NAME");
        let apis: Vec<_> = app.http_apis().collect();
        let urls: Vec<(&str, &str)> = apis
            .iter()
            .map(|api| (api.url_output.as_str(), api.variable.as_str()))
            .collect();
        assert_eq!(urls, [("ShopUrl", "SHOP_URL"), ("AdminUrl", "ADMIN_URL")]);
        for (output, variable) in urls {
            assert_eq!(variables[output], variable);
        }
    }
}

#[test]
fn parameters_are_the_artifact_bucket_and_a_key_for_each_function() {
    for app in apps() {
        let template = template(&app);
        let parameters: BTreeSet<String> = template["Parameters"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        let promised: BTreeSet<String> = app
            .functions()
            .map(manifest::Function::code_parameter)
            .chain(["ArtifactBucket".to_owned()])
            .collect();
        assert_eq!(parameters, promised);
    }
}
