//! What there is of a hub, and what it has done: for tests of what is left behind, and for
//! whoever watches it.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::handle::{HubHandle, ShardSender};
use crate::signalr::connection::{Bound, TransportKind};
use crate::signalr::protocol::ProtocolKind;

/// What there is of a hub, over all worker threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct HubCounts {
    /// Connections that the hub knows, from their transport's start to their end.
    pub connections: usize,
    /// Connections below the hub protocol, until nothing of them is left.
    pub transports: usize,
    /// Groups with members, counted by worker thread.
    pub groups: usize,
    /// Users with connections, counted by worker thread.
    pub users: usize,
    /// Sessions, streams, polls, and whatever else runs for a connection.
    pub tasks: usize,
}

/// What a hub has done since its start, over all worker threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubTotals {
    /// Publications that were handed to connections, one for each of them. What an
    /// application sends by itself to its caller is not among them.
    pub deliveries: u64,
    /// Connections that were cut because their client did not read.
    pub slow_connections_cut: u64,
    /// Connections that began, by transport.
    pub opened: Vec<(TransportKind, u64)>,
    /// Connections that ended, by the name of the reason; see [`CloseReason::name`](super::CloseReason::name).
    pub closed: Vec<(&'static str, u64)>,
    /// How often a worker thread's queue of publications was full, and its connections
    /// were closed to come back.
    pub queue_overflows: u64,
    /// What was refused.
    pub refused: HubRefusals,
}

/// How often each bound of a hub was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubRefusals {
    /// Connections, because there were too many.
    pub connections: u64,
    /// Connections, because their user had too many.
    pub user_connections: u64,
    /// Calls, because their connection made too many in too short a time.
    pub invocations: u64,
    /// Joins, because their connection was in too many groups.
    pub groups: u64,
}

/// Connections of one kind, over all worker threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionKind {
    /// How their bytes move.
    pub transport: TransportKind,
    /// What they speak; none before their handshake.
    pub protocol: Option<ProtocolKind>,
    /// How many there are.
    pub connections: usize,
}

/// A queue, of several of a kind the fullest one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueState {
    /// What waits in it.
    pub waiting: usize,
    /// How many may.
    pub waiting_max: usize,
}

/// What a worker thread's connections are, written by it alone.
#[derive(Debug, Default)]
pub(super) struct ShardCounts {
    pub(super) connections: AtomicUsize,
    pub(super) groups: AtomicUsize,
    pub(super) users: AtomicUsize,
    /// By transport and protocol; see [`protocol_place`].
    pub(super) kinds: [[AtomicUsize; PROTOCOLS.len()]; TransportKind::ALL.len()],
    /// Written by the worker thread alone, once per publication.
    pub(super) deliveries: AtomicU64,
}

/// What a connection may speak, each at its place.
const PROTOCOLS: [Option<ProtocolKind>; 3] =
    [None, Some(ProtocolKind::Json), Some(ProtocolKind::MessagePack)];

fn protocol_place(protocol: Option<ProtocolKind>) -> usize {
    match protocol {
        None => 0,
        Some(ProtocolKind::Json) => 1,
        Some(ProtocolKind::MessagePack) => 2,
    }
}

impl ShardCounts {
    /// Connections of a kind. Written by the worker thread alone.
    pub(super) fn of_kind(
        &self,
        transport: TransportKind,
        protocol: Option<ProtocolKind>,
    ) -> &AtomicUsize {
        &self.kinds[transport as usize][protocol_place(protocol)]
    }

    pub(super) fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }
}

impl HubHandle {
    /// What there is, for finding out whether something is left behind.
    #[must_use]
    pub fn counts(&self) -> HubCounts {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        let sum = |count: fn(&ShardCounts) -> &AtomicUsize| {
            shards.iter().map(|shard| count(&shard.counts).load(Ordering::Relaxed)).sum()
        };
        HubCounts {
            connections: sum(|counts| &counts.connections),
            transports: self.links().links(),
            groups: sum(|counts| &counts.groups),
            users: sum(|counts| &counts.users),
            tasks: self.links().tasks(),
        }
    }

    /// What was done, for telling how busy the hub is.
    #[must_use]
    pub fn totals(&self) -> HubTotals {
        // A shard that leaves adds to the former ones under the same lock.
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        let deliveries = shards.iter().map(|shard| shard.counts.deliveries()).sum::<u64>();
        HubTotals {
            deliveries: self.former_deliveries.load(Ordering::Relaxed) + deliveries,
            slow_connections_cut: self.links().slow_cuts(),
            refused: HubRefusals {
                connections: self.links().refused(Bound::Connections),
                user_connections: self.links().refused(Bound::UserConnections),
                invocations: self.links().refused(Bound::Invocations),
                groups: self.links().refused(Bound::Groups),
            },
            opened: self.tallies().opened_by_transport(),
            closed: self.tallies().closed_by_reason(),
            queue_overflows: self.tallies().overflows(),
        }
    }

    /// What kinds of connections there are, also those of which there are none.
    #[must_use]
    pub fn kinds(&self) -> Vec<ConnectionKind> {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        let kinds = TransportKind::ALL.into_iter();
        let kinds = kinds.flat_map(|transport| PROTOCOLS.map(|protocol| (transport, protocol)));
        kinds
            .map(|(transport, protocol)| {
                let count = |shard: &ShardSender| {
                    shard.counts.of_kind(transport, protocol).load(Ordering::Relaxed)
                };
                let connections = shards.iter().map(count).sum();
                ConnectionKind { transport, protocol, connections }
            })
            .collect()
    }

    /// The queue of publications of the worker thread that is furthest behind.
    #[must_use]
    pub fn publication_queue(&self) -> QueueState {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        let waiting = |shard: &ShardSender| shard.queue.max_capacity() - shard.queue.capacity();
        let waiting = shards.iter().map(waiting).max().unwrap_or(0);
        QueueState { waiting, waiting_max: self.publications_max }
    }
}
