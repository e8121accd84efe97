//! Lists of jobs and events: filters, pages, and who sees what.

use serde_json::{Value, json};
use signalbox::pipeline::PartState;

use super::{draft, merged, path, times};
use crate::support::database::TestDatabase;
use crate::support::http_client::Api;
use crate::support::site::{REGION, Site, SiteOptions, token, window};
use crate::support::until;

const FOREIGN: &str = "south";

/// Two regions with a contractor each, and jobs whose titles tell them apart.
struct Scene {
    site: Site,
    admin: Api,
    ada: String,
}

impl Scene {
    /// Jobs `a` (day 0, ada), `b` (day 1), `c` (day 2, cancelled), and `s` (day 1,
    /// in the other region).
    async fn start(options: SiteOptions) -> Self {
        let site = Site::start_with(options).await;
        let admin = Api::admin(&site);
        let ada = admin.created_contractor(REGION).await;
        let job =
            async |day, members: Value| admin.created_job(&merged(draft(day), &members)).await;
        job(0, json!({ "title": "a", "contractorIds": [ada] })).await;
        job(1, json!({ "title": "b" })).await;
        let last = job(2, json!({ "title": "c" })).await;
        job(1, json!({ "title": "s", "region": FOREIGN })).await;
        admin.post(&path(&last, "/cancel"), &json!({})).send().await;
        Self { site, admin, ada }
    }

    fn api(&self, role: &str, regions: &[&str]) -> Api {
        let ada = self.ada.parse().expect("a contractor's id");
        Api::new(&self.site, &token(role, regions, Some(ada)))
    }

