//! Following an operation on a stack by its events.

use std::collections::BTreeSet;

use aws_sdk_cloudformation::types::{StackEvent, StackStatus};

use crate::error::{Error, ErrorKind, Result};
use crate::progress::{Progress, Report};
use crate::resource_event::{ResourceEvent, is_consequence};
use crate::stack;
use crate::stack::Described;
use crate::target::Target;

/// Reads a stack's events once each, and only those of one operation: an operation is
/// told apart by its client request token, and from what happened before it by the
/// events seen at its start.
pub(crate) struct EventFollower {
    stack_id: String,
    /// None follows every operation.
    token: Option<String>,
    seen: BTreeSet<String>,
    first_failure: Option<ResourceEvent>,
    /// What CloudFormation says of the stack as a whole when it gives up: mostly which
    /// resources failed, but the only reason there is when its validation refuses to begin.
    stack_failure: Option<ResourceEvent>,
    ended: Vec<ResourceEvent>,
}

impl EventFollower {
    pub(crate) async fn from_now(
        target: &Target,
        stack_id: &str,
        token: Option<&str>,
    ) -> Result<Self> {
        let mut follower = Self {
            stack_id: stack_id.to_owned(),
            token: token.map(str::to_owned),
            seen: BTreeSet::new(),
            first_failure: None,
            stack_failure: None,
            ended: Vec::new(),
        };
        // The newest page is enough: later reads go back only to what was seen here.
        follower.new_events(target, 1).await?;
        Ok(follower)
    }

    /// Why the operation failed, according to its events.
    pub(crate) fn cause(&self) -> Option<&ResourceEvent> {
        self.first_failure.as_ref().or(self.stack_failure.as_ref())
    }

    /// The resources whose last word was `status`, in the order of their ends.
    pub(crate) fn resources_that_ended(&self, status: &str) -> Vec<ResourceEvent> {
        let mut named = BTreeSet::new();
        let mut resources: Vec<ResourceEvent> = self
            .ended
            .iter()
            .rev()
            .filter(|event| !event.is_of_stack() && named.insert(&event.logical_id))
            .filter(|event| event.status == status)
            .cloned()
            .collect();
        resources.reverse();
        resources
    }

    async fn report_new(&mut self, target: &Target, report: Report<'_>) -> Result<()> {
        for event in self.new_events(target, usize::MAX).await? {
            if event.failed() && self.first_failure.is_none() && !is_consequence(&event) {
                self.first_failure = Some(event.clone());
            }
            if self.stack_failure.is_none() && gives_up(&event) {
                self.stack_failure = Some(event.clone());
            }
            if !event.status.ends_with("_IN_PROGRESS") {
                self.ended.push(event.clone());
            }
            report(Progress::Resource(event));
        }
        Ok(())
    }

    /// The events since the last call, oldest first.
    async fn new_events(
        &mut self,
        target: &Target,
        pages_max: usize,
    ) -> Result<Vec<ResourceEvent>> {
        let mut fresh = Vec::new();
        let mut next_token = None;
        for _ in 0..pages_max {
            let page = target
                .cloudformation
                .describe_stack_events()
                .stack_name(&self.stack_id)
                .set_next_token(next_token)
                .send()
                .await;
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    let error = Error::aws("read the stack's events", &error);
                    // A stack that is being deleted may be gone between two calls.
                    if error.kind() == ErrorKind::NotFound {
                        break;
                    }
                    return Err(error);
                }
            };
            let mut reached_seen = false;
            for event in page.stack_events() {
                let id = event.event_id().unwrap_or_default();
                if !self.seen.insert(id.to_owned()) {
                    reached_seen = true;
                    break;
                }
                if self.follows(event) {
                    fresh.push(ResourceEvent::from(event));
                }
            }
            next_token = page.next_token;
            if reached_seen || next_token.is_none() {
                break;
            }
        }
        fresh.reverse();
        Ok(fresh)
    }

    fn follows(&self, event: &StackEvent) -> bool {
        match (self.token.as_deref(), event.client_request_token()) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        }
    }
}

/// Reports events until the stack is in a final state; `None` when it is deleted.
pub(crate) async fn wait_for_stack(
    target: &Target,
    events: &mut EventFollower,
    report: Report<'_>,
) -> Result<Option<Described>> {
    let mut waits = target.poll.waits();
    loop {
        // The state is read before the events: no event of a final state is missed.
        let described = stack::describe(target, &events.stack_id).await?;
        events.report_new(target, report).await?;
        match described {
            None => return Ok(None),
            Some(stack) if *stack.status() == StackStatus::DeleteComplete => return Ok(None),
            Some(stack) if !stack.status().as_str().ends_with("_IN_PROGRESS") => {
                return Ok(Some(stack));
            }
            Some(_) => waits.pause().await,
        }
    }
}

/// Follows someone else's operation to its end.
pub(crate) async fn wait_for_others(
    target: &Target,
    stack: &Described,
    report: Report<'_>,
) -> Result<()> {
    report(Progress::Waiting {
        stack: stack.name().to_owned(),
        status: stack.status().as_str().to_owned(),
    });
    let mut events = EventFollower::from_now(target, stack.id(), None).await?;
    wait_for_stack(target, &mut events, report).await?;
    Ok(())
}

/// An operation that cannot begin because one has begun already will be waited for.
pub(crate) fn already_begun(error: Error) -> Result<()> {
    match error.kind() {
        ErrorKind::Stale => Ok(()),
        _ => Err(error),
    }
}

/// Whether the stack itself is said to go back, with a reason.
fn gives_up(event: &ResourceEvent) -> bool {
    let goes_back = event.failed() || event.status.contains("ROLLBACK");
    event.is_of_stack() && goes_back && event.reason.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(status: &str, reason: &str) -> ResourceEvent {
        ResourceEvent {
            logical_id: "ReportsBucket".to_owned(),
            physical_id: String::new(),
            resource_type: "AWS::S3::Bucket".to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
        }
    }

    #[test]
    fn a_cancelled_resource_is_a_consequence_not_a_cause() {
        assert!(is_consequence(&event(
            "CREATE_FAILED",
            "Resource creation cancelled"
        )));
        assert!(!is_consequence(&event(
            "CREATE_FAILED",
            "reports already exists (Service: S3, Status Code: 409)"
        )));
    }

    #[test]
    fn a_stack_that_goes_back_says_why() {
        let stack = |status, reason: Option<&str>| ResourceEvent {
            resource_type: "AWS::CloudFormation::Stack".to_owned(),
            reason: reason.map(str::to_owned),
            ..event(status, "")
        };
        assert!(gives_up(&stack(
            "ROLLBACK_IN_PROGRESS",
            Some("Validation failed")
        )));
        assert!(!gives_up(&stack("ROLLBACK_COMPLETE", None)));
        assert!(!gives_up(&stack(
            "CREATE_IN_PROGRESS",
            Some("User Initiated")
        )));
        assert!(!gives_up(&event("DELETE_FAILED", "in use")));
    }
}
