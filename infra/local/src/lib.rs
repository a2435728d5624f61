//! The parts of the local stage, which `cargo xtask local` puts together: the
//! AWS emulator and the local Rekognition as child processes, the front door of
//! the HTTP API, the poller of DynamoDB streams, and what goes wrong on purpose.
//!
//! Everything listens on 127.0.0.1 only, answers no stranger there ([`Keys`] and the
//! crate `loopback` tell whom it answers), and everything that is started ends with the
//! process that started it, however that process ends.

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
    Call, Chaos, ChaosConfig, Delivery, Effect, Fault, FaultKind, FaultProxy, Faults, Figure,
    Figures, Seed,
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
