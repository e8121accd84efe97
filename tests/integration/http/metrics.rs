//! What `/metrics` says, and that it is what happened.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join;
use serde_json::json;
use signalbox::pipeline::PipelineConfig;

use super::{draft, merged, path, times};
use crate::support::database::TestDatabase;
use crate::support::http_client::{Answer, Api};
use crate::support::site::{REGION, Site, SiteOptions};
use crate::support::until;
use crate::support::websocket::HubClient;

/// A page, read by the rules of the text format 0.0.4.
#[derive(Debug, Default)]
struct Page {
    /// By the metric's name.
    types: BTreeMap<String, String>,
    /// The names of a metric's labels, without those of buckets.
    labels: BTreeMap<String, BTreeSet<String>>,
    /// By the sample's name and labels as they stand there.
    samples: BTreeMap<String, f64>,
}

impl Page {
    async fn of(site: &Site) -> Self {
        let answer = Api::nobody(site).get("/metrics").send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        Self::parse(&answer.text)
    }

    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends");
        let (mut page, mut helped, mut family) = (Self::default(), String::new(), String::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a help text");
                assert!(help.len() > 5, "{line}");
                name.clone_into(&mut helped);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a type");
                assert_eq!(name, helped, "HELP goes before TYPE");
                name.clone_into(&mut family);
                page.labels.entry(family.clone()).or_default();
                let former = page.types.insert(family.clone(), kind.to_owned());
                assert_eq!(former, None, "{line}");
            } else {
                page.add_sample(line, &family);
            }
        }
        page
    }

    fn add_sample(&mut self, line: &str, family: &str) {
        let (series, value) = line.rsplit_once(' ').expect("a sample");
        let value: f64 = value.parse().expect("a number");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let suffix = name.strip_prefix(family).unwrap_or("of another family");
        let is_known = match self.types[family].as_str() {
            "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
            "counter" => suffix.is_empty() && name.ends_with("_total") && value >= 0.0,
            "gauge" => suffix.is_empty(),
            _ => false,
        };
        let is_named = name.starts_with("signalbox_") || name.starts_with("process_");
        assert!(is_known && is_named, "{line}");
        let labels = labels.strip_suffix('}').expect("labels end");
        for label in labels.split_terminator(',') {
            let (label, quoted) = label.split_once('=').expect("a label has a value");
            assert!(quoted.len() > 2 && quoted.starts_with('"') && quoted.ends_with('"'), "{line}");
            if label != "le" {
                self.labels.entry(family.to_owned()).or_default().insert(label.to_owned());
            }
        }
        let former = self.samples.insert(series.to_owned(), value);
        assert_eq!(former, None, "{line}");
    }

    fn get(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("{series} of {self:#?}"))
    }

    fn part(&self, name: &str) -> f64 {
        self.get(&format!("signalbox_part_up{{part=\"{name}\"}}"))
    }

    /// The samples of a name, summed up.
    fn sum(&self, name: &str) -> f64 {
        let is_of = |series: &str| series.split('{').next() == Some(name);
        self.samples.iter().filter(|(series, _)| is_of(series)).map(|(_, value)| value).sum()
    }

    /// How many commands there were of each kind and result.
    fn commands(&self) -> BTreeMap<String, f64> {
        let is_one = |series: &str| series.starts_with("signalbox_commands_total{");
        let some = self.samples.iter().filter(|(series, value)| is_one(series) && **value > 0.0);
        some.map(|(series, value)| (series.clone(), *value)).collect()
    }
}

/// What the client was answered, counted.
#[derive(Default)]
struct Counted(BTreeMap<String, f64>);

impl Counted {
    fn add(&mut self, command: &str, answer: Answer) -> Answer {
        let accepted = json!("accepted");
        let result = if answer.status < 300 { &accepted } else { &answer.body["code"] };
        self.add_as(command, result.as_str().expect("a code"));
        answer
    }

    fn add_as(&mut self, command: &str, result: &str) {
        let labels = format!("{{command=\"{command}\",result=\"{result}\"}}");
        *self.0.entry(format!("signalbox_commands_total{labels}")).or_default() += 1.0;
    }
}

