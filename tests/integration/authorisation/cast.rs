//! Everybody who may call, and what their token grants by the rules: written down here
//! once more, apart from the code that is under test.

use std::time::Duration;

use signalbox::auth::{Claims, issue};
use signalbox::jobs::ContractorId;

use super::scene::{Scene, TestContractor, TestJob};
use crate::support::site::{SECRET, lasting_token, token_of};

pub const NORTH: &str = "north";
pub const SOUTH: &str = "south";
/// A region that nobody plans and nothing is in.
pub const NOWHERE: &str = "nowhere";

/// A caller.
pub struct Member {
    pub name: &'static str,
    /// The subject of the token.
    pub user: String,
    pub token: Option<String>,
    /// None is let in nowhere.
    pub grants: Option<Grants>,
}

/// What a token allows.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    pub is_admin: bool,
    pub all_regions: bool,
    pub regions: &'static [&'static str],
    pub contractor: Option<ContractorId>,
}

impl Grants {
    pub fn plans(&self, region: &str) -> bool {
        self.is_admin || self.all_regions || self.regions.contains(&region)
    }

    pub fn sees_job(&self, job: &TestJob) -> bool {
        self.plans(job.region) || self.contractor.is_some() && self.contractor == job.contractor
    }

    pub fn sees_contractor(&self, contractor: &TestContractor) -> bool {
        self.plans(contractor.region) || self.contractor == Some(contractor.id)
    }
}

impl Scene {
    /// The whole cast.
    pub fn cast(&self) -> Vec<Member> {
        let strangers = self.strangers();
        strangers.into_iter().chain(self.members()).collect()
    }

    /// Those who are let in nowhere.
    pub fn strangers(&self) -> Vec<Member> {
        let admin = Claims {
            sub: "admin-1".to_owned(),
            exp: 4_102_444_800,
            name: None,
            roles: vec!["admin".to_owned()],
            regions: vec!["*".to_owned()],
            contractor_id: None,
            iss: None,
            aud: None,
        };
        let other_secret = issue(&SECRET.replace("tests", "others"), &admin);
        let no_subject = Claims { sub: String::new(), ..admin.clone() };
        let own = issue(SECRET, &admin).expect("a good secret");
        let tokens = [
            ("nobody", None),
            ("no token at all", Some("nonsense".to_owned())),
            ("an expired token", Some(lasting_token(Duration::ZERO, "admin", &["*"], None))),
            ("another server's token", Some(other_secret.expect("a good secret"))),
            ("a token without a subject", Some(issue(SECRET, &no_subject).expect("signed"))),
            ("a token that was cut", Some(own[..own.len() - 1].to_owned())),
        ];
        let stranger =
            |(name, token)| Member { name, user: "admin-1".to_owned(), token, grants: None };
        tokens.into_iter().map(stranger).collect()
    }

    /// Those who are somebody.
    pub fn members(&self) -> Vec<Member> {
        let (ada, ben) = (Some(self.ada.id), Some(self.ben.id));
        let none = Grants::default;
        let of = |regions| Grants { regions, ..none() };
        let (dispatcher, contractor) = (&["dispatcher"][..], &["contractor"][..]);
        let all = Grants { all_regions: true, ..none() };
        let admin = Grants { is_admin: true, ..none() };
        let is_ada = Grants { contractor: ada, ..none() };
        let is_ben = Grants { contractor: ben, ..none() };
        let two_roles = &["dispatcher", "contractor"][..];
        #[rustfmt::skip]
        let rows = [
            // Who, the claims roles, regions and contractorId, and what they grant.
            ("an admin", &["admin"][..], &[][..], None, admin.clone()),
            ("the region's dispatcher", dispatcher, &[NORTH][..], None, of(&[NORTH])),
            ("another region's dispatcher", dispatcher, &[SOUTH], None, of(&[SOUTH])),
            ("both regions' dispatcher", dispatcher, &[NORTH, SOUTH], None, of(&[NORTH, SOUTH])),
            ("every region's dispatcher", dispatcher, &["*"], None, all),
            ("no region's dispatcher", dispatcher, &[], None, none()),
            ("an empty region's dispatcher", dispatcher, &[NOWHERE], None, of(&[NOWHERE])),
            ("a region's dispatcher in capitals", dispatcher, &["NORTH"], None, none()),
            ("the contractor", contractor, &[], ada, is_ada.clone()),
            ("another contractor", contractor, &[], ben, is_ben),
            ("a contractor who is none", contractor, &[], None, none()),
            ("a contractor with regions", contractor, &["*"], ada, is_ada.clone()),
            ("a dispatcher with a contractor's id", dispatcher, &[SOUTH], ada, of(&[SOUTH])),
            ("a dispatcher who is the contractor", two_roles, &[SOUTH], ada,
                Grants { regions: &[SOUTH], ..is_ada.clone() }),
            ("an admin who is a contractor", &["contractor", "admin"], &[], ada,
                Grants { is_admin: true, ..is_ada }),
            ("a role that is unknown", &["owner"], &["*"], ada, none()),
            ("a role in capitals", &["Admin", "DISPATCHER"], &["*"], ada, none()),
            ("no role", &[], &["*"], ada, none()),
        ];
        let member = |(number, row)| {
            let (name, roles, regions, contractor, grants) = row;
            let user = format!("user-{number}");
            let token = Some(token_of(&user, roles, regions, contractor));
            Member { name, user, token, grants: Some(grants) }
        };
        rows.into_iter().enumerate().map(member).collect()
    }
}
