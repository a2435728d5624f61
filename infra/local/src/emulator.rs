//! MiniStack as a child process.
//!
//! What one has to know about MiniStack 1.5 to read this module:
//!
//! - It is configured by environment variables alone, and its whole environment
//!   is handed down to the functions it runs. So it starts from an empty one:
//!   the user's own AWS profile, region and proxies reach neither.
//! - `provided.al2023` functions are child processes in MiniStack's own process
//!   group, unpacked under `TMPDIR`. They do not notice when MiniStack dies,
//!   but killing the group ends them.
//! - `AWS_ENDPOINT_URL` is where functions find the emulator; a variable for one
//!   service, like `AWS_ENDPOINT_URL_REKOGNITION`, takes precedence in every SDK.
//! - With `AUTH=true` it enforces IAM policies, and each function is given its
//!   execution role's credentials. Whom it takes for the account's root user, and what else
//!   it answers without asking who asks, would be open doors: `door.py` shuts them.
//! - Its asynchronous invocation of functions is not quite AWS's, and SNS goes
//!   past it. `asynchronous.py` takes its place.
//! - It takes forms that upload objects from everybody, and knows no origin of a page. `pages.py` knows them.
//! - It fires schedules in its own way. `schedules.py` keeps it from that, see
//!   [`Scheduler`](crate::Scheduler).
//! - Of a queue's messages, it deletes those whose failure a function does not report as it
//!   should. `queues.py` does with them as Lambda does.
//! - It takes payloads of any size for functions. `limits.py` has Lambda's limits.
//! - It ends a function's processes when its code changes, whatever they are at. `deployed_code.py`
//!   lets them answer first.
//! - On a busy machine it loses lines of functions' logs, and it makes figures of its own of the
//!   time and memory that functions take. `logs.py` reads all lines and measures.
//! - It does not record causes. `observed.py` does, and gives every invocation a trace header.
//! - It does not support debuggers. `debugging.py` lets a function wait for one, and suspends timeouts.
//! - It persists too little. `keeping.py` writes its state down, and begins with it.
//! - It has no Rekognition. Where the stage has the local one, `emulator.py` adds what the local Rekognition needs
//!   of it: a judgement on its callers' requests, made with MiniStack's own check of
//!   signatures and policies, and roles that only the service they trust may assume.
//! - It listens for IoT devices and SFTP clients as well unless told not to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::preflight::check_ports;
use crate::recording::recording;
use crate::service::Service;
use crate::{Chaos, Error, Keys, create_private_folder};

/// What Python runs, and what that imports.
const SCRIPTS: [(&str, &str); 18] = [
    ("emulator.py", include_str!("emulator.py")),
    ("asynchronous.py", include_str!("asynchronous.py")),
    ("debugging.py", include_str!("debugging.py")),
    ("decisions.py", include_str!("decisions.py")),
    ("deployed_code.py", include_str!("deployed_code.py")),
    ("door.py", include_str!("door.py")),
    ("keeping.py", include_str!("keeping.py")),
    ("limits.py", include_str!("limits.py")),
    ("logs.py", include_str!("logs.py")),
    ("news.py", include_str!("news.py")),
    ("observed.py", include_str!("observed.py")),
    ("pages.py", include_str!("pages.py")),
    ("queues.py", include_str!("queues.py")),
    ("chaos.py", include_str!("chaos.py")),
    ("recorder.py", include_str!("recorder.py")),
    ("ring.py", include_str!("ring.py")),
    ("schedules.py", include_str!("schedules.py")),
    ("under_way.py", include_str!("under_way.py")),
];

/// What an [`Emulator`] is started with.
#[derive(Debug, Clone, Copy)]
pub struct EmulatorConfig<'a> {
    /// An interpreter that has MiniStack: [`StageTools::python`](crate::StageTools::python).
    pub python: &'a Path,
    /// Holds the log and, while the emulator runs, its data. Functions are
    /// executed from here, so it must not be on a `noexec` file system.
    pub dir: &'a Path,
    /// Where to listen on 127.0.0.1.
    pub port: u16,
    /// Where the local Rekognition listens on 127.0.0.1, for the functions, if there is one.
    pub rekognition_port: Option<u16>,
    /// The region that resources are in.
    pub region: &'a str,
    /// The account that resources are in, twelve digits.
    pub account_id: &'a str,
    /// What goes wrong, if anything can.
    pub chaos: Option<&'a Chaos>,
    /// Lambda's name of the function whose processes wait for a debugger, if there is one.
    pub debugged: Option<&'a str>,
    /// The file to begin with, as `keeping.py` has written it. Nothing is handled until the stage resumes.
    pub state: Option<&'a Path>,
}

