//! A server in the test's own process, on a real database, with somebody to call it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use signalbox::auth::{AuthConfig, Claims, issue};
use signalbox::http::{Limits, Origins, SignInPages};
use signalbox::jobs::{Actor, Regions, Role};
use signalbox::jobs::{
    Caller, Command, CommandRequest, ContractorId, CreateContractor, CreateJob, EventId, Job,
    JobId, Receipt, Region, RescheduleJob, Subject, Timestamp, Window,
};
use signalbox::pipeline::{CommandError, PipelineConfig};
use signalbox::server::{RunningServer, ServerConfig, start};
use signalbox::signalr::HubOptions;
use signalbox::store::{StoreConfig, open_read_only, verify};
use signalbox::tls::TlsFiles;

use super::database::{Database, TestDatabase};

pub const SECRET: &str = "a secret for tests, of 32 bytes or more";
pub const REGION: &str = "north";

/// A running server and its databases.
pub struct Site {
    pub server: RunningServer,
    config: ServerConfig,
    database: Arc<TestDatabase>,
    /// The log's own, if it has one.
    pub event_log: Option<TestDatabase>,
}

/// What a test wants otherwise.
pub struct SiteOptions {
    pub pipeline: PipelineConfig,
    pub hub: HubOptions,
    /// The log's own database.
    pub event_log: Option<TestDatabase>,
    pub origins: Origins,
    /// Who may sign tokens; whoever has the tests' secret.
    pub auth: AuthConfig,
    pub limits: Limits,
    pub tls: Option<TlsFiles>,
    pub sign_in: SignInPages,
}

impl Default for SiteOptions {
    fn default() -> Self {
        let pipeline = PipelineConfig {
            // Retries and relays come soon, so that tests need not wait for them.
            log_retry_max: Duration::from_millis(100),
            relay_interval: Duration::from_millis(20),
            ..PipelineConfig::default()
        };
        let (hub, origins) = (signalbox::hub::options(), Origins::default());
        let auth = AuthConfig { secret: Some(SECRET.to_owned()), ..AuthConfig::default() };
        let (limits, sign_in) = (Limits::default(), SignInPages::default());
        Self { pipeline, hub, event_log: None, origins, auth, limits, tls: None, sign_in }
    }
}

impl Site {
    pub async fn start() -> Self {
        Self::start_with(SiteOptions::default()).await
    }

    pub async fn start_with(options: SiteOptions) -> Self {
        Self::start_on(TestDatabase::new(), options).await
    }

    /// The same on a database that is there, whatever it holds.
    pub async fn start_on(database: TestDatabase, options: SiteOptions) -> Self {
        Self::start_sharing(Arc::new(database), options).await
    }

    /// Another node on the same database.
    pub async fn beside(&self, options: SiteOptions) -> Self {
        Self::start_sharing(Arc::clone(&self.database), options).await
    }

    async fn start_sharing(database: Arc<TestDatabase>, options: SiteOptions) -> Self {
        let event_log = options.event_log;
        let config = ServerConfig {
            listen: "127.0.0.1:0".to_owned(),
            store: StoreConfig {
                database_url: database.url(),
                event_log_database_url: event_log.as_ref().map(TestDatabase::url),
                node_id: "test".to_owned(),
                migrate: true,
            },
            auth: options.auth,
            origins: options.origins,
            demo: None,
            sign_in: options.sign_in,
            pipeline: options.pipeline,
            hub: options.hub,
            access_log: false,
            limits: options.limits,
            tls: options.tls,
            stop_timeout: Duration::from_secs(5),
        };
        let server = start(config.clone()).expect("the server starts");
        Self { server, config, database, event_log }
    }

