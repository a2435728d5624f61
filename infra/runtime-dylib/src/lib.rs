//! What functions depend on, as a dynamic library.
//!
//! The linker needs longer for a function than the compiler: it reads the whole AWS SDK. The local
//! stage builds `runtime` with the feature `dylib`, and so links the SDK once, in here. A function
//! is then linked in a third of the time and has a tenth of the size.
//!
//! What runs on AWS, and what `cargo xtask grants` reads, is linked statically: only so does an
//! executable have exactly the operations that its code can call.

use aws_lambda_events as _;
use aws_sdk_dynamodb as _;
use aws_sdk_rekognition as _;
use aws_sdk_s3 as _;
use aws_sdk_sqs as _;
use hyper_rustls as _;
use hyper_util as _;
use lambda_runtime as _;
use serde_path_to_error as _;
use tracing_subscriber as _;
