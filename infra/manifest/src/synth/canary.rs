//! New code for a few first: versions, aliases, and deployments by CodeDeploy.
//!
//! Events and requests invoke a function's alias. A deployment publishes the function as a
//! new version, and CodeDeploy moves the alias there: a share of the invocations first, the
//! rest after a while, or none if the function's alarm goes off. Then CloudFormation takes
//! the whole deployment back.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatepolicy.html>

use serde_json::{Value, json};

use super::Synthesis;
use crate::cloudformation::{Resource, attribute, reference, references, sub};
use crate::name;
use crate::origin::Origin;
use crate::policy;
use crate::render;
use crate::resolve::Function;

/// The variable that makes versions of one code with different configurations differ, as
/// Lambda publishes none that is the same as the last.
const FINGERPRINT: &str = "CONFIGURATION_FINGERPRINT";

const APPLICATION: &str = "Canary";
const CONFIGURATION: &str = "CanaryConfiguration";
const ROLE: &str = "CanaryRole";

impl Synthesis<'_> {
    /// The ARN to invoke `function` by.
    pub(super) fn invoked(&self, function: &Function) -> Value {
        if self.has_canary() {
            reference(&function.logical_id("Alias"))
        } else {
            attribute(&function.logical_id("Function"), "Arn")
        }
    }

    /// What is invoked of `function`: an alias, or the newest code, by Lambda's name of it.
    pub(super) fn qualifier(&self) -> &'static str {
        if self.has_canary() {
            name::ALIAS
        } else {
            "$LATEST"
        }
    }

    pub(super) fn has_canary(&self) -> bool {
        self.app.stage().canary.is_some()
    }

    /// What the deployments of all functions have in common.
    pub(super) fn canary(&mut self) {
        let Some(canary) = self.app.stage().canary else {
            return;
        };
        let origin = self.canary_origin();
        let application = json!({"ComputePlatform": "Lambda"});
        self.add(
            APPLICATION.to_owned(),
            origin,
            Resource::new("AWS::CodeDeploy::Application", application).tagged(&self.tags),
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
        self.add(
            CONFIGURATION.to_owned(),
            origin,
            Resource::new("AWS::CodeDeploy::DeploymentConfig", configuration),
        );
        let role = self
            .role(
                &policy::trust("codedeploy"),
                vec![("canary", policy::canary())],
            )
            .metadata(json!({"Unscoped": {
                "cloudwatch:DescribeAlarms": "AWS's own policy for CodeDeploy does not restrict it either",
            }}));
        self.add(ROLE.to_owned(), origin, role);
    }

    /// The version of `function` with `properties`, its alias, and how that moves. Its
    /// properties get a fingerprint of themselves.
    pub(super) fn canary_of(&mut self, function: &Function, properties: &mut Value) {
        if !self.has_canary() {
            return;
        }
        // What a table's replacement is called is not in the properties, but that it is
        // replaced is in those of the table.
        let referred: Vec<&Value> = references(properties)
            .iter()
            .filter_map(|logical_id| self.template.get(logical_id))
            .collect();
        let fingerprint = fingerprint(&render::json(&json!([properties, referred])));
        properties["Environment"]["Variables"][FINGERPRINT] = json!(fingerprint);

        let origin = self.canary_origin();
        let function_id = function.logical_id("Function");
        let version_id = function.logical_id("Version");
        let group_id = function.logical_id("DeploymentGroup");
        self.add(
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
        self.add(
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
        self.add(
            group_id,
            origin,
            Resource::new(
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
                        "Enabled": !self.app.ignores_alarms(),
                    },
                    "AutoRollbackConfiguration": {
                        "Enabled": true,
                        "Events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
                    },
                }),
            )
            .tagged(&self.tags),
        );
    }

    fn canary_origin(&self) -> Origin {
        self.app.stage().origin_of(&["canary".to_owned()])
    }
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