    /// The callers by what they may see: name, and whose.
    fn callers(&self) -> [(&'static str, Api); 5] {
        [
            ("an admin", self.api("admin", &[])),
            ("a dispatcher of all", self.api("dispatcher", &["*"])),
            ("a dispatcher of one region", self.api("dispatcher", &[FOREIGN])),
            ("a contractor", self.api("contractor", &["*"])),
            ("nobody in particular", self.api("viewer", &["*"])),
        ]
    }
}

#[actix_web::test]
async fn jobs_are_listed_by_what_they_are_and_when() {
    let scene = Scene::start(SiteOptions::default()).await;
    let day = |day, hour| window(day, hour).start();
    for (query, titles) in [
        (String::new(), vec!["a", "b", "s", "c"]),
        (format!("region={REGION}"), vec!["a", "b", "c"]),
        (format!("contractorId={}", scene.ada), vec!["a"]),
        ("status=scheduled".to_owned(), vec!["a", "b", "s"]),
        ("status=cancelled".to_owned(), vec!["c"]),
        ("status=completed".to_owned(), vec![]),
        (format!("from={}", day(1, 0)), vec!["b", "s", "c"]),
        (format!("from={}", day(0, 1)), vec!["b", "s", "c"]),
        (format!("to={}", day(1, 0)), vec!["a"]),
        (format!("from={}&to={}", day(1, 0), day(1, 1)), vec!["b", "s"]),
        (format!("region={REGION}&status=scheduled&to={}", day(9, 0)), vec!["a", "b"]),
    ] {
        let answer = scene.admin.get(&format!("/api/jobs?{query}")).send().await;
        let found = answer.items("title");
        assert_eq!(found, titles, "{query}");
        assert_eq!((answer.sequence(), &answer.body["nextCursor"]), (5, &Value::Null), "{query}");
    }
}

#[actix_web::test]
async fn pages_bring_every_job_once_in_the_order_of_their_starts() {
    const JOBS: i64 = 11;
    let site = Site::start().await;
    let api = Api::dispatcher(&site);
    for number in 0..JOBS {
        // Several share a start, so that a page ends between them.
        api.created_job(&merged(draft(0), &times(0, (JOBS - number) / 4))).await;
    }
    let all = api.get("/api/jobs?limit=500").send().await;
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/api/jobs?limit=2{cursor}")).send().await;
        ids.extend(page.items("id"));
        match page.body["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        assert_eq!(page.items("id").len(), 2, "a page before the last is full");
    }
    assert_eq!((ids.len() as i64, &ids), (JOBS, &all.items("id")));
    let starts: Vec<String> = all.items("startUtc").iter().map(Value::to_string).collect();
    assert!(starts.is_sorted(), "{starts:?}");
}

#[actix_web::test]
async fn everybody_sees_the_jobs_of_the_own_scope_alone() {
    let scene = Scene::start(SiteOptions::default()).await;
    let seen = [&["a", "b", "s", "c"][..], &["a", "b", "s", "c"], &["s"], &["a"], &[]];
    for ((name, api), titles) in scene.callers().iter().zip(seen) {
        assert_eq!(api.get("/api/jobs").send().await.items("title"), *titles, "{name}");
        let narrowed = api.get(&format!("/api/jobs?region={FOREIGN}")).send().await;
        let expected = titles.iter().filter(|title| **title == "s").count();
        assert_eq!(narrowed.items("title").len(), expected, "{name}");
    }
}

#[actix_web::test]
async fn everybody_sees_the_contractors_of_the_own_scope_alone() {
    let scene = Scene::start(SiteOptions::default()).await;
    scene.admin.created_contractor(FOREIGN).await;
    let own = format!("/api/contractors/{}", scene.ada);
    let seen = [(2, 200), (2, 200), (1, 404), (1, 200), (0, 404)];
    for ((name, api), (count, status)) in scene.callers().iter().zip(seen) {
        let listed = api.get("/api/contractors").send().await.items("id").len();
        assert_eq!((listed, api.get(&own).send().await.status), (count, status), "{name}");
    }
}

#[actix_web::test]
async fn events_are_listed_in_order_by_what_they_are() {
    let scene = Scene::start(SiteOptions::default()).await;
    let jobs = scene.admin.get("/api/jobs").send().await.items("id");
    let cancelled = jobs[3].as_str().expect("an id");
    for (query, sequences, reached) in [
        (String::new(), vec![1, 2, 3, 4, 5], 5),
        ("after=3".to_owned(), vec![4, 5], 5),
        ("after=5".to_owned(), vec![], 5),
        (format!("after={}", u64::MAX), vec![], 5),
        ("type=JobCancelled".to_owned(), vec![5], 5),
        (format!("jobId={cancelled}"), vec![3, 5], 5),
        (format!("group=dispatch/{FOREIGN}"), vec![4], 5),
        (format!("group=contractor/{}", scene.ada), vec![1], 5),
        (format!("group=dispatch/{REGION}&type=JobCreated&after=1"), vec![2, 3], 5),
        ("limit=2".to_owned(), vec![1, 2], 2),
        (format!("group=dispatch/{FOREIGN}&limit=1"), vec![4], 4),
    ] {
        let answer = scene.admin.get(&format!("/api/events?{query}")).send().await;
        assert_eq!(answer.items("sequence"), sequences, "{query}");
        assert_eq!(answer.sequence(), reached, "{query}");
    }
}

#[actix_web::test]
async fn everybody_sees_the_events_of_the_own_scope_alone() {
    let scene = Scene::start(SiteOptions::default()).await;
    let seen = [&[1, 2, 3, 4, 5][..], &[1, 2, 3, 4, 5], &[4], &[1], &[]];
    for ((name, api), sequences) in scene.callers().iter().zip(seen) {
        assert_eq!(api.get("/api/events").send().await.items("sequence"), *sequences, "{name}");
        let narrowed = api.get(&format!("/api/events?group=dispatch/{FOREIGN}")).send().await;
        let expected = sequences.iter().filter(|sequence| **sequence == 4).count();
        assert_eq!(narrowed.items("sequence").len(), expected, "{name}");
    }
}

#[actix_web::test]
async fn a_contractor_sees_who_took_a_job_away_but_not_the_job_any_more() {
    let scene = Scene::start(SiteOptions::default()).await;
    let job = &scene.admin.get("/api/jobs").send().await.body["items"][0];
    let nobody = json!({ "contractorIds": [] });
    scene.admin.post(&path(job, "/assign"), &nobody).send().await;
    scene.admin.put(&path(job, "/reschedule"), &times(7, 0)).send().await;
    let ada = scene.api("contractor", &[]);
    assert_eq!(ada.get("/api/events").send().await.items("sequence"), [1, 6]);
    assert_eq!(ada.get(&path(job, "")).send().await.status, 404);
}

#[actix_web::test]
async fn events_that_are_not_logged_yet_are_listed_all_the_same() {
    let event_log = Some(TestDatabase::absent());
    let scene = Scene::start(SiteOptions { event_log, ..SiteOptions::default() }).await;
    let progress = &scene.site.server.pipeline.progress;
    until("the log is down", async || progress.log_state() == PartState::Down).await;
    let listed = async |query| {
        let answer = scene.admin.get(&format!("/api/events?{query}")).send().await;
        (answer.status, answer.items("sequence"), answer.sequence())
    };
    let all: Vec<Value> = (1..=5).map(Value::from).collect();
    assert_eq!(listed("").await, (200, all.clone(), 5));
    assert_eq!(listed("limit=2&after=1").await, (200, all[1..3].to_vec(), 3));
    assert_eq!(listed("type=JobCancelled").await, (200, all[4..].to_vec(), 5));

    scene.site.event_log.as_ref().expect("a log of its own").create();
    until("all is logged", async || progress.logged() == 5).await;
    assert_eq!(listed("").await, (200, all, 5));
}
