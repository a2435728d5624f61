//! The app: the one file to edit when it changes.
//!
//! A trigger wires an event to a function and permits it to invoke the function. A grant permits a
//! function to use a resource. After an edit, `cargo xtask gen-policy` writes down what functions may
//! do, and `cargo xtask deploy` shows what changes in AWS before it changes anything.

use manifest::Manifest;

/// Declares the app.
#[must_use]
pub fn app() -> Manifest {
    let app = Manifest::new("NAME");
    let api = app.http_api("NAME").variable("API_URL");

    FUNCTION

    app
}
