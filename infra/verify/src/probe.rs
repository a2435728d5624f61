//! What a flow works with.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_iam::types::PolicyEvaluationDecisionType;
use deploy::{Error, ErrorKind, HttpAnswer};
use http::Request;
use tokio::time::sleep;

use crate::check::{Check, Problem, Stopped};
use crate::ownership::{Owned, OwnedId, Ownership, lock};
use crate::report::{Event, Outcome, Verdict};
use crate::stage::{Callers, Stage};

/// The pause before the second look. It grows by half up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Tells what happens.
pub(crate) type Tell = Box<dyn Fn(&Event) + Send + Sync>;

/// What all flows of a run share.
pub(crate) struct Shared {
    pub(crate) stage: Stage,
    pub(crate) run: String,
    pub(crate) timeout: Duration,
    pub(crate) tell: Tell,
    pub(crate) ownership: Ownership,
    pub(crate) outcomes: Mutex<BTreeMap<&'static str, Outcome>>,
}

impl Shared {
    /// Notes what came out of a check, and tells it.
    pub(crate) fn note(&self, check: Check, outcome: Outcome) {
        lock(&self.outcomes).insert(check.name, outcome.clone());
        (self.tell)(&Event::Ended(Verdict { check, outcome }));
    }

    /// Makes a check, which takes the time of `proof`.
    pub(crate) async fn check<T>(
        &self,
        check: Check,
        proof: impl Future<Output = Result<(T, String), Problem>>,
    ) -> Result<T, Stopped> {
        (self.tell)(&Event::Started(check));
        let started = Instant::now();
        let proved = proof.await;
        let took = started.elapsed();
        let (outcome, result) = match proved {
            Ok((value, seen)) => (Outcome::Passed { took, seen }, Ok(value)),
            Err(Problem::Difference(difference)) => {
                (Outcome::Failed { took, difference }, Err(Stopped))
            }
            Err(Problem::NotChecked(reason)) => (Outcome::NotChecked { reason }, Err(Stopped)),
        };
        self.note(check, outcome);
        result
    }
}

/// A flow's way to the stage and to the run.
#[derive(Clone)]
pub struct Probe {
    pub(crate) shared: Arc<Shared>,
    pub(crate) checks: &'static [Check],
}

impl Probe {
    /// The stage.
    pub fn stage(&self) -> &Stage {
        &self.shared.stage
    }

    /// The part of names that is this run's alone: letters and digits.
    pub fn run(&self) -> &str {
        &self.shared.run
    }

    /// Makes one of the flow's checks. `proof` gives what the flow goes on with, and what was
    /// seen, in a few words. The time that it takes is what is reported.
    ///
    /// # Errors
    /// When the check is not passed, which is noted. A flow whose other checks build on this
    /// one ends with the error.
    pub async fn check<T>(
        &self,
        name: &str,
        proof: impl Future<Output = Result<(T, String), Problem>>,
    ) -> Result<T, Stopped> {
        match self.checks.iter().find(|check| check.name == name) {
            Some(check) => self.shared.check(*check, proof).await,
            // The flow declares another name than it uses, so its check ends without an outcome.
            None => Err(Stopped),
        }
    }

    /// Looks again and again, until `look` finds what it looks for. As long as it does not, it
    /// says what it sees instead.
    ///
    /// # Errors
    /// When that takes longer than the run allows, or a look fails.
    pub async fn eventually<T, F>(
        &self,
        expected: &str,
        next: impl Into<String>,
        mut look: impl FnMut() -> F,
    ) -> Result<T, Problem>
    where
        F: Future<Output = Result<Result<T, String>, Problem>>,
    {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let seen = match look().await? {
                Ok(found) => return Ok(found),
                Err(seen) => seen,
            };
            let left = self.shared.timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                let seconds = self.shared.timeout.as_secs();
                let expected = format!("within {seconds} s: {expected}");
                return Err(Problem::difference(expected, seen, next));
            }
            sleep(pause.min(left)).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    /// Tells the run of something that it has to delete at the end, before it can exist.
    pub fn own(&self, owned: Owned) -> OwnedId {
        self.shared.ownership.own(owned)
    }

    /// Tells the run that something does not exist, or not any more.
    pub fn gone(&self, owned: OwnedId) {
        self.shared.ownership.gone(owned);
    }

