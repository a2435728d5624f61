//! `package`: builds the functions and zips them.

use crate::cli;
use crate::error::Result;
use crate::package;
use crate::terminal::{human_bytes, json, status, table};
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
            human_bytes(package.binary_bytes),
            human_bytes(package.artifact.zip_bytes),
            package.glibc.clone().unwrap_or_else(|| "-".to_owned()),
            package.artifact.sha256.chars().take(12).collect(),
        ]
    }));
    table(&rows)
}