    /// Stops the server, and starts another one on the same databases.
    pub async fn restart(self) -> Self {
        self.server.stop().await;
        let server = start(self.config.clone()).expect("the server starts again");
        Self { server, ..self }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.origin())
    }

    /// A look into the jobs' database; the log's too, unless it has its own.
    pub fn database(&self) -> Database {
        self.database.open()
    }

    /// What `signalbox verify` says of the databases.
    pub fn verify(&self) -> signalbox::store::Report {
        let store = open_read_only(&self.config.store).expect("the databases can be read");
        verify(&store).expect("they can be checked")
    }

    /// The jobs' database cannot be reached from now on.
    pub fn take_database_away(&self) {
        self.database.take_away();
    }

    pub async fn submit(&self, command: Command) -> Result<Receipt, CommandError> {
        self.server.pipeline.commands.submit(request(command)).await
    }

    pub async fn contractor(&self) -> ContractorId {
        let id = ContractorId::fresh();
        let create = CreateContractor {
            id,
            name: "Ada".to_owned(),
            region: region(),
            timezone: "Europe/Berlin".to_owned(),
        };
        self.submit(Command::CreateContractor(create)).await.expect("a contractor");
        id
    }

    /// A job on a day of its own, assigned to this contractor if there is one.
    pub async fn job(&self, day: i64, contractor: Option<ContractorId>) -> Job {
        let create = CreateJob {
            id: JobId::fresh(),
            title: "Boiler inspection".to_owned(),
            customer: "Harbour Hotel".to_owned(),
            address: "1 Quay Street".to_owned(),
            region: region(),
            timezone: "Europe/Berlin".to_owned(),
            window: window(day, 0),
            contractor_ids: contractor.into_iter().collect(),
        };
        let receipt = self.submit(Command::CreateJob(create)).await.expect("a job");
        job_of(receipt)
    }

    /// Moves the job to the hour of its day.
    pub async fn reschedule(
        &self,
        job: &Job,
        day: i64,
        hour: i64,
    ) -> Result<Receipt, CommandError> {
        let window = window(day, hour);
        self.submit(Command::RescheduleJob(RescheduleJob { job_id: job.id, window, reason: None }))
            .await
    }

    pub fn token(&self, role: &str, regions: &[&str], contractor: Option<ContractorId>) -> String {
        token(role, regions, contractor)
    }
}

/// A token of a test's caller, good for ten minutes.
pub fn token(role: &str, regions: &[&str], contractor: Option<ContractorId>) -> String {
    lasting_token(Duration::from_secs(600), role, regions, contractor)
}

/// The same, good for so long.
pub fn lasting_token(
    lifetime: Duration,
    role: &str,
    regions: &[&str],
    contractor: Option<ContractorId>,
) -> String {
    let claims = claims(lifetime, &format!("{role}-1"), &[role], regions, contractor);
    issue(SECRET, &claims).expect("the secret is long enough")
}

/// A token of this user, good for ten minutes.
pub fn token_of(
    user: &str,
    roles: &[&str],
    regions: &[&str],
    contractor: Option<ContractorId>,
) -> String {
    let claims = claims(Duration::from_secs(600), user, roles, regions, contractor);
    issue(SECRET, &claims).expect("the secret is long enough")
}

fn claims(
    lifetime: Duration,
    user: &str,
    roles: &[&str],
    regions: &[&str],
    contractor: Option<ContractorId>,
) -> Claims {
    let until = SystemTime::now() + lifetime;
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Claims {
        sub: user.to_owned(),
        exp: until.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs(),
        name: Some("Tess".to_owned()),
        roles: owned(roles),
        regions: owned(regions),
        contractor_id: contractor.map(|id| id.to_string()),
        iss: None,
        aud: None,
    }
}

pub fn region() -> Region {
    Region::parse(REGION).expect("a region")
}

/// An hour of a day, both counted from a fixed one.
pub fn window(day: i64, hour: i64) -> Window {
    const FIRST_DAY_MILLIS: i64 = 1_800_000_000_000;
    let start = FIRST_DAY_MILLIS + (day * 24 + hour) * 3_600_000;
    let time = |millis| Timestamp::from_millis(millis).expect("a time");
    Window::new(time(start), time(start + 3_600_000)).expect("a window")
}

pub fn request(command: Command) -> CommandRequest {
    let actor = Actor { id: "root".to_owned(), role: Role::Admin, name: None };
    let caller = Caller { actor, is_admin: true, regions: Regions::All, contractor_id: None };
    CommandRequest {
        caller: Arc::new(caller),
        correlation_id: "test".to_owned(),
        event_id: EventId::fresh(),
        if_match: None,
        idempotency: None,
        trace: None,
        command,
    }
}

pub fn job_of(receipt: Receipt) -> Job {
    match receipt.subject {
        Subject::Job(job) => job,
        Subject::Contractor(_) => panic!("the command was about a job"),
    }
}
