//! `deploy --watch`: brings a stage to what the source says, after each saved change.
//!
//! One round: the files are looked at, everything is built, and what has come out otherwise than
//! before is deployed: code alone by a hotswap, anything else by CloudFormation. On the local stage, the function that
//! somebody waits for is built and reloaded before all the rest. A change during
//! the build ends it and begins the round anew. A deployment is not disturbed: it is followed by a round if something
//! has changed meanwhile.
//!
//! The manifest is a part of this program. When a build has made another program of it, or when
//! the settings of stages are others, the process becomes that program, which deploys what it
//! declares. So nothing is kept in here that could be old.
//!
//! The local stage runs this as a child of its own and outlives all that (`verbs/local`). The child ends with the
//! stage, and tells it which HTTP APIs there are.

mod files;
mod notices;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use deploy::Target;
use manifest::{App, Architecture, Function};
use serde::{Deserialize, Serialize};
use stage_console::AppModel;

use self::files::{Files, Seen};
use super::deploy::{Done, Way, deploy, refuse_hotswap};
use super::logs::follow_logs;
use crate::build::recompile::Recompiler;
use crate::build::{self, Aside, One, Profile};
use crate::cli;
use crate::context::{Context, title};
use crate::denials::Denials;
use crate::error::{CliError, Result};
use crate::interrupt::Endings;
use crate::output;
use crate::package::{self, Packaged};
use crate::progress::Show;
use crate::stage_client::StageClient;
use crate::terminal::{status, warn, write_whole};
use crate::values::{self, LocalValues};
use crate::workspace::Workspace;

/// So long nothing is saved before a build begins: who saves several files wants one build.
const PAUSE: Duration = Duration::from_millis(10);
/// The same after a build that a change has ended: git may be at it.
const LONG_PAUSE: Duration = Duration::from_millis(200);

/// So long the function that was built first has the processor for itself.
const LEAD: Duration = Duration::from_millis(300);

/// Who waits longer than this wants to know for what.
const LONG_BUILD: Duration = Duration::from_secs(3);

/// What the watcher tells the local stage after each deployment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// The app's HTTP APIs and function URLs, in the order of their ports.
    pub(crate) endpoints: Vec<ToldEndpoint>,
    /// What the console shows.
    pub(crate) app: AppModel,
}

/// An HTTP API or function URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ToldEndpoint {
    /// What people call it.
    pub(crate) title: String,
    /// The output of the stack that has its URL.
    pub(crate) url_output: String,
}

impl Told {
    /// Of an app.
    pub(crate) fn of(app: &App) -> Self {
        let endpoints = app.endpoints().map(|endpoint| ToldEndpoint {
            title: title(&endpoint),
            url_output: endpoint.url_output.clone(),
        });
        Self {
            endpoints: endpoints.collect(),
            app: AppModel::of(app),
        }
    }
}

/// Watches until a signal, or until the local stage ends.
pub(crate) async fn run(workspace: &Workspace, args: &cli::Deploy) -> Result<ExitCode> {
    let workspace = workspace.debugging(args.debug_info.clone());
    let mut watch = Watch::new(&workspace, args)?;
    // Ctrl-C reaches the stage as well, which then ends this.
    let mut endings = Endings::catch()?;
    let ended = async {
        if args.beside_stage {
            standard_input_closed().await;
            ExitCode::SUCCESS
        } else {
            ExitCode::from(endings.next().await)
        }
    };
    tokio::select! {
        error = watch.rounds() => Err(error),
        code = ended => Ok(code),
    }
}

/// Returns when nothing more can be read.
async fn standard_input_closed() {
    let read = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    let _ = tokio::task::spawn_blocking(read).await;
}

struct Watch<'a> {
    workspace: &'a Workspace,
    args: &'a cli::Deploy,
    files: Files,
    recompiler: Recompiler,
    /// What ran when this process began.
    program: FileId,
    /// What the settings of stages were then.
    settings: Vec<Option<Vec<u8>>>,
    /// What the compiler has said last.
    told: String,
    /// Whether the stage has what this program declares.
    is_deployed: bool,
    /// Whether CloudFormation knows of the functions' code.
    is_known: bool,
}