    /// Runs a call that makes something to its end, whatever becomes of the flow: otherwise, what
    /// it makes could come into being after everything has been deleted.
    ///
    /// # Errors
    /// As the call.
    pub async fn complete<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let completed = self.shared.ownership.complete(call).await;
        completed.unwrap_or_else(|| {
            Err(Problem::NotChecked(
                "the call before it ended without an answer".to_owned(),
            ))
        })
    }

    /// Sends a request to an HTTP API, which its variable names, as its callers have to. `path`
    /// goes behind the API's URL as it is. Where API Gateway asks to slow down, the request is
    /// sent again.
    ///
    /// # Errors
    /// When the API does not answer, or requires a token.
    pub async fn http(
        &self,
        api: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<HttpAnswer, Problem> {
        let api = self.stage().api(api)?;
        let mut request = Request::builder().method(method);
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        if let Callers::WithToken(token) = &api.callers {
            let token = token.as_ref().ok_or_else(|| {
                Problem::NotChecked(
                    "the HTTP API asks for a JSON Web Token: set XTASK_API_TOKEN".to_owned(),
                )
            })?;
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let url = format!("{}{path}", api.url);
        let request = request.uri(&url).body(body.to_owned()).map_err(|error| {
            Error::new(format!("could not ask {url}")).because(error.to_string())
        })?;
        let signed = matches!(api.callers, Callers::Signed);
        let next =
            "raise the stage's throttling in infra/stages.yaml, or verify it when it is less used";
        self.eventually("an answer", next, || async {
            let answer = deploy::ask(&self.stage().target, request.clone(), signed).await?;
            Ok(match answer.status {
                429 => Err("429, too many requests".to_owned()),
                _ => Ok(answer),
            })
        })
        .await
    }

    /// Proves by IAM's simulation that a function's role lacks an action, and, so that the
    /// simulation is known to see the role's policies, that it has another one. Both are an action
    /// and the resource's ARN.
    ///
    /// # Errors
    /// When the role has the one or lacks the other, or the caller may not simulate.
    pub async fn role_lacks(
        &self,
        function: &str,
        lacks: (&str, &str),
        has: (&str, &str),
    ) -> Result<String, Problem> {
        let role = self.role_of(function).await?;
        let name = role.rsplit('/').next().unwrap_or(&role);
        let next = format!(
            "aws iam list-role-policies --role-name {name}; aws iam list-attached-role-policies --role-name {name}"
        );
        for (action, resource, allowed) in [(has.0, has.1, true), (lacks.0, lacks.1, false)] {
            let decision = self.simulate(&role, action, resource).await?;
            if (decision == PolicyEvaluationDecisionType::Allowed) != allowed {
                let expected = if allowed { "allowed" } else { "denied" };
                return Err(Problem::difference(
                    format!("{action} on {resource} is {expected}"),
                    format!(
                        "IAM's simulation says {} for role {name}",
                        decision.as_str()
                    ),
                    next,
                ));
            }
        }
        Ok(format!("IAM allows {}, not {}", has.0, lacks.0))
    }

    /// The ARN of a function's role.
    async fn role_of(&self, function: &str) -> Result<String, Problem> {
        let name = &self.stage().function(function)?.physical_name;
        let lambda = aws_sdk_lambda::Client::new(self.stage().target.sdk_config());
        let answer = lambda.get_function_configuration().function_name(name);
        let answer = answer
            .send()
            .await
            .map_err(|error| Error::aws(&format!("describe function {name}"), &error))?;
        Ok(answer.role().unwrap_or_default().to_owned())
    }

    async fn simulate(
        &self,
        role: &str,
        action: &str,
        resource: &str,
    ) -> Result<PolicyEvaluationDecisionType, Problem> {
        let iam = aws_sdk_iam::Client::new(self.stage().target.sdk_config());
        let simulation = iam
            .simulate_principal_policy()
            .policy_source_arn(role)
            .action_names(action)
            .resource_arns(resource);
        let answer = simulation.send().await.map_err(|error| {
            let error = Error::aws(&format!("simulate the policies of {role}"), &error);
            match error.kind() {
                ErrorKind::AccessDenied => Problem::NotChecked(format!(
                    "the caller needs iam:SimulatePrincipalPolicy on {role}"
                )),
                _ => error.into(),
            }
        })?;
        let decision = answer.evaluation_results().first();
        decision
            .map(|result| result.eval_decision().clone())
            .ok_or_else(|| {
                Problem::NotChecked(format!("IAM's simulation said nothing of {action}"))
            })
    }
}
