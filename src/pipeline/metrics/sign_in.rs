//! Numbers about sign-in, which are counted in a layer that this one does not know.

use std::time::Duration;

use prometheus::proto::MetricFamily;

use super::{counters, gauge};
use crate::pipeline::PartState;

/// What there is to be told of sign-in.
#[derive(Debug, Clone)]
pub struct SignInReport {
    /// Tokens that did not let their bearers in, by a name for why that is one of few.
    pub refused: Vec<(&'static str, u64)>,
    /// How it stands with an issuer's keys; up where none are configured.
    pub keys_state: PartState,
    /// How many there are.
    pub keys: usize,
    /// Since their source last confirmed them.
    pub keys_age: Duration,
    /// How often it was read, with keys and without.
    pub key_reads: [u64; 2],
}

impl SignInReport {
    pub(super) fn families(&self) -> [MetricFamily; 4] {
        let [good, failed] = self.key_reads;
        [
            counters(
                "signalbox_tokens_refused_total",
                "Tokens that did not let their bearers in, by reason.",
                self.refused.iter().map(|(reason, count)| ([("reason", *reason)], *count as f64)),
            ),
            gauge(
                "signalbox_sign_in_keys",
                "An issuer's public keys that tokens are checked with.",
                self.keys as f64,
            ),
            gauge(
                "signalbox_sign_in_keys_age_seconds",
                "How long ago their source confirmed them.",
                self.keys_age.as_secs_f64(),
            ),
            counters(
                "signalbox_sign_in_key_reads_total",
                "How often their source was read, by result.",
                [([("result", "ok")], good as f64), ([("result", "failed")], failed as f64)],
            ),
        ]
    }
}
