//! An interpreter of darknet's detectors of the YOLOv4-tiny family: the layers that they consist of, and no others.
//!
//! [`config`] reads the list of layers, [`network`] checks it against the weights and prepares it for running, so that
//! running cannot fail; [`boxes`] turns what the network says into boxes.

mod boxes;
mod config;
mod network;
#[cfg(test)]
mod tests;

pub use boxes::Found;
pub use network::Network;

/// Why files are not a detector that can be run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The configuration is not what darknet writes, or its layers do not fit each other.
    #[error("line {line} of its configuration: {reason}")]
    Configuration {
        /// Counted from one.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The weights do not belong to the configuration.
    #[error("its weights have {actual} bytes, where the configuration asks for {expected}")]
    Size {
        /// Bytes that the layers need.
        expected: usize,
        /// Bytes in the file.
        actual: usize,
    },
    /// The weights start with something else than the header that darknet writes.
    #[error("its weights do not start as darknet's do")]
    Header,
    /// A weight is not a number, or a variance is negative.
    #[error("its weights are damaged: layer {layer} has numbers that are none")]
    Numbers {
        /// Counted from zero, as darknet does.
        layer: usize,
    },
    /// No layer detects anything.
    #[error("its configuration has no [yolo] layer")]
    NoHead,
}
