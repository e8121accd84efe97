//! What a bench works on: contractors, jobs, and the tokens to change them with.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use crate::Failure;
use crate::client::{self, Connection};

/// The secret of the servers that a bench starts; nothing else trusts it.
pub const JWT_SECRET: &str = "bench-secret-of-more-than-32-bytes-in-length";

/// Longer than any run, as a server ends connections whose token has expired.
const TOKEN_LIFETIME: Duration = Duration::from_secs(2 * 60 * 60);

/// The windows that each job is moved between. They do not touch the hour of any other
/// job of its contractor, since each job has a contractor of its own.
pub const WINDOWS: [[&str; 2]; 2] = [
    ["2030-05-06T09:00:00.000Z", "2030-05-06T10:00:00.000Z"],
    ["2030-05-06T11:30:00.000Z", "2030-05-06T12:30:00.000Z"],
];

/// A token with this role, for this region.
pub fn token(role: &str, region: &str) -> Result<String, Failure> {
    sign(&json!({
        "sub": format!("{role}-{region}"),
        "name": "Robin Field",
        "roles": [role],
        "regions": [region],
        "exp": expiry()?,
    }))
}

/// A token of a dispatcher of this region who is this contractor as well.
pub fn working_dispatcher_token(region: &str, contractor_id: &str) -> Result<String, Failure> {
    sign(&json!({
        "sub": contractor_id,
        "name": "Robin Field",
        "roles": ["dispatcher", "contractor"],
        "regions": [region],
        "contractorId": contractor_id,
        "exp": expiry()?,
    }))
}

fn expiry() -> Result<u64, Failure> {
    Ok((SystemTime::now().duration_since(UNIX_EPOCH)? + TOKEN_LIFETIME).as_secs())
}

fn sign(claims: &Value) -> Result<String, Failure> {
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    Ok(jsonwebtoken::encode(&Header::default(), claims, &key)?)
}

/// Makes jobs in a region, in the first of the [`WINDOWS`], each with one contractor
/// of its own; answers their ids.
pub fn make_jobs(address: SocketAddr, region: &str, count: usize) -> Result<Vec<String>, Failure> {
    let token = token("admin", "*")?;
    let mut connection = Connection::open(address)?;
    let mut create = |path: &str, body: &Value| -> Result<String, Failure> {
        let answer = connection.exchange(&client::request("POST", path, &token, body))?;
        if answer.status != 201 {
            return Err(format!("POST {path}: {} {}", answer.status, answer.body).into());
        }
        let created: Value = serde_json::from_str(&answer.body)?;
        Ok(created["id"].as_str().ok_or("what was created has no id")?.to_owned())
    };
    let [start, end] = WINDOWS[0];
    let mut jobs = Vec::with_capacity(count);
    for number in 0..count {
        let contractor = json!({
            "name": format!("Contractor {number} of {region}"),
            "region": region,
            "timezone": "Europe/Berlin",
        });
        let contractor_id = create("/api/contractors", &contractor)?;
        let job = json!({
            "title": format!("Replace the boiler's pressure valve, unit {number}"),
            "customer": "Harbour View Housing",
            "address": "12 Quay Street, second floor",
            "region": region,
            "timezone": "Europe/Berlin",
            "startUtc": start,
            "endUtc": end,
            "contractorIds": [contractor_id],
        });
        jobs.push(create("/api/jobs", &job)?);
    }
    Ok(jobs)
}
