//! The emulator with a function in it, behind the front door; and whole stages.

#![expect(clippy::unwrap_used, reason = "also in what the tests share")]

mod chaos;
mod emulator;
mod ends;
mod fixture;
mod front_door;
#[path = "../../../../tests/src/ports.rs"]
mod ports;
mod whole;
