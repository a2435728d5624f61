//! Commands that a user can try on the app.

use manifest::App;

use crate::workspace::Workspace;

/// The command that uploads a file to the app's first bucket.
pub(crate) fn upload(app: Option<&App>, file: &str) -> String {
    let variables = app.map(App::env_outputs).unwrap_or_default();
    // Of a variable, the app tells only the name.
    let mut variables = variables.values();
    let bucket = variables.find(|variable| variable.contains("BUCKET"));
    let bucket = bucket.map_or("BUCKET", String::as_str);
    format!("aws s3 cp {file} s3://${bucket}")
}

/// A file to upload: the one with the shortest name in the app's `assets`.
pub(crate) fn sample_file(workspace: &Workspace) -> String {
    let entries = std::fs::read_dir(workspace.root().join("assets"));
    let files = entries.into_iter().flatten().flatten();
    let files = files.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let names = files.filter_map(|entry| entry.file_name().into_string().ok());
    let shortest = names
        .filter(|name| !name.ends_with(".md"))
        .min_by_key(|name| (name.len(), name.clone()));
    shortest.map_or_else(|| "FILE".to_owned(), |name| format!("assets/{name}"))
}
