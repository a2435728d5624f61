//! A function that makes any call it is told to, with the credentials that its execution role
//! gives it.

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::Stage;

/// A Lambda function in Python: its event names a call, its answer is the outcome's code.
const PROBE: &str = r#"
import json, os, urllib.request
import botocore.exceptions, botocore.session

api = os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    request = urllib.request.urlopen(api + "next")
    call = json.load(request)
    client = botocore.session.get_session().create_client(call["service"], region_name=os.environ["AWS_REGION"])
    try:
        getattr(client, call["operation"])(**call["parameters"])
        outcome = "allowed"
    except botocore.exceptions.ClientError as error:
        outcome = error.response["Error"]["Code"]
    answer = api + request.headers["Lambda-Runtime-Aws-Request-Id"] + "/response"
    urllib.request.urlopen(answer, json.dumps(outcome).encode()).read()
"#;

/// A function of a stage, whose code makes the calls that it is asked for.
pub struct Probe<'a> {
    stage: &'a Stage,
    function: &'a str,
}

impl<'a> Probe<'a> {
    /// Replaces a function's code; its role stays.
    pub fn install(stage: &'a Stage, function: &'a str) -> Self {
        let physical_name = stage.physical_name(function);
        let zip = tempfile::NamedTempFile::new().unwrap();
        write_bootstrap(zip.path());
        stage.aws_ok(&[
            "lambda",
            "update-function-code",
            "--function-name",
            &physical_name,
            "--zip-file",
            &format!("fileb://{}", zip.path().display()),
        ]);
        stage.aws_ok(&[
            "lambda",
            "wait",
            "function-updated",
            "--function-name",
            &physical_name,
        ]);
        Self { stage, function }
    }

    /// Makes a call: `allowed`, or the code of AWS's error.
    pub fn ask(&self, call: &Value) -> String {
        let event = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(event.path(), call.to_string()).unwrap();
        let answer = self.stage.xtask_ok(&[
            "invoke",
            self.function,
            "--payload",
            event.path().to_str().unwrap(),
        ]);
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}

fn write_bootstrap(zip: &Path) {
    let script = format!("#!{}{PROBE}", crate::python().display());
    let mut writer = zip::ZipWriter::new(std::fs::File::create(zip).unwrap());
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    writer.start_file("bootstrap", options).unwrap();
    writer.write_all(script.as_bytes()).unwrap();
    writer.finish().unwrap();
}
