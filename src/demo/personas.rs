//! Who the demo can be tried as.

use uuid::Builder;

use crate::auth::{Claims, issue};
use crate::http::Persona;
use crate::jobs::{Actor, Caller, ContractorId, Regions, Role, Timestamp};

/// How long a persona's token is good for.
pub const TOKEN_HOURS: i64 = 12;

/// A region of the demo.
#[derive(Debug, Clone, Copy)]
pub(super) struct DemoRegion {
    pub(super) name: &'static str,
    pub(super) timezone: chrono_tz::Tz,
    pub(super) city: &'static str,
    pub(super) dispatcher: &'static str,
    pub(super) contractors: [&'static str; 5],
}

pub(super) const REGIONS: [DemoRegion; 3] = [
    DemoRegion {
        name: "north",
        timezone: chrono_tz::Europe::Berlin,
        city: "Hamburg",
        dispatcher: "Nora Lindqvist",
        contractors: ["Ada Brandt", "Ben Okafor", "Clara Voss", "Deniz Yilmaz", "Emil Sommer"],
    },
    DemoRegion {
        name: "west",
        timezone: chrono_tz::Europe::London,
        city: "Bristol",
        dispatcher: "Wes Hargreaves",
        contractors: ["Fiona Clarke", "Gareth Pugh", "Hana Suzuki", "Idris Bello", "Joan Pryce"],
    },
    DemoRegion {
        name: "coast",
        timezone: chrono_tz::America::New_York,
        city: "Portland",
        dispatcher: "Cora Mendez",
        contractors: ["Kai Nakamura", "Lena Ortiz", "Marcus Webb", "Nadia Haddad", "Owen Doyle"],
    },
];

/// The id of a contractor: the same at every start, so that links stay good.
pub(super) fn contractor_id(region: usize, place: usize) -> ContractorId {
    const MADE_AT_MILLIS: u64 = 1_767_225_600_000;
    let mut tail = [0_u8; 10];
    tail[8] = u8::try_from(region).unwrap_or(u8::MAX);
    tail[9] = u8::try_from(place + 1).unwrap_or(u8::MAX);
    ContractorId(Builder::from_unix_timestamp_millis(MADE_AT_MILLIS, &tail).into_uuid())
}

/// The one who makes the sample and the simulation's changes.
pub(super) fn planner() -> Caller {
    Caller {
        actor: Actor {
            id: "demo-planner".to_owned(),
            role: Role::Admin,
            name: Some("Demo planner".to_owned()),
        },
        is_admin: true,
        regions: Regions::All,
        contractor_id: None,
    }
}

/// Everybody, each with a fresh token: per region its dispatcher and two contractors, and
/// an admin.
#[must_use]
pub fn with_tokens(secret: &str) -> Vec<Persona> {
    let expires_at = Timestamp::now().saturating_add_millis(TOKEN_HOURS * 60 * 60 * 1000);
    let mut personas = Vec::new();
    for (index, region) in REGIONS.iter().enumerate() {
        let blank = Persona {
            id: format!("dispatcher-{}", region.name),
            name: region.dispatcher.to_owned(),
            role: Role::Dispatcher.as_str().to_owned(),
            regions: vec![region.name.to_owned()],
            contractor_id: None,
            timezone: region.timezone.name().to_owned(),
            token: String::new(),
            expires_at,
        };
        personas.push(signed(blank.clone(), secret));
        for (place, name) in region.contractors.iter().enumerate().take(2) {
            let first_name = name.split(' ').next().unwrap_or(name).to_lowercase();
            let contractor = Persona {
                id: format!("contractor-{first_name}"),
                name: (*name).to_owned(),
                role: Role::Contractor.as_str().to_owned(),
                contractor_id: Some(contractor_id(index, place).to_string()),
                ..blank.clone()
            };
            personas.push(signed(contractor, secret));
        }
    }
    let admin = Persona {
        id: "admin".to_owned(),
        name: "Ines Duarte".to_owned(),
        role: Role::Admin.as_str().to_owned(),
        regions: Vec::new(),
        contractor_id: None,
        timezone: chrono_tz::UTC.name().to_owned(),
        token: String::new(),
        expires_at,
    };
    personas.push(signed(admin, secret));
    personas
}

fn signed(persona: Persona, secret: &str) -> Persona {
    let claims = Claims {
        sub: persona.id.clone(),
        exp: u64::try_from(persona.expires_at.millis() / 1000).unwrap_or(0),
        name: Some(persona.name.clone()),
        roles: vec![persona.role.clone()],
        regions: persona.regions.clone(),
        contractor_id: persona.contractor_id.clone(),
        iss: None,
        aud: None,
    };
    let token = issue(secret, &claims).expect("the demo makes a secret that is long enough");
    Persona { token, ..persona }
}