/// How a round or a part of it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The stage is like the files.
    Converged,
    /// It has been told why the stage is not.
    Failed,
    /// A file has changed meanwhile.
    Disturbed,
    /// A file has changed when the function that is waited for had its new code already: this is the next edit.
    Overtaken,
}

/// The stage, as this program declares it.
struct Stage {
    context: Context,
    target: Target,
}

/// What is built before all the rest.
struct First<'a> {
    stage: &'a Stage,
    /// Its name.
    function: &'a str,
    /// Those of its sources that differ from what the stage has.
    changed: Vec<&'a Path>,
}

impl<'a> Watch<'a> {
    fn new(workspace: &'a Workspace, args: &'a cli::Deploy) -> Result<Self> {
        Ok(Self {
            workspace,
            args,
            program: FileId::of_this_program()?,
            settings: Files::settings(workspace),
            files: Files::of(workspace),
            recompiler: Recompiler::new(workspace),
            told: String::new(),
            is_deployed: false,
            is_known: true,
        })
    }

    /// Goes on for as long as nothing is wrong with the program itself.
    async fn rounds(&mut self) -> CliError {
        let stage = match self.connect().await {
            Ok(stage) => Some(stage),
            Err(error) if self.args.beside_stage => {
                error.report();
                None
            }
            Err(error) => return error,
        };
        let logs = logs(stage.as_ref(), self.args.logs_from);
        tokio::select! {
            error = self.reload(stage.as_ref()) => error,
            error = logs => error,
        }
    }

    async fn connect(&self) -> Result<Stage> {
        let load = || Context::load(self.workspace, &self.args.stage.stage);
        // The manifest is the user's code. The panic has been told of where it happened.
        let context = catch_unwind(AssertUnwindSafe(load))
            .map_err(|_| CliError::new("the manifest could not be read: its code panicked"))??;
        refuse_hotswap(&context, "--watch")?;
        let target = context.connect().await?;
        Ok(Stage { context, target })
    }

    async fn reload(&mut self, stage: Option<&Stage>) -> CliError {
        let mut noticed = Instant::now();
        // The files that the stage is like.
        let mut deployed = None;
        let mut seen = self.files.scan();
        loop {
            if self.files.update(self.workspace, &seen) {
                seen = self.files.scan();
            }
            let ended = self.round(stage, deployed.as_ref(), &seen, noticed);
            let ended = ended.await;
            self.files.complete(&mut seen);
            let pause = match ended {
                // The files may be as before by now, and nothing is built of them.
                Ended::Disturbed => LONG_PAUSE,
                Ended::Overtaken => PAUSE,
                Ended::Converged | Ended::Failed => {
                    let changed = self.files.changed(&seen);
                    tokio::pin!(changed);
                    tokio::select! {
                        () = self.recompiler.prepare() => changed.await,
                        () = &mut changed => {}
                    }
                    PAUSE
                }
            };
            if ended == Ended::Converged {
                deployed = Some(seen);
            }
            noticed = Instant::now();
            seen = self.files.settled(pause).await;
        }
    }

    /// Builds and deploys one function alone, if there is one to begin with, then everything.
    async fn round(
        &mut self,
        stage: Option<&Stage>,
        deployed: Option<&Seen>,
        seen: &Seen,
        noticed: Instant,
    ) -> Ended {
        let Some(first) = self.first(stage, deployed, seen).await else {
            // Something else than sources may have changed.
            self.recompiler.forget();
            return self.build_all(stage, seen, noticed).await;
        };
        match self.build_first(&first, seen, noticed).await {
            Some(Ended::Converged) => {}
            Some(ended) => return ended,
            // The build of everything has what the compiler has to say.
            None => {
                let ended = self.build_all(stage, seen, noticed).await;
                if ended == Ended::Converged {
                    self.recompiler.forget();
                }
                return ended;
            }
        }
        // Its start would wait for the compiler.
        tokio::select! {
            () = tokio::time::sleep(LEAD) => {}
            () = self.files.changed(seen) => return Ended::Overtaken,
        }
        match self.build_all(stage, seen, noticed).await {
            Ended::Disturbed => Ended::Overtaken,
            ended => ended,
        }
    }

