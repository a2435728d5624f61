//! The parts of the local stage, which `cargo xtask local` puts together: the
//! AWS emulator and the local Rekognition as child processes, the front door of
//! the HTTP API, the poller of DynamoDB streams, and what goes wrong on purpose.
//!
//! Everything listens on 127.0.0.1 only, answers no stranger there ([`Keys`] and the
//! crate `loopback` tell whom it answers), and everything that is started ends with the
//! process that started it, however that process ends.
//!
//! # Modules
//!
//! - children: `python` (the pinned environments), `emulator`, `rekognition`, `service` (a child that does not outlive its
//!   parent), `preflight` (ports and disk).
//! - servers: `front_door`, `quiet`, `server` (what all of them share).
//! - between them: `inquiry` (what they ask each other), `news` (what the emulator tells when there is something to read).
//! - secrets: `keys` (new at each start), `private` (files that only the user can read).
//! - `stream_poller`: `mapping` reads the settings, `lineage` decides which shards are read, `lane`
//!   what becomes of their records, batch by batch. These call nothing. `function` invokes and reads the answer,
//!   `destination` tells what was given up, `shard` puts them together. `activity` tells `quiet` how far they are.
//! - `chaos`: `faults` decides by `seed`, `shares` and `orders`, `switch` puts in force what is wanted, `call` understands
//!   calls and makes failed answers, `proxy` and `control` are the servers.
//! - in the emulator: `emulator.py` (patches), `door.py` (whom it answers), `limits.py` (how large payloads may be),
//!   `deployed_code.py` (which code an invocation runs), `asynchronous.py`, `under_way.py`, `decisions.py` (what callers were allowed and denied), `recorder.py` (for
//!   `infra/checks`), `logs.py`, `news.py` (what there is to read), `chaos.py`.

mod aws;
mod chaos;
mod debugging;
mod decisions;
mod emulator;
mod error;
mod front_door;
mod inquiry;
mod inspection;
mod keeping;
mod keys;
mod news;
mod observer;
mod preflight;
mod private;
mod python;
mod quiet;
mod recording;
mod rekognition;
mod scheduler;
mod server;
mod service;
mod stage;
mod stream_poller;
mod traces;

pub use chaos::{
    Call, Chaos, ChaosConfig, Delivery, Effect, FailingCalls, Fault, FaultKind, FaultProxy,
    FaultSwitch, Faults, Figure, Figures, Orders, Seed, Shares,
};
pub use debugging::Debugging;
pub use decisions::Decision;
pub use emulator::{Emulator, EmulatorConfig};
pub use error::{Error, PortTaken};
pub use front_door::{ApiId, FrontDoor};
pub use inspection::Inspection;
pub use keeping::{Keeping, KeptState};
pub use keys::Keys;
pub use observer::Observer;
pub use private::{create_private_file, create_private_folder};
pub use python::{CheckTools, CrossTools, Models, ScanTools, StageTools};
pub use quiet::{QuietServer, UnderWay};
pub use rekognition::{RekognitionConfig, RekognitionServer};
pub use scheduler::Scheduler;
pub use server::{BoxError, Server};
pub use stage::{Api, LocalStage, LocalStageConfig, Port, Ports, StageProgress, StagedApp};
pub use stream_poller::{StreamPoller, StreamPollerConfig};
pub use traces::{Listing, Traces};

/// Beside a request, the key by which the stage's parts know each other.
pub(crate) const STAGE_KEY_HEADER: &str = "x-local-stage-key";
