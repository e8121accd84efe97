//! Numbers about the server, for Prometheus.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};

use super::health::keys_state;
use super::problem::Problem;
use super::request::Authenticated;
use super::{Answer, READS_MAX, State};
use crate::auth::Authenticator;
use crate::pipeline::{METRICS_MEDIA_TYPE, PartState, SignInReport};

/// The page, for admins and for whoever is on this machine.
pub(super) async fn page(
    request: HttpRequest,
    caller: Result<Authenticated, Problem>,
    state: State,
) -> Answer {
    let is_admin = match caller {
        Ok(Authenticated(caller)) => caller.is_admin,
        Err(problem) if problem.is_rate_limited() => return Err(problem),
        Err(_) => false,
    };
    if !may_read(is_admin, request.peer_addr().map(|peer| peer.ip())) {
        let detail = "metrics are for admins, and for this machine's own callers";
        return Err(Problem::forbidden(detail));
    }
    let reads = READS_MAX.saturating_sub(state.reads.available_permits());
    let page = state.metrics.text(reads, READS_MAX, &sign_in(&state.authenticator));
    Ok(HttpResponse::Ok().content_type(METRICS_MEDIA_TYPE).body(page))
}

fn sign_in(authenticator: &Authenticator) -> SignInReport {
    let keys = authenticator.keys();
    SignInReport {
        refused: authenticator.denials(),
        keys_state: keys.map_or(PartState::Up, |keys| keys_state(keys.state)),
        keys: keys.map_or(0, |keys| keys.keys),
        keys_age: keys.map_or(Duration::ZERO, |keys| keys.age),
        key_reads: keys.map_or([0, 0], |keys| [keys.reads, keys.failed_reads]),
    }
}

/// By the token, else by where the other end of the socket is: a header that names another
/// address proves nothing.
fn may_read(is_admin: bool, peer: Option<IpAddr>) -> bool {
    is_admin || peer.is_some_and(|peer| peer.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admins_read_from_anywhere_and_others_from_this_machine() {
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let peer = here.parse().ok();
            assert!(peer.is_some() && may_read(false, peer) && may_read(true, peer), "{here}");
        }
        for elsewhere in ["10.0.0.1", "192.168.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "fe80::1"]
        {
            let peer = elsewhere.parse().ok();
            assert!(
                peer.is_some() && !may_read(false, peer) && may_read(true, peer),
                "{elsewhere}"
            );
        }
        assert!(!may_read(false, None) && may_read(true, None), "a peer that is not known");
    }
}
