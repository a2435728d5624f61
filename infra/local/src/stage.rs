//! The local stage: its parts, started in their order, watched, and ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::keeping::{Begin, Keeper, Series};
use crate::preflight::{check_free_space, check_ports, needed_bytes};
use crate::{
    ApiId, Chaos, ChaosConfig, Debugging, Emulator, EmulatorConfig, Error, FaultSwitch, Figures,
    FrontDoor, Inspection, Keeping, KeptState, Keys, Models, Observer, QuietServer,
    RekognitionConfig, RekognitionServer, Scheduler, Seed, StageTools, StreamPoller,
    StreamPollerConfig, Traces,
};

/// The account that the stage's resources are in.
const ACCOUNT_ID: &str = "000000000000";

/// How often the app is asked for its HTTP APIs.
const APIS_INTERVAL: Duration = Duration::from_secs(1);

/// A port on 127.0.0.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// What listens there, for the error if the port is taken.
    pub purpose: String,
    /// Its number.
    pub number: u16,
}

/// The ports of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// Where every AWS service but Rekognition answers.
    pub aws: Port,
    /// Where the local Rekognition answers. Without a port, the stage has no Rekognition: it asks
    /// for no program, installs no models and tells functions of no endpoint.
    pub rekognition: Option<Port>,
    /// Where the HTTP APIs answer, in the order of [`StagedApp::apis`].
    pub apis: Vec<Port>,
    /// Where whoever starts the stage shows it, if that is to be. The stage itself only sees that the port is free.
    pub console: Option<Port>,
}

impl Ports {
    /// All of them, in the order in which a message names them.
    pub fn iter(&self) -> impl Iterator<Item = &Port> {
        [&self.aws]
            .into_iter()
            .chain(&self.rekognition)
            .chain(&self.apis)
            .chain(&self.console)
    }

    fn check(&self) -> Result<(), Error> {
        let ports = self.iter().map(|port| (&port.purpose, port.number));
        check_ports(&ports.collect::<Vec<_>>())
    }

    fn rekognition(&self) -> Option<u16> {
        self.rekognition.as_ref().map(|port| port.number)
    }
}

/// What a [`LocalStage`] is started with.
#[derive(Debug, Clone)]
pub struct LocalStageConfig<'a> {
    /// Where it listens.
    pub ports: Ports,
    /// Holds logs and, while the stage runs, the emulator's data. It must exist, and be this
    /// stage's alone.
    pub dir: &'a Path,
    /// Holds the Python environment; made on first use, and shared by all stages.
    pub tools_dir: &'a Path,
    /// The region that resources are in.
    pub region: &'a str,
    /// Whether the app was not built before, which takes minutes and gigabytes.
    pub is_first_run: bool,
    /// What the faults follow from, if it is to make some from the beginning.
    pub seed: Option<Seed>,
    /// Lambda's name of the function whose processes wait for a debugger, if there is one. Nobody
    /// gives up on it meanwhile.
    pub debugged: Option<&'a str>,
    /// What it begins with, and whether its data is kept.
    pub keeping: Keeping<'a>,
}

