//! Brings actors back.
//!
//! actix's `Supervisor` restarts an actor that stopped, but not one that panicked.
//! A kept actor holds a [`Lifeline`]; when it is dropped, by whatever way the actor
//! ended, its keeper makes a new one and swaps the address. Messages that were
//! queued behind the panic are lost, and each actor says how it does without them.

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use actix::dev::{MessageResponse, ToEnvelope};
use actix::prelude::*;
use tokio::sync::oneshot;

/// The address of an actor that comes back after a panic. Clones are the same one.
///
/// All messages go through the one stored address: actix grants every clone of an
/// address a place beyond the mailbox's bound, so cloning it per message would leave
/// no bound at all.
pub struct Kept<A: Actor> {
    address: Arc<RwLock<Addr<A>>>,
}

/// The message was not taken: the actor's mailbox is full, or it is just coming back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotTaken;

/// Tells the keeper that its actor has ended, by being dropped.
#[derive(Debug)]
pub struct Lifeline {
    _held: oneshot::Sender<()>,
}

/// A fault for tests: the actor that gets it panics. Nothing in the product sends it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Panic;

/// An actor that lived this long is restarted at once when it ends.
const STEADY_AFTER: Duration = Duration::from_secs(1);
/// The first pause before restarting one that did not.
const RESTART_PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);

impl<A> Kept<A>
where
    A: Actor<Context = Context<A>>,
{
    /// Starts the actor on a thread, and again whenever it ends, until the thread stops.
    pub fn start(
        name: &'static str,
        arbiter: &ArbiterHandle,
        make: impl Fn(Lifeline) -> A + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(make);
        let (address, mut ended) = start_one(arbiter, &make);
        let kept = Self { address: Arc::new(RwLock::new(address)) };
        let (keeper, arbiter_of_actor) = (kept.clone(), arbiter.clone());
        arbiter.spawn(async move {
            let mut pause = Duration::ZERO;
            loop {
                let started = Instant::now();
                // An error is the very thing waited for: the other half was dropped.
                let _ = ended.await;
                pause = if started.elapsed() >= STEADY_AFTER || pause.is_zero() {
                    RESTART_PAUSE
                } else {
                    (pause * 2).min(RESTART_PAUSE_MAX)
                };
                log::error!(actor = name; "an actor ended; it starts anew");
                if pause > RESTART_PAUSE {
                    tokio::time::sleep(pause).await;
                }
                let (address, next_end) = start_one(&arbiter_of_actor, &make);
                ended = next_end;
                *keeper.address.write().unwrap_or_else(std::sync::PoisonError::into_inner) =
                    address;
            }
        });
        kept
    }
}

fn start_one<A: Actor<Context = Context<A>>>(
    arbiter: &ArbiterHandle,
    make: &Arc<impl Fn(Lifeline) -> A + Send + Sync + 'static>,
) -> (Addr<A>, oneshot::Receiver<()>) {
    let (held, ended) = oneshot::channel();
    let make = Arc::clone(make);
    let address = A::start_in_arbiter(arbiter, move |_| make(Lifeline { _held: held }));
    (address, ended)
}

impl<A: Actor> Kept<A> {
    /// Puts a message into the actor's mailbox, without waiting.
    pub fn try_send<M>(&self, message: M) -> Result<(), NotTaken>
    where
        M: Message + Send + 'static,
        M::Result: MessageResponse<A, M> + Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let address = self.address.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        address.try_send(message).map_err(|_| NotTaken)
    }
}

impl<A: Actor> Clone for Kept<A> {
    fn clone(&self) -> Self {
        Self { address: Arc::clone(&self.address) }
    }
}

impl<A: Actor> std::fmt::Debug for Kept<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::any::type_name::<Self>())
    }
}