    /// The function whose new code is waited for: of those that were made of what has changed, the
    /// one that was invoked last. Who changes it asks it again.
    async fn first<'s>(
        &self,
        stage: Option<&'s Stage>,
        deployed: Option<&'s Seen>,
        seen: &'s Seen,
    ) -> Option<First<'s>> {
        let (stage, deployed) = (stage?, deployed?);
        let local = stage.context.local.as_ref()?;
        let concerned = self.files.concerned(deployed, seen);
        if concerned.contains(self.workspace.program()) {
            return None;
        }
        let functions = stage.context.app.functions();
        let functions: Vec<&Function> = functions
            .filter(|function| concerned.contains(function.name()))
            .collect();
        let first = match functions[..] {
            [] => None,
            [only] => Some(only),
            _ => {
                let client = StageClient::new();
                let invoked: Vec<String> = client.get(&local.invoked_url).await.ok()?;
                invoked.iter().find_map(|invoked| {
                    let mut functions = functions.iter().copied();
                    functions.find(|function| function.physical_name() == *invoked)
                })
            }
        };
        let function = first?.name();
        Some(First {
            stage,
            function,
            changed: self.files.changed_of(function, deployed, seen),
        })
    }

    /// Builds one function of the local stage and deploys it. None if it does not compile.
    async fn build_first(
        &mut self,
        first: &First<'_>,
        seen: &Seen,
        noticed: Instant,
    ) -> Option<Ended> {
        let built = tokio::select! {
            built = self.compile(first) => built,
            never = told_if_long() => match never {},
            () = self.files.disturbed(seen) => return Some(Ended::Disturbed),
        };
        let One { executables, told } = match built {
            Ok(built) => built?,
            Err(error) => return Some(self.failed(&error)),
        };
        let converged = self
            .converge(Some(first.stage), executables.clone(), false, noticed)
            .await;
        if let Some(told) = told {
            let function = first.function;
            self.recompiler.learn(function, executables, told).await;
        }
        Some(self.ended(converged))
    }

    /// Compiles one function, by cargo if need be.
    async fn compile(&self, first: &First<'_>) -> Result<Option<One>> {
        let function = first.function;
        if let Some(recompilation) = self.recompiler.after(function, &first.changed) {
            let built = recompilation.run().await;
            return Ok(built.map(|executables| One {
                executables,
                told: None,
            }));
        }
        let app = &first.stage.context.app;
        let (parts, profile) = package::parts(self.workspace, app);
        let architecture = app.stage().architecture;
        build::build_one(self.workspace, &parts, function, profile, architecture).await
    }

    /// Builds everything and deploys it.
    async fn build_all(&mut self, stage: Option<&Stage>, seen: &Seen, noticed: Instant) -> Ended {
        let built = tokio::select! {
            built = self.build(stage) => built,
            never = told_if_long() => match never {},
            () = self.files.disturbed(seen) => return Ended::Disturbed,
        };
        let executables = match built.map(|built| self.told_of(built)) {
            Ok(Some(executables)) => executables,
            Ok(None) => return Ended::Failed,
            Err(error) => return self.failed(&error),
        };
        let converged = self.converge(stage, executables, true, noticed).await;
        self.ended(converged)
    }

    fn ended(&self, converged: Result<()>) -> Ended {
        match converged {
            Ok(()) => Ended::Converged,
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &CliError) -> Ended {
        error.report();
        self.tell_of_old_code();
        Ended::Failed
    }

    /// Builds what the stage consists of, and this program.
    async fn build(&self, stage: Option<&Stage>) -> Result<Aside> {
        let program = || {
            let program = [self.workspace.program()];
            let host = Architecture::HOST;
            async move { build::build_aside(self.workspace, &program, Profile::Dev, host).await }
        };
        let Some(Stage { context, .. }) = stage else {
            return program().await;
        };
        let (parts, profile) = package::parts(self.workspace, &context.app);
        let missing = parts.iter().find(|name| !self.files.has_package(name));
        // The manifest may no longer declare what is missing: then there will be another program.
        if profile != Profile::Local || missing.is_some() {
            let built = program().await?;
            match &built.executables {
                Some(executables) if !self.is_outdated(executables) => {}
                _ => return Ok(built),
            }
        }
        if let Some(missing) = missing {
            return Err(CliError::new(format!(
                "the workspace has no package {missing}, and the manifest declares a function of this name"
            )));
        }
        let architecture = context.app.stage().architecture;
        build::build_aside(self.workspace, &parts, profile, architecture).await
    }

    /// Tells what the compiler has said; returns what was built, if anything.
    fn told_of(&mut self, built: Aside) -> Option<BTreeMap<String, PathBuf>> {
        let Aside {
            executables,
            diagnostics,
        } = built;
        let is_new = diagnostics != self.told;
        if is_new && !diagnostics.is_empty() {
            // In its own colours, if there are any to be.
            let _ = write_whole(&diagnostics);
        }
        self.told = diagnostics;
        match &executables {
            Some(executables) => executables
                .iter()
                .for_each(|(name, executable)| self.files.include(name, executable)),
            None => {
                if !is_new {
                    warn("the source still does not compile, see above");
                }
                self.tell_of_old_code();
            }
        }
        executables
    }

    fn tell_of_old_code(&self) {
        let stage = &self.args.stage.stage;
        status(
            "Waiting",
            format!("for the next change; stage {stage} still runs the code from before"),
        );
    }

    /// Whether this process is no longer what the source says.
    fn is_outdated(&self, executables: &BTreeMap<String, PathBuf>) -> bool {
        let built = executables.get(self.workspace.program());
        built.is_some_and(|built| FileId::of(built).ok() != Some(self.program))
            || Files::settings(self.workspace) != self.settings
    }

    async fn converge(
        &mut self,
        stage: Option<&Stage>,
        executables: BTreeMap<String, PathBuf>,
        is_everything: bool,
        noticed: Instant,
    ) -> Result<()> {
        if self.is_outdated(&executables) {
            return Err(self.become_new(executables.get(self.workspace.program())));
        }
        let Some(Stage { context, target }) = stage else {
            return Ok(());
        };
        let package = || package::package_built(self.workspace, &context.app, executables);
        let packaged = tokio::task::block_in_place(package)?;
        if self.is_deployed {
            self.swap(context, target, &packaged, noticed).await?;
            if is_everything {
                self.make_known(context, target, &packaged).await?;
            }
        } else {
            self.deploy(context, target, &packaged, noticed).await?;
        }
        if context.local.is_some() {
            package::remove_old_binaries(&packaged.functions)?;
        }
        self.is_deployed = true;
        Ok(())
    }

    /// Brings the stage to what this program declares.
    async fn deploy(
        &self,
        context: &Context,
        target: &Target,
        packaged: &Packaged,
        noticed: Instant,
    ) -> Result<()> {
        if context.local.is_some() {
            let values = LocalValues::of(self.workspace, &context.app)?;
            values.store(target).await?;
        } else {
            values::check(&context.app, target).await?;
        }
        let show = show(context);
        let done = self.put(context, target, packaged, show, Way::default());
        let done = done.await?;
        if done != Done::Unchanged || !self.args.beside_stage {
            done.report(context, noticed.elapsed().as_secs_f64());
        }
        if self.args.beside_stage {
            output::json_line(&Told::of(&context.app))?;
            tell_of_rekognition(context);
        } else {
            status("Watching", "the source; Ctrl-C ends");
        }
        Ok(())
    }

    /// Puts new code into those of the packaged functions that have other code.
    async fn swap(
        &mut self,
        context: &Context,
        target: &Target,
        packaged: &Packaged,
        noticed: Instant,
    ) -> Result<()> {
        let hotswap = Way {
            hotswap: true,
            ..Way::default()
        };
        let show = show(context);
        let done = self.put(context, target, packaged, show, hotswap).await?;
        let seconds = noticed.elapsed().as_secs_f64();
        match &done {
            Done::Hotswapped { functions } if functions.is_empty() => {}
            Done::Hotswapped { functions } => {
                let own = |function: &&Function| functions.contains(&function.physical_name());
                let names = context.app.functions().filter(own).map(Function::name);
                let names = names.collect::<Vec<_>>().join(", ");
                status("Reloaded", format!("{names} in {seconds:.1} s"));
                self.is_known = false;
            }
            done => {
                done.report(context, seconds);
                self.is_known = true;
            }
        }
        Ok(())
    }

    /// Lets CloudFormation know of the code that is at work already, or it would be taken for a
    /// change by hand. On AWS, that takes too long for every change.
    async fn make_known(
        &mut self,
        context: &Context,
        target: &Target,
        packaged: &Packaged,
    ) -> Result<()> {
        if context.local.is_some() && !self.is_known {
            let known = self.put(context, target, packaged, Show::silent(), Way::default());
            known.await?;
            self.is_known = true;
        }
        Ok(())
    }

    async fn put(
        &self,
        context: &Context,
        target: &Target,
        packaged: &Packaged,
        show: Show,
        way: Way,
    ) -> Result<Done> {
        let approval = self.args.approval.settled(context.local.is_some());
        let done = deploy(context, target, packaged.clone(), &show, approval, way).await;
        show.finish();
        Ok(done?.0)
    }

    /// Becomes the program that was built; returns only if that fails.
    fn become_new(&self, program: Option<&PathBuf>) -> CliError {
        let Some(program) = program else {
            return CliError::new("the program of the app was not built");
        };
        let error = Command::new(program)
            .args(self.args.watching(now_ms()))
            .exec();
        CliError::new(format!("could not run {}: {error}", program.display()))
    }
}