/// What a start is at, where it may take long.
#[derive(Debug, Clone, Copy)]
pub enum StageProgress<'a> {
    /// It is the first run.
    FirstRun,
    /// Something is installed into the Python environment.
    Installing(&'a str),
    /// An HTTP API that the app has got since is served.
    Opened(&'a Port),
    /// An HTTP API that the app has got since cannot be served.
    NotOpened(&'a Error),
    /// The stage begins with this data.
    Restoring(&'a KeptState),
    /// The stage's data cannot be kept any more, or can be again.
    Keeping(Result<(), &'a Error>),
}

/// An HTTP API of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Where it is to answer.
    pub port: Port,
    /// Which it is; none if it is not deployed now.
    pub id: Option<ApiId>,
}

/// The app that a stage is started for. The stage knows neither how it is built nor how it is
/// deployed.
pub trait StagedApp {
    /// What was built.
    type Built;
    /// What is known of the app once it is deployed.
    type Deployed;
    /// Why something failed.
    type Error: From<Error>;

    /// Tells people what a start is at.
    fn tell(&self, progress: StageProgress<'_>);

    /// Builds the functions, and the local Rekognition if the stage has a port for it. The
    /// emulator starts meanwhile.
    fn build(&self) -> impl Future<Output = Result<Self::Built, Self::Error>>;

    /// The program `rekognition-local`. Only a stage with a port for it asks.
    fn rekognition_program(&self, built: &Self::Built) -> Result<PathBuf, Self::Error>;

    /// Deploys the functions to the stage, of which every part runs.
    fn deploy(
        &self,
        built: Self::Built,
        stage: &LocalStage,
    ) -> impl Future<Output = Result<Self::Deployed, Self::Error>>;

    /// The HTTP APIs behind [`Ports::apis`], and those that the app has got since.
    fn apis(
        &self,
        deployed: &Self::Deployed,
    ) -> impl Future<Output = Result<Vec<Api>, Self::Error>>;
}

/// A running local stage. Dropping it ends all that it has started.
///
/// The fields are in the order in which they end: nobody is left without what it calls.
#[derive(Debug)]
pub struct LocalStage {
    doors: FrontDoors,
    quiet: QuietServer,
    poller: StreamPoller,
    scheduler: Scheduler,
    rekognition: Option<RekognitionServer>,
    emulator: Emulator,
    chaos: Chaos,
    ports: Ports,
    keeper: Arc<Keeper>,
    kept: Option<Series>,
}

impl LocalStage {
    /// Starts every part, and has the app deployed.
    ///
    /// # Errors
    /// When a port or the disk's space is taken, a part does not start, or the app cannot be built
    /// or deployed.
    pub async fn start<A: StagedApp>(
        config: LocalStageConfig<'_>,
        app: &A,
    ) -> Result<(Self, A::Deployed), A::Error> {
        config.ports.check()?;
        config.check_space()?;
        if config.is_first_run {
            app.tell(StageProgress::FirstRun);
        }
        let begin = config.keeping.begin(config.region)?;
        if let Some(begin) = &begin {
            app.tell(StageProgress::Restoring(&begin.state));
        }
        let kept = config.keeping.into.map(Series::new).transpose()?;
        let observer = Observer::new()?;
        let mut chaos = config.start_faults(&observer).await?;
        let emulator = async {
            let emulator = config.start_emulator(begin.as_ref(), &mut chaos, app);
            Ok(emulator.await?)
        };
        let ((models, emulator), built) = tokio::try_join!(emulator, app.build())?;
        let rekognition = config.start_rekognition(begin.as_ref(), models, &built, &emulator, app);
        let rekognition = rekognition.await?;
        let poller = config.hold_poller(begin.as_ref(), &emulator, &chaos, &observer);
        let fired_until = begin.as_ref().map(Begin::fired_until).unwrap_or_default();
        let scheduler = Scheduler::held(&emulator, config.region, fired_until, &observer);
        let keeper = config.keeper(&emulator, &poller, &scheduler);
        let rekognition_port = config.ports.rekognition();
        let quiet = QuietServer::start(
            &emulator,
            rekognition_port,
            &poller,
            &scheduler,
            Arc::clone(&keeper),
            Traces::new(&emulator, observer.clone()),
        );
        let quiet = quiet.await?;
        let doors = FrontDoors::open(&config, &emulator, observer).await?;
        let mut stage = Self {
            doors,
            quiet,
            poller,
            scheduler,
            rekognition,
            emulator,
            chaos,
            ports: config.ports,
            keeper,
            kept,
        };
        let deployed = app.deploy(built, &stage).await?;
        // Not before: what was under way is for the functions as they are now.
        if begin.is_some() {
            stage.keeper.resume().await?;
        }
        stage.poller.begin();
        stage.scheduler.begin();
        let apis = app.apis(&deployed).await?;
        stage.doors.lead_to(apis, app).await;
        Ok((stage, deployed))
    }

    /// Where it listens.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Which process of the debugged function waits.
    #[must_use]
    pub fn debugging(&self) -> Debugging {
        Debugging::of(&self.emulator)
    }

    /// The switch of its faults.
    #[must_use]
    pub fn faults(&self) -> FaultSwitch {
        self.chaos.switch()
    }

    /// What the emulator tells of its insides.
    #[must_use]
    pub fn inspection(&self) -> Inspection {
        Inspection::of(&self.emulator)
    }

    /// The keys of the emulator's root user.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        self.emulator.keys()
    }

    /// [Where it tells](QuietServer::url) whether it is quiet. A secret.
    #[must_use]
    pub fn quiet_url(&self) -> String {
        self.quiet.url()
    }

    /// [Where it tells](QuietServer::decisions_url) what it allowed and denied. A secret.
    #[must_use]
    pub fn decisions_url(&self) -> String {
        self.quiet.decisions_url()
    }

    /// What happened on it.
    #[must_use]
    pub fn traces(&self) -> Traces {
        self.quiet.traces().clone()
    }

    /// [Where it tells](QuietServer::logged_url) whether the logs of functions have new lines. A secret.
    #[must_use]
    pub fn logged_url(&self) -> String {
        self.quiet.logged_url()
    }

    /// [Where it tells](QuietServer::invoked_url) which functions were invoked. A secret.
    #[must_use]
    pub fn invoked_url(&self) -> String {
        self.quiet.invoked_url()
    }

    /// [Where it tells](QuietServer::traces_url) what happened on it. A secret.
    #[must_use]
    pub fn traces_url(&self) -> String {
        self.quiet.traces_url()
    }

    /// [Where it writes](QuietServer::snapshot_url) its data into a folder. A secret.
    #[must_use]
    pub fn snapshot_url(&self) -> String {
        self.quiet.snapshot_url()
    }

    /// [Where it shows](Chaos::url) the faults, makes them and ends them. A secret.
    #[must_use]
    pub fn chaos_url(&self) -> String {
        self.chaos.url()
    }

    /// Returns when a part of the stage ends by itself, and says why. Until then, the data is kept if it is to be, and
    /// the front doors lead to the app's HTTP APIs: deleting and deploying makes new ones, and a changed app has
    /// others.
    pub async fn ended<A: StagedApp>(&mut self, app: &A, deployed: &A::Deployed) -> Error {
        let rekognition = async {
            match &mut self.rekognition {
                Some(rekognition) => rekognition.ended().await,
                None => std::future::pending().await,
            }
        };
        let follow_apis = async {
            loop {
                tokio::time::sleep(APIS_INTERVAL).await;
                if let Ok(apis) = app.apis(deployed).await {
                    self.doors.lead_to(apis, app).await;
                }
            }
        };
        let keep = async {
            match &mut self.kept {
                Some(kept) => {
                    let tell = |kept: Result<(), &Error>| app.tell(StageProgress::Keeping(kept));
                    self.keeper.keep(kept, tell).await
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = self.emulator.ended() => error,
            never = keep => never,
            error = rekognition => error,
            error = follow_apis => error,
        }
    }

    /// Keeps the data as it is now, if it is to be kept. Nothing but [`Self::shutdown`] is to follow: from now on, the
    /// emulator answers nobody.
    ///
    /// # Errors
    /// It cannot be written. What was kept before stays.
    pub async fn keep_last(&mut self) -> Result<Option<KeptState>, Error> {
        match &mut self.kept {
            Some(kept) => self.keeper.save(kept, true).await,
            None => Ok(None),
        }
    }

    /// Ends all parts. The faults' figures are returned if there are any.
    pub async fn shutdown(self) -> Option<Figures> {
        self.quiet.shutdown().await;
        self.poller.shutdown().await;
        self.scheduler.shutdown().await;
        self.doors.close().await;
        if let Some(rekognition) = self.rekognition {
            rekognition.shutdown().await;
        }
        self.emulator.shutdown().await;
        let figures = self.chaos.figures();
        self.chaos.shutdown().await;
        (figures.on || !figures.faults.is_empty()).then_some(figures)
    }
}

impl LocalStageConfig<'_> {
    fn check_space(&self) -> Result<(), Error> {
        let has_rekognition = self.ports.rekognition.is_some();
        check_free_space(self.dir, needed_bytes(self.is_first_run, has_rekognition))
    }

    async fn start_faults(&self, observer: &Observer) -> Result<Chaos, Error> {
        let chaos = Chaos::start(ChaosConfig {
            seed: self.seed,
            port: 0,
            emulator_port: self.ports.aws.number,
            rekognition_port: self.ports.rekognition(),
            observer: Some(observer),
        });
        chaos.await
    }

    /// Installs what is missing, too: the models of the local Rekognition if there is to be one.
    async fn start_emulator(
        &self,
        begin: Option<&Begin>,
        chaos: &mut Chaos,
        app: &impl StagedApp,
    ) -> Result<(Option<Models>, Emulator), Error> {
        let installing = |line: &str| app.tell(StageProgress::Installing(line));
        let tools = StageTools::prepare(self.tools_dir, installing).await?;
        let models = match self.ports.rekognition {
            None => None,
            Some(_) => Some(tools.models(installing).await?),
        };
        let emulator = Emulator::start(EmulatorConfig {
            python: &tools.python(),
            dir: self.dir,
            port: self.ports.aws.number,
            rekognition_port: self.ports.rekognition(),
            region: self.region,
            account_id: ACCOUNT_ID,
            chaos: Some(chaos),
            debugged: self.debugged,
            state: begin.map(Begin::file_of_emulator).as_deref(),
        })
        .await?;
        chaos.connect(emulator.endpoint(), emulator.keys()).await?;
        Ok((models, emulator))
    }

    async fn start_rekognition<A: StagedApp>(
        &self,
        begin: Option<&Begin>,
        models: Option<Models>,
        built: &A::Built,
        emulator: &Emulator,
        app: &A,
    ) -> Result<Option<RekognitionServer>, A::Error> {
        let Some((port, models)) = self.ports.rekognition().zip(models) else {
            return Ok(None);
        };
        let server = RekognitionServer::start(RekognitionConfig {
            program: &app.rekognition_program(built)?,
            model: &models.classifier,
            detector: &models.detector,
            dir: self.dir,
            port,
            emulator_endpoint: emulator.endpoint(),
            keys: emulator.keys(),
            region: self.region,
            jobs: begin.and_then(Begin::file_of_jobs).as_deref(),
        })
        .await?;
        Ok(Some(server))
    }

    fn keeper(
        &self,
        emulator: &Emulator,
        poller: &StreamPoller,
        scheduler: &Scheduler,
    ) -> Arc<Keeper> {
        let (stack, rekognition) = (self.keeping.stack, self.ports.rekognition());
        let keeper = Keeper::new(stack, self.region, emulator, rekognition, poller, scheduler);
        Arc::new(keeper)
    }

    fn hold_poller(
        &self,
        begin: Option<&Begin>,
        emulator: &Emulator,
        chaos: &Chaos,
        observer: &Observer,
    ) -> StreamPoller {
        let config = StreamPollerConfig {
            endpoint: emulator.endpoint(),
            keys: emulator.keys(),
            region: self.region,
            chaos: Some(chaos),
            observer,
        };
        StreamPoller::held(config, begin.map(Begin::positions))
    }
}

/// A door for each HTTP API of the app, by its port.
#[derive(Debug)]
struct FrontDoors {
    emulator_endpoint: String,
    keys: Keys,
    /// Whether they wait as long as a debugged function takes.
    is_patient: bool,
    observer: Observer,
    open: BTreeMap<u16, FrontDoor>,
    /// Ports of APIs at which no door could be opened, which was told.
    taken: BTreeSet<u16>,
}

impl FrontDoors {
    async fn open(
        config: &LocalStageConfig<'_>,
        emulator: &Emulator,
        observer: Observer,
    ) -> Result<Self, Error> {
        let mut doors = Self {
            is_patient: config.debugged.is_some(),
            emulator_endpoint: emulator.endpoint().to_owned(),
            keys: emulator.keys().clone(),
            observer,
            open: BTreeMap::new(),
            taken: BTreeSet::new(),
        };
        for port in &config.ports.apis {
            doors.add(port).await?;
        }
        Ok(doors)
    }

    async fn add(&mut self, port: &Port) -> Result<&FrontDoor, Error> {
        let door = FrontDoor::start(
            port.number,
            &self.emulator_endpoint,
            &self.keys,
            &self.observer,
        );
        let door = door.await?;
        if self.is_patient {
            door.lift_timeout();
        }
        Ok(self.open.entry(port.number).or_insert(door))
    }

    /// Points each door at its API, and opens one for an API that has none. A door whose API is
    /// gone keeps leading there.
    async fn lead_to(&mut self, apis: Vec<Api>, app: &impl StagedApp) {
        for Api { port, id } in apis {
            let Some(id) = id else { continue };
            if let Some(door) = self.open.get(&port.number) {
                door.set_api(id);
            } else if !self.taken.contains(&port.number) {
                match self.add(&port).await {
                    Ok(door) => {
                        door.set_api(id);
                        app.tell(StageProgress::Opened(&port));
                    }
                    Err(error) => {
                        self.taken.insert(port.number);
                        app.tell(StageProgress::NotOpened(&error));
                    }
                }
            }
        }
    }

    async fn close(self) {
        for door in self.open.into_values() {
            door.shutdown().await;
        }
    }
}