#[actix_web::test]
async fn commands_are_counted_as_their_caller_saw_them_answered() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    let mut counted = Counted::default();

    let eve = json!({ "name": "Eve", "region": REGION, "timezone": "Europe/Oslo" });
    let eve = api.post("/api/contractors", &eve).send().await;
    let eve = counted.add("create_contractor", eve).body["id"].clone();
    let assigned = json!({ "contractorIds": [eve] });
    let mut jobs = Vec::new();
    for day in 0..3 {
        let create = api.post("/api/jobs", &merged(draft(day), &assigned)).send().await;
        jobs.push(counted.add("create_job", create).body);
    }
    for result in ["accepted", "repeated", "repeated"] {
        let keyed = api.post("/api/jobs", &draft(9)).header("idempotency-key", "k").send().await;
        assert_eq!(keyed.status, 201, "{keyed:?}");
        counted.add_as("create_job", result);
    }
    let reused = api.post("/api/jobs", &draft(8)).header("idempotency-key", "k");
    assert_eq!(counted.add("create_job", reused.send().await).status, 422);
    let nobody = Api::new(&site, &site.token("dispatcher", &["south"], None));
    let forbidden = nobody.post("/api/jobs", &draft(0)).send().await;
    assert_eq!(counted.add("create_job", forbidden).status, 403);

    for (window, tag, status) in [
        (times(0, 3), "*", 200),
        (times(0, 3), "*", 200),
        (times(1, 0), "*", 409),
        (times(2, 0), "*", 409),
        (times(0, 5), "\"9\"", 412),
    ] {
        let change = api.put(&path(&jobs[0], "/reschedule"), &window).header("if-match", tag);
        let answer = counted.add("reschedule_job", change.send().await);
        assert_eq!(answer.status, status, "{answer:?}");
    }
    for _ in 0..2 {
        let cancel = api.post(&path(&jobs[0], "/cancel"), &json!({ "reason": "Flood" }));
        counted.add("cancel_job", cancel.send().await);
    }
    let absent = json!({ "id": uuid::Uuid::now_v7().to_string() });
    for job in [&jobs[0], &jobs[1], &absent] {
        let assign = api.post(&path(job, "/assign"), &json!({ "contractorIds": [] }));
        counted.add("assign_job", assign.send().await);
    }

    let page = Page::of(&site).await;
    assert_eq!(page.commands(), counted.0);
    let results: BTreeSet<&str> = counted.0.keys().filter_map(|s| s.split('"').nth(3)).collect();
    assert!(results.len() >= 8, "many kinds of answers: {results:?}");
    let all: f64 = counted.0.values().sum();
    assert_eq!(page.sum("signalbox_command_duration_seconds_count"), all);
    assert_eq!(page.get("signalbox_batch_commands_sum"), all, "each was in one transaction");
    assert_eq!(page.get("signalbox_queue_waiting{queue=\"commands\"}"), 0.0);
    assert_eq!(page.get("signalbox_queue_waiting_max{queue=\"commands\"}"), 1_024.0);
    let last = api.get("/api/events").send().await.sequence();
    assert_eq!(page.get("signalbox_events_committed_sequence"), last as f64);
}

#[actix_web::test]
async fn a_command_that_found_no_room_is_counted_as_busy_and_not_timed() {
    let pipeline = PipelineConfig { commands_max: 1, ..PipelineConfig::default() };
    let site = Site::start_with(SiteOptions { pipeline, ..SiteOptions::default() }).await;
    let api = Api::admin(&site);
    let mut database = site.database();
    database.lock();
    let mut counted = Counted::default();
    while !counted.0.keys().any(|series| series.contains("busy")) {
        let create = || api.post("/api/jobs", &draft(0)).send();
        let (one, other) = join(create(), create()).await;
        for answer in [one, other] {
            if answer.body["detail"] == "too many commands wait; nothing was changed" {
                counted.add_as("create_job", "busy");
            } else {
                counted.add("create_job", answer);
            }
        }
    }
    database.unlock();
    counted.add("create_job", api.post("/api/jobs", &draft(0)).send().await);
    let page = Page::of(&site).await;
    assert_eq!(page.commands(), counted.0);
    let timed: f64 =
        counted.0.iter().filter(|(series, _)| !series.contains("busy")).map(|(_, n)| n).sum();
    assert_eq!(page.sum("signalbox_command_duration_seconds_count"), timed);
}

#[actix_web::test]
async fn connections_and_what_they_are_told_are_counted() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let token = site.token("dispatcher", &[REGION], None);
        let mut client = HubClient::connect(&site.url("/hub/dispatch"), &token).await;
        let joined = client.invoke("JoinDispatchGroup", json!([REGION])).await;
        assert_eq!(joined["error"], json!(null), "{joined}");
        clients.push(client);
    }
    let mut told = 0.0;
    for day in 0..4 {
        api.created_job(&draft(day)).await;
        for client in &mut clients {
            client.next_event().await.expect("the connection stays");
            told += 1.0;
        }
    }
    // A client may have an event before its worker has counted those of the others.
    let all_are_counted = async || Page::of(&site).await.get("signalbox_deliveries_total") == told;
    until("all deliveries are counted", all_are_counted).await;
    let page = Page::of(&site).await;
    assert_eq!(page.sum("signalbox_connections"), 3.0);
    let kind = "signalbox_connections{transport=\"WebSockets\",protocol=\"json\"}";
    assert_eq!(page.get(kind), 3.0);
    assert_eq!(page.sum("signalbox_connections_opened_total"), 3.0);
    let tasks = page.get("signalbox_connection_tasks");
    assert!(tasks >= 3.0, "{tasks}");
    for name in ["signalbox_groups", "signalbox_users"] {
        assert!((1.0..=3.0).contains(&page.get(name)), "{name}: one, on up to three threads");
    }
    assert_eq!(page.get("signalbox_slow_connections_cut_total"), 0.0);
    assert_eq!(page.get("signalbox_events_relayed_sequence"), 4.0);

    drop(clients);
    let is_nothing_left = async || {
        let page = Page::of(&site).await;
        let names = ["connections", "groups", "users", "connection_tasks"];
        names.iter().all(|name| page.sum(&format!("signalbox_{name}")) == 0.0)
    };
    until("nothing of a connection is left", is_nothing_left).await;
    assert_eq!(Page::of(&site).await.get("signalbox_deliveries_total"), told);
}

