//! The users: who they are, and the table that holds them.
//!
//! - the domain: [`user`], [`email`], and [`schema`], the names in the table;
//! - what goes out: [`table`], the only module here that knows the AWS SDK.
//!
//! The functions' handlers are in the functions' own crates.

pub mod email;
pub mod schema;
pub mod table;
pub mod user;

pub use email::EmailAddress;
pub use schema::Schema;
pub use table::UsersTable;
pub use user::{User, UserId};
