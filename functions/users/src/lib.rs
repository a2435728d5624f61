//! The users: who they are, the table that holds them, and what is kept in step with it.
//!
//! - the domain: [`user`], [`email`], and [`schema`], the names in the table;
//! - the rules of what follows a change, with their ports: [`user_data`], an object for each
//!   user, and [`personal_email`], a flag in each user's item;
//! - what comes in: [`stream`], whose item a record of the table's stream is about;
//! - what goes out: [`table`] and [`s3`], the only modules here that know the AWS SDK.
//!
//! The functions' handlers are in the functions' own crates.

pub mod email;
pub mod personal_email;
pub mod s3;
pub mod schema;
pub mod stream;
pub mod table;
mod table_ports;
pub mod user;
pub mod user_data;

pub use email::EmailAddress;
pub use schema::Schema;
pub use table::UsersTable;
pub use user::{User, UserId};
