//! The local stage's console: web pages on 127.0.0.1 that show the app run.
//!
//! The pages are written on the server, from the manifest's [`AppModel`], from AWS's APIs as the stage answers them, and
//! from what the stage tells by [`Host`]. A small script replaces the parts that have changed; without it, every page
//! works by links and forms. Nothing in here knows an app.
//!
//! ```text
//! request ── access (host, origin, key or cookie, token of the form) ── server (which page) ── pages ── answer (headers)
//! ```
//!
//! What the pages show is hostile: keys of objects, values of items, lines of logs. It is text to the templates, which
//! escape it, and the headers of [`answer`] let no script run but the console's own.

mod access;
mod answer;
mod assets;
mod console;
mod fields;
mod host;
mod item;
mod layout;
mod live;
mod model;
mod notices;
mod pages;
mod problem;
mod server;
mod stage;
#[cfg(test)]
mod testing;

pub use access::Secrets;
pub use console::{Console, ConsoleConfig};
pub use host::{Host, QueuedMessage, RedriveWish, Redriven, SampleEvent, Told};
pub use model::{
    AppModel, ArrowModel, EndpointModel, FunctionModel, GrantModel, NodeModel, ScheduleModel,
};
