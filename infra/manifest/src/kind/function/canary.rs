//! New code for a few first: versions, aliases, and deployments by CodeDeploy.
//!
//! Events and requests invoke a function's alias. A deployment publishes the function as a
//! new version, and CodeDeploy moves the alias there: a share of the invocations first, the
//! rest after a while, or none if the function's alarm goes off. Then CloudFormation takes
//! the whole deployment back.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatepolicy.html>

use serde_json::{Value, json};

use crate::cloudformation::{Resource, attribute, reference, references, sub};
use crate::function::Function;
use crate::name;
use crate::origin::Origin;
use crate::policy;
use crate::render;
use crate::stage::Stage;
use crate::synthesis::Synthesis;

/// The variable that makes versions of one code with different configurations differ, as
/// Lambda publishes none that is the same as the last.
const FINGERPRINT: &str = "CONFIGURATION_FINGERPRINT";

const APPLICATION: &str = "Canary";
const CONFIGURATION: &str = "CanaryConfiguration";
const ROLE: &str = "CanaryRole";

/// What the deployments of all functions have in common.
pub(super) fn of_all(synthesis: &mut Synthesis<'_>) {
    let Some(canary) = synthesis.stage().canary else {
        return;
    };
    let origin = origin(synthesis.stage());
    let application = json!({"ComputePlatform": "Lambda"});
    synthesis.add(
        APPLICATION.to_owned(),
        origin,
        synthesis.tagged("AWS::CodeDeploy::Application", application),
    );
    let configuration = json!({
        "ComputePlatform": "Lambda",
        "TrafficRoutingConfig": {
            "Type": "TimeBasedCanary",
            "TimeBasedCanary": {
                "CanaryPercentage": canary.percent,
                "CanaryInterval": canary.minutes,
            },
        },
    });
    synthesis.add(
        CONFIGURATION.to_owned(),
        origin,
        Resource::new("AWS::CodeDeploy::DeploymentConfig", configuration),
    );
    let role = synthesis
            .role(
                &policy::trust("codedeploy"),
                vec![("canary", permissions())],
            )
            .metadata(json!({"Unscoped": {
                "cloudwatch:DescribeAlarms": "AWS's own policy for CodeDeploy does not restrict it either",
            }}));
    synthesis.add(ROLE.to_owned(), origin, role);
}

/// The version of `function` with `properties`, its alias, and how that moves. Its
/// properties get a fingerprint of themselves.
pub(super) fn of_function(
    synthesis: &mut Synthesis<'_>,
    function: &Function,
    properties: &mut Value,
) {
    if !synthesis.has_canary() {
        return;
    }
    // What a table's replacement is called is not in the properties, but that it is
    // replaced is in those of the table.
    let referred: Vec<&Value> = references(properties)
        .iter()
        .filter_map(|logical_id| synthesis.added(logical_id))
        .collect();
    let fingerprint = fingerprint(&render::json(&json!([properties, referred])));
    properties["Environment"]["Variables"][FINGERPRINT] = json!(fingerprint);

    let origin = origin(synthesis.stage());
    let function_id = function.logical_id("Function");
    let version_id = function.logical_id("Version");
    let group_id = function.logical_id("DeploymentGroup");
    synthesis.add(
        version_id.clone(),
        origin,
        Resource::new(
            "AWS::Lambda::Version",
            json!({
                "FunctionName": reference(&function_id),
                // A new description makes a new version.
                "Description": sub(&format!("{fingerprint} ${{{}}}", function.code_parameter())),
            }),
        ),
    );
    synthesis.add(
        function.logical_id("Alias"),
        origin,
        Resource::new(
            "AWS::Lambda::Alias",
            json!({
                "FunctionName": reference(&function_id),
                "FunctionVersion": attribute(&version_id, "Version"),
                "Name": name::ALIAS,
            }),
        )
        .update_policy(json!({"CodeDeployLambdaAliasUpdate": {
            "ApplicationName": reference(APPLICATION),
            "DeploymentGroupName": reference(&group_id),
        }})),
    );
    synthesis.add(
        group_id,
        origin,
        synthesis.tagged(
            "AWS::CodeDeploy::DeploymentGroup",
            json!({
                "ApplicationName": reference(APPLICATION),
                "DeploymentConfigName": reference(CONFIGURATION),
                "DeploymentStyle": {
                    "DeploymentOption": "WITH_TRAFFIC_CONTROL",
                    "DeploymentType": "BLUE_GREEN",
                },
                "ServiceRoleArn": attribute(ROLE, "Arn"),
                "AlarmConfiguration": {
                    "Alarms": [{"Name": reference(&function.logical_id("ErrorsAlarm"))}],
                    // CodeDeploy starts no deployment while one of them is on.
                    "Enabled": !synthesis.ignores_alarms(),
                },
                "AutoRollbackConfiguration": {
                    "Enabled": true,
                    "Events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
                },
            }),
        ),
    );
}

fn origin(stage: &Stage) -> Origin {
    stage.origin_of(&["canary".to_owned()])
}

/// What CodeDeploy may do: move the functions' aliases while it looks at alarms.
/// <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCodeDeployRoleForLambdaLimited.html>
fn permissions() -> Value {
    let functions = sub(&format!(
        "arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{}",
        name::function("*")
    ));
    let alias = ["GetAlias", "GetProvisionedConcurrencyConfig", "UpdateAlias"]
        .map(|action| format!("lambda:{action}"));
    let alarms = "cloudwatch:DescribeAlarms".to_owned();
    policy::document(&[
        policy::allow("MoveAliases", &alias, &functions),
        policy::allow("WatchAlarms", &[alarms], &json!("*")),
    ])
}

/// Tells texts apart, not by their author's will: 64 bits of FNV-1a.
/// <https://www.ietf.org/archive/id/draft-eastlake-fnv-17.html>
fn fingerprint(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_those_of_fnv_1a() {
        assert_eq!(fingerprint(""), "cbf29ce484222325");
        assert_eq!(fingerprint("a"), "af63dc4c8601ec8c");
        assert_eq!(fingerprint("foobar"), "85944171f73967e8");
    }
}
