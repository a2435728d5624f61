//! Finding out before a deployment what the caller may not do.

use aws_sdk_iam::types::PolicyEvaluationDecisionType;

use crate::error::Error;
use crate::parallel::at_once;
use crate::target::Target;

impl Target {
    /// The actions of a deployment that the caller's policies do not allow, by IAM's own
    /// simulation. Empty when all are allowed, or when the caller may not simulate or is the
    /// account's root user: then CloudFormation will tell.
    ///
    /// A simulation does not see service control policies that depend on request context,
    /// so its answer is advice, not a verdict.
    pub async fn denied_actions(&self, stack: &str) -> Vec<String> {
        let Some(principal) = self.principal_arn().await else {
            return Vec::new();
        };
        let partition = self.caller_arn.split(':').nth(1).unwrap_or("aws");
        let scope = format!("{}:{}", self.region, self.account);
        // Representative resources: policies are commonly limited to the stack's names.
        let needed: [(&'static [&'static str], String); 4] = [
            (
                &[
                    "cloudformation:DescribeStacks",
                    "cloudformation:CreateChangeSet",
                    "cloudformation:DescribeChangeSet",
                    "cloudformation:ExecuteChangeSet",
                    "cloudformation:DescribeStackEvents",
                    "cloudformation:GetTemplate",
                    "cloudformation:ListChangeSets",
                ],
                format!("arn:{partition}:cloudformation:{scope}:stack/{stack}/*"),
            ),
            (
                &[
                    "lambda:CreateFunction",
                    "lambda:UpdateFunctionCode",
                    "lambda:AddPermission",
                ],
                format!("arn:{partition}:lambda:{scope}:function:{stack}-function"),
            ),
            (
                &["iam:CreateRole", "iam:PutRolePolicy", "iam:PassRole"],
                format!(
                    "arn:{partition}:iam::{}:role/{stack}-function",
                    self.account
                ),
            ),
            (
                &["dynamodb:CreateTable"],
                format!("arn:{partition}:dynamodb:{scope}:table/{stack}-table"),
            ),
        ];
        let denied = at_once(needed, &|_| {}, |(actions, resource), _| {
            let request = self
                .iam
                .simulate_principal_policy()
                .policy_source_arn(&principal)
                .set_action_names(Some(actions.iter().map(ToString::to_string).collect()))
                .resource_arns(resource);
            async move {
                let answer = request
                    .send()
                    .await
                    .map_err(|error| Error::aws("simulate the caller's policies", &error))?;
                let results = answer.evaluation_results().iter();
                Ok(results
                    .filter(|result| {
                        *result.eval_decision() != PolicyEvaluationDecisionType::Allowed
                    })
                    .map(|result| result.eval_action_name().to_owned())
                    .collect::<Vec<_>>())
            }
        })
        .await;
        denied.unwrap_or_default().concat()
    }

    /// The user or role whose policies decide; `None` for the root user.
    async fn principal_arn(&self) -> Option<String> {
        let Some(role) = assumed_role(&self.caller_arn) else {
            return self
                .caller_arn
                .contains(":user/")
                .then(|| self.caller_arn.clone());
        };
        // The session's ARN lacks the role's path.
        let answer = self.iam.get_role().role_name(role).send().await.ok()?;
        Some(answer.role()?.arn().to_owned())
    }
}

/// The role's name in `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`.
fn assumed_role(caller_arn: &str) -> Option<&str> {
    caller_arn.split_once(":assumed-role/")?.1.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_traced_to_its_role() {
        assert_eq!(
            assumed_role("arn:aws:sts::123456789012:assumed-role/Deployer/ann"),
            Some("Deployer")
        );
        assert_eq!(assumed_role("arn:aws:iam::123456789012:user/ann"), None);
    }
}