impl EmulatorConfig<'_> {
    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where functions find the services, and where the emulator asks for faults.
    fn endpoints(&self) -> BTreeMap<&'static str, String> {
        let mut variables = BTreeMap::from([("AWS_ENDPOINT_URL", self.endpoint())]);
        let rekognition = self.rekognition_port;
        let rekognition = rekognition.map(|port| format!("http://127.0.0.1:{port}"));
        variables.extend(rekognition.map(|url| ("AWS_ENDPOINT_URL_REKOGNITION", url)));
        variables.extend(self.chaos.map(|chaos| ("CHAOS_URL", chaos.url())));
        variables
    }
}

/// A running MiniStack. Dropping it ends it, and the functions with it.
#[derive(Debug)]
pub struct Emulator {
    service: Service,
    endpoint: String,
    keys: Keys,
    log: PathBuf,
    /// After `service`, so that nothing writes here any more when it is removed.
    _data: DataDir,
}

impl Emulator {
    /// Starts MiniStack and waits until it answers. It begins empty, or with the state of an earlier run.
    pub async fn start(config: EmulatorConfig<'_>) -> Result<Self, Error> {
        let EmulatorConfig {
            python, dir, port, ..
        } = config;
        // Before the data of another stage that listens there is removed.
        check_ports(&[("the AWS emulator", port)])?;
        let data = DataDir::create(&dir.join(format!("emulator-{port}")))?;
        let log = dir.join(format!("emulator-{port}.log"));
        let endpoint = config.endpoint();
        let keys = Keys::random()?;

        let mut command = Command::new(python);
        command
            .arg(data.write_scripts()?)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            // Away from the user's ~/.aws, which SDKs in functions would read.
            .env("HOME", &data.0)
            .env("TMPDIR", &data.0)
            .env("PYTHONUTF8", "1")
            // For functions: a panic says where in the source it came from. Errors that a
            // function handles need no backtrace, which is slow.
            .env("RUST_BACKTRACE", "1")
            .env("RUST_LIB_BACKTRACE", "0")
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("MINISTACK_REGION", config.region)
            .env("MINISTACK_ACCOUNT_ID", config.account_id)
            .env("AUTH", "true")
            .env("AWS_ACCESS_KEY_ID", &keys.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key)
            .env("LOCAL_STAGE_KEY", &keys.stage_key)
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .envs(
                config
                    .debugged
                    .map(|function| ("DEBUGGED_FUNCTION", function)),
            )
            .envs(recording());
        command.envs(config.endpoints());
        command.envs(config.state.map(|state| ("RESTORED_STATE", state)));
        let ready = format!("Running on {endpoint}");
        let service = Service::start("the AWS emulator (MiniStack)", command, log.clone(), &ready);
        Ok(Self {
            service: service.await?,
            endpoint,
            keys,
            log,
            _data: data,
        })
    }

    /// The URL of every AWS service except Rekognition.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The keys that it was started with.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The file that MiniStack logs into.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns when MiniStack ends by itself, and says why.
    pub async fn ended(&mut self) -> Error {
        self.service.ended().await
    }

    /// Ends MiniStack and the functions, and removes their data.
    pub async fn shutdown(self) {
        self.service.shutdown().await;
    }
}

/// A folder that is empty at first and removed at the end.
#[derive(Debug)]
struct DataDir(PathBuf);

impl DataDir {
    fn create(path: &Path) -> Result<Self, Error> {
        if path.exists() {
            std::fs::remove_dir_all(path).map_err(Error::io("remove", path))?;
        }
        create_private_folder(path).map_err(Error::io("create", path))?;
        // Functions get it as TMPDIR, and run in a working directory of their own.
        path.canonicalize()
            .map(Self)
            .map_err(Error::io("resolve", path))
    }

    /// Returns the path of the first script, which can import the others.
    fn write_scripts(&self) -> Result<PathBuf, Error> {
        let folder = self.0.join("scripts");
        std::fs::create_dir(&folder).map_err(Error::io("create", &folder))?;
        for (name, text) in SCRIPTS {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(Error::io("write", &path))?;
        }
        Ok(folder.join(SCRIPTS[0].0))
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // What cannot be removed now, the next start removes.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(rekognition_port: Option<u16>) -> EmulatorConfig<'static> {
        EmulatorConfig {
            python: Path::new("python"),
            dir: Path::new("."),
            port: 4566,
            rekognition_port,
            region: "us-east-1",
            account_id: "000000000000",
            chaos: None,
            debugged: None,
            state: None,
        }
    }

    #[test]
    fn functions_are_told_of_the_local_rekognition_only_if_there_is_one() {
        let emulator = ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566".to_owned());
        assert_eq!(config(None).endpoints(), [emulator.clone()].into());
        let rekognition = "http://127.0.0.1:4567".to_owned();
        let rekognition = ("AWS_ENDPOINT_URL_REKOGNITION", rekognition);
        let both = [emulator, rekognition].into();
        assert_eq!(config(Some(4567)).endpoints(), both);
    }
}