/// Follows the logs of the local stage from a time on, if there is one; returns only if it fails.
async fn logs(stage: Option<&Stage>, from_ms: Option<u64>) -> CliError {
    if let Some(Stage { context, target }) = stage
        && let Some(from_ms) = from_ms
        && let Some(local) = &context.local
    {
        let since = Duration::from_millis(now_ms().saturating_sub(from_ms));
        let mut denials = Denials::of(local, since);
        return follow_logs(context, target, &mut denials, since).await;
    }
    std::future::pending().await
}

/// On the local stage, logs follow: one line for each change is enough.
fn show(context: &Context) -> Show {
    if context.local.is_some() {
        Show::brief()
    } else {
        Show::new("deploying")
    }
}

/// Tells that something is built if that takes long. A line that moves would be in the way of
/// the logs.
async fn told_if_long() -> Infallible {
    tokio::time::sleep(LONG_BUILD).await;
    status("Building", "what has changed");
    std::future::pending().await
}

/// The stage cannot get what it was started without.
fn tell_of_rekognition(context: &Context) {
    let stage = context.local.as_ref();
    let lacks = stage.is_some_and(|stage| stage.rekognition_port.is_none());
    if lacks && package::uses_rekognition(&context.app) {
        warn(
            "the app calls Rekognition now, and the stage was started without: stop it and start it again",
        );
    }
}

/// In milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// Tells a file from another one that has been put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    /// The file that this process was started from, even if another one is in its place now, where
    /// the system tells.
    fn of_this_program() -> Result<Self> {
        let running = Self::of(Path::new("/proc/self/exe"));
        let running = running.or_else(|_| Self::of(&std::env::current_exe()?));
        running.map_err(|error| CliError::new(format!("could not find this program: {error}")))
    }
}
