//! Starts the function: see the library for what it does.

use std::convert::Infallible;
use std::process::ExitCode;

use lambda_runtime::Error;
use media::dynamodb::{DynamoCatalogue, DynamoLabelCounts, Tables};
use media_api::MediaApi;
use media_api::gallery::Gallery;
use media_api::writes::Writes;
use runtime::s3::Presigner;
use runtime::{Aws, Environment, Service};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let media = media::media_bucket(&environment)?;
    let thumbnails = environment.require("THUMBNAILS_BUCKET_NAME")?;
    let function = MediaApi {
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
        labels: DynamoLabelCounts::named_by(&aws, &environment)?,
        gallery: Gallery {
            media: Presigner::new(&aws, media.as_str()).await?,
            thumbnails: Presigner::new(&aws, &thumbnails).await?,
        },
        writes: Writes {
            client: runtime::s3::client(&aws, media.as_str()),
            routes: Writes::routes_named_by(&environment),
            bucket: media,
        },
    };
    aws.open_connections(&[Service::DYNAMODB]).await;
    runtime::serve(async |request| Ok::<_, Infallible>(function.handle(request).await)).await
}
