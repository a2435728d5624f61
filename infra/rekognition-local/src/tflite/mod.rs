//! An interpreter of quantized TFLite models: the operators that image classifiers of the MobileNet and EfficientNet
//! families consist of, and no others. (tract's TFLite reader has no QUANTIZE; other runtimes in Rust read ONNX only,
//! and no ONNX file of these weights is packaged.) On the same input it gives LiteRT's probabilities to within the
//! 1/256 that LiteRT rounds them to.
//!
//! [`graph`] reads a file into a list of tensors and operators, [`network`] checks it and prepares it for running, so
//! that running cannot fail; [`kernels`] holds the arithmetic.

mod flatbuffer;
mod graph;
mod kernels;
mod network;
#[cfg(test)]
mod tests;

use std::num::TryFromIntError;

pub use network::Network;

/// Why a file is not a model that can be run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file lacks the identifier `TFL3`.
    #[error("it is not a TFLite model")]
    NotTflite,
    /// An offset points outside the file.
    #[error("it is damaged: a part that it refers to lies outside the file")]
    Truncated,
    /// The parts of the file contradict each other.
    #[error("it is damaged: {0}")]
    Inconsistent(String),
    /// A valid model that needs what the interpreter does not have.
    #[error("it needs what this interpreter does not have: {0}")]
    Unsupported(String),
}

impl From<TryFromIntError> for ModelError {
    /// A number that does not fit its purpose, such as a negative size.
    fn from(_: TryFromIntError) -> Self {
        Self::Truncated
    }
}
