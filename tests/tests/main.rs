//! The framework's acceptance tests, on the example and on the local stage.
//!
//! They are one program: each would be linked with the AWS SDK otherwise, and would wait for the one before.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod by_hand;
mod command_line;
mod debugger;
mod deploy_faults;
mod deploy_kill_points;
mod deploy_policy;
mod deploy_recovery;
mod deploy_together;
mod environment;
mod events;
mod function_urls;
mod grants;
mod keeping;
mod links;
mod local_stage;
mod network;
mod new_app;
mod new_function;
mod output;
mod queues;
mod recording;
mod redrive;
mod schedules;
mod stored_values;
mod structure;
mod tables;
mod terminal;
mod trace_of_logs;
mod traces;
mod watch;
