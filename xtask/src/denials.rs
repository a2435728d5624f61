//! Which grant a function lacks.

use manifest::{App, Function};

use crate::context::Workspace;

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
        let text = std::fs::read_to_string(workspace.root().join(file)).ok()?;
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        text.lines().nth(index).map(str::to_owned)
    };
    match app.grant_line(function, action, arn, source) {
        Ok(line) => line.to_string(),
        Err(none) => none.to_string(),
    }
}