#[actix_web::test]
async fn a_log_that_is_away_lags_and_catches_up() {
    let event_log = Some(TestDatabase::new());
    let site = Site::start_with(SiteOptions { event_log, ..SiteOptions::default() }).await;
    let log = site.event_log.as_ref().expect("a log of its own");
    let api = Api::admin(&site);
    log.take_away();
    for day in 0..3 {
        api.created_job(&draft(day)).await;
    }
    let is_down = async || Page::of(&site).await.part("event_log") == 0.0;
    until("the log is down", is_down).await;
    let page = Page::of(&site).await;
    assert_eq!(page.get("signalbox_event_log_lag_events"), 3.0);
    assert_eq!(page.get("signalbox_queue_waiting{queue=\"event_log\"}"), 3.0);
    let grows_old = async || {
        let page = Page::of(&site).await;
        let names = ["signalbox_event_log_lag_seconds", "signalbox_outbox_oldest_age_seconds"];
        names.iter().all(|name| page.get(name) > 0.5)
    };
    until("the oldest event has waited for a while", grows_old).await;
    assert_eq!(page.get("signalbox_events_logged_sequence"), 0.0);
    assert_eq!((page.part("job_store"), page.part("backplane")), (1.0, 1.0));

    log.bring_back();
    let has_caught_up = async || {
        let page = Page::of(&site).await;
        let names = ["log_lag_events", "log_lag_seconds"];
        names.iter().all(|name| page.get(&format!("signalbox_event_{name}")) == 0.0)
            && page.get("signalbox_outbox_oldest_age_seconds") == 0.0
            && page.get("signalbox_queue_waiting{queue=\"event_log\"}") == 0.0
            && page.part("event_log") == 1.0
    };
    until("the log has caught up", has_caught_up).await;
    assert_eq!(Page::of(&site).await.get("signalbox_events_logged_sequence"), 3.0);
}

#[actix_web::test]
async fn a_job_store_that_is_away_is_down_and_the_page_is_there() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    api.created_job(&draft(0)).await;
    assert_eq!(Page::of(&site).await.part("job_store"), 1.0);
    site.take_database_away();
    let is_down = async || Page::of(&site).await.part("job_store") == 0.0;
    until("the job store is down", is_down).await;
    let mut counted = Counted::default();
    counted.add_as("create_job", "accepted");
    counted.add("create_job", api.post("/api/jobs", &draft(1)).send().await);
    assert_eq!(Page::of(&site).await.commands(), counted.0);
    assert_eq!(counted.0.len(), 2, "the second was refused");
}

#[actix_web::test]
async fn whoever_is_on_this_machine_may_read_whatever_their_token() {
    let site = Site::start().await;
    let token = site.token("contractor", &[], None);
    for api in [Api::admin(&site), Api::new(&site, &token), Api::new(&site, "no token")] {
        assert_eq!(api.get("/metrics").send().await.status, 200);
    }
    let refused = Api::admin(&site).call("POST", "/metrics").send().await;
    assert_eq!((refused.status, refused.header("allow")), (405, "GET"));
}

/// The metrics of `docs/metrics.md`: name, type, labels.
fn documented() -> BTreeSet<(String, String, BTreeSet<String>)> {
    let text = include_str!("../../../docs/metrics.md");
    let is_metric =
        |line: &&str| line.starts_with("| `signalbox_") || line.starts_with("| `process_");
    let rows = text.lines().filter(is_metric);
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, metric, kind, unit, meaning, _] = cells[..] else {
            panic!("{row} has four cells");
        };
        let metric = metric.trim_matches('`');
        assert!(!unit.is_empty() && !meaning.is_empty(), "{row}");
        let (name, labels) = metric.split_once('{').unwrap_or((metric, "}"));
        let labels = labels.trim_end_matches('}').split_terminator(", ").map(str::to_owned);
        (name.to_owned(), kind.to_owned(), labels.collect())
    })
    .collect()
}

#[actix_web::test]
async fn the_documentation_lists_what_is_served() {
    let site = Site::start().await;
    // The first page is the first request.
    Page::of(&site).await;
    let page = Page::of(&site).await;
    let served: BTreeSet<_> = page
        .types
        .iter()
        .map(|(name, kind)| (name.clone(), kind.clone(), page.labels[name].clone()))
        .collect();
    assert_eq!(served, documented());
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("signalbox_build_info{{version=\"{version}\",profile=\"debug\"}}");
    assert_eq!(page.get(&build), 1.0);
    assert_eq!(page.get("signalbox_node_info{node=\"test\"}"), 1.0);
    let started = page.get("process_start_time_seconds");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
    assert!((now.as_secs_f64() - started).abs() < 600.0, "{started}");
}
