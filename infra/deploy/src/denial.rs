//! What AWS says when a policy forbids something.

/// What AWS says when a policy forbids something: "User: ARN is not authorized to perform:
/// ACTION on resource: ARN because REASON".
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denial<'a> {
    pub(crate) action: &'a str,
    pub(crate) resource: Option<&'a str>,
    reason: &'a str,
}

impl<'a> Denial<'a> {
    pub(crate) fn parse(message: &'a str) -> Option<Self> {
        let (_, rest) = message.split_once("not authorized to perform: ")?;
        let action = rest.split_whitespace().next()?;
        let resource = rest.split_once("on resource: ").and_then(|(_, resource)| {
            let resource = resource.split_whitespace().next()?;
            Some(resource.trim_matches(['.', ',', ';', '"']))
        });
        action.contains(':').then_some(Self {
            action: action.trim_end_matches(['.', ',', ';', '"']),
            resource,
            reason: rest,
        })
    }

    pub(crate) fn hint(&self) -> String {
        let on = self
            .resource
            .map(|resource| format!(" on {resource}"))
            .unwrap_or_default();
        let action = self.action;
        let says = |words: &str| self.reason.contains(words);
        if says("service control policy") {
            format!(
                "the organisation's policies (SCP) forbid {action}{on}: only its administrators can change that"
            )
        } else if says("permissions boundary") {
            format!("the caller's permissions boundary leaves out {action}{on}")
        } else if says("explicit deny") {
            format!("a policy denies {action}{on} explicitly, which no other policy can allow")
        } else {
            format!("the caller needs {action}{on}: ask for it, or use a role that has it")
        }
    }
}
