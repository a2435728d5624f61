//! `package`: builds the functions and zips them.

use indicatif::DecimalBytes;

use crate::cli;
use crate::error::Result;
use crate::output::json;
use crate::package;
use crate::table::table;
use crate::terminal::status;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, args: &cli::Package) -> Result<()> {
    let app = workspace.app(&args.stage.stage)?;
    status(
        "Building",
        format!(
            "{} functions for {}",
            app.functions().count(),
            app.stage().architecture.as_str()
        ),
    );
    let packages = package::package(workspace, &app)?.functions;
    if args.json {
        return json(&packages);
    }
    let mut rows = vec![
        ["FUNCTION", "BINARY", "ZIP", "GLIBC", "SHA-256"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(packages.iter().map(|package| {
        vec![
            package.artifact.function.clone(),
            DecimalBytes(package.binary_bytes).to_string(),
            DecimalBytes(package.artifact.zip_bytes).to_string(),
            package.glibc.clone().unwrap_or_else(|| "-".to_owned()),
            package.artifact.sha256.chars().take(12).collect(),
        ]
    }));
    table(&rows)
}
