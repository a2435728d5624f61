//! Which grant a function lacks.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use local::Decision;
use manifest::{App, Function};

use crate::context::Context;
use crate::error::Result;
use crate::stage_client::StageClient;
use crate::stage_state::StageState;
use crate::terminal::{hint, inert, warn};
use crate::workspace::Workspace;

/// What to write into the manifest so that `function` may do `action`, on the resource with this
/// ARN if one is known.
pub(crate) fn grant_hint(
    workspace: &Workspace,
    app: &App,
    function: &Function,
    action: &str,
    arn: Option<&str>,
) -> String {
    let source = |file: &str, line: u32| {
        let text = std::fs::read_to_string(workspace.cargo_root().join(file)).ok()?;
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        text.lines().nth(index).map(str::to_owned)
    };
    match app.grant_line(function, action, arn, source) {
        Ok(line) => line.to_string(),
        Err(none) => none.to_string(),
    }
}

/// The calls that the local stage denied its functions, each told once.
pub(crate) struct Denials {
    client: StageClient,
    url: String,
    since_ms: u64,
    /// Function, action and resource.
    told: BTreeSet<(String, String, String)>,
}

impl Denials {
    /// Those since so long ago.
    pub(crate) fn of(stage: &StageState, since: Duration) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let since = now.unwrap_or_default().saturating_sub(since);
        Self {
            client: StageClient::new(),
            url: stage.decisions_url.clone(),
            since_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            told: BTreeSet::new(),
        }
    }

    /// Tells which of these functions' calls were denied since the last time, and which line of
    /// Rust allows them.
    pub(crate) async fn tell<'a>(
        &mut self,
        Context { workspace, app, .. }: &Context,
        functions: impl IntoIterator<Item = &'a Function>,
    ) -> Result<()> {
        let decisions: Vec<Decision> = self.client.get(&self.url).await?;
        for function in functions {
            let physical_name = function.physical_name();
            for decision in &decisions {
                if decision.function() == Some(&physical_name) && self.is_new(decision) {
                    let (name, action) = (function.name(), &decision.action);
                    let resource = app.resource_at(&decision.resource);
                    let resource = resource.as_deref().unwrap_or(&decision.resource);
                    // The name of what the function asked for may come from anybody.
                    let resource = inert(resource);
                    warn(format_args!(
                        "the local stage denied {name} the action {action} on {resource}"
                    ));
                    let arn = Some(decision.resource.as_str());
                    hint(inert(&grant_hint(workspace, app, function, action, arn)));
                }
            }
        }
        Ok(())
    }

    fn is_new(&mut self, decision: &Decision) -> bool {
        if decision.denied == 0 || decision.denied_at_ms < self.since_ms {
            return false;
        }
        let key = (
            decision.principal.clone(),
            decision.action.clone(),
            decision.resource.clone(),
        );
        self.told.insert(key)
    }
}
