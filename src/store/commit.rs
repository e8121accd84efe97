//! One batch, from what it touches to what it leaves behind. The same on every
//! database: a backend opens the transaction and answers these few questions.

use crate::jobs::{
    Board, BusyWindow, CommandRequest, CommittedEvent, Contractor, ContractorId, Decision,
    EventRef, Job, JobChange, JobId, Needs, Receipt, Refusal, Sequence, StoredReceipt, Subject,
    Timestamp, Window,
};

use super::StoreError;

/// What became of a batch.
#[derive(Debug)]
pub struct Committed {
    /// An answer per command, in their order.
    pub answers: Vec<Result<Receipt, Refusal>>,
    /// Per command, whether it was accepted here rather than repeated from an earlier one.
    pub is_new: Vec<bool>,
    /// The events that were made, in sequence order, without a gap.
    pub events: Vec<CommittedEvent>,
}

/// An idempotency key to be kept, with the answer that it stands for.
#[derive(Debug)]
pub struct StoredAnswer<'a> {
    /// The subject that used the key.
    pub subject: &'a str,
    /// The key.
    pub key: &'a str,
    /// The digest of the request.
    pub digest: [u8; 32],
    /// The answer.
    pub receipt: &'a Receipt,
}

/// An open transaction that can write: a few statements per question, however many
/// commands the batch has.
pub trait CommitTransaction {
    /// Those jobs that exist.
    fn load_jobs(&mut self, ids: &[JobId]) -> Result<Vec<Job>, StoreError>;
    /// Those contractors that exist.
    fn load_contractors(&mut self, ids: &[ContractorId]) -> Result<Vec<Contractor>, StoreError>;
    /// The answers kept under these (subject, key) pairs since `not_before`.
    fn load_receipts(
        &mut self,
        keys: &[(String, String)],
        not_before: Timestamp,
    ) -> Result<Vec<StoredReceipt>, StoreError>;
    /// The live jobs that overlap any of these windows of these contractors.
    fn load_busy(
        &mut self,
        queries: &[(ContractorId, Window)],
    ) -> Result<Vec<BusyWindow>, StoreError>;
    /// Writes jobs and their assignments. A job that no longer has its loaded
    /// version fails the transaction.
    fn write_jobs(&mut self, changes: &[JobChange<'_>]) -> Result<(), StoreError>;
    /// Writes new contractors.
    fn write_contractors(&mut self, contractors: &[&Contractor]) -> Result<(), StoreError>;
    /// Takes `count` sequences, one or more, and answers the first of them. Asked
    /// last of all that may wait for another node, so that numbers follow commit order.
    fn take_sequences(&mut self, count: u64) -> Result<Sequence, StoreError>;
    /// Writes the events to the outbox.
    fn write_outbox(&mut self, events: &[CommittedEvent]) -> Result<(), StoreError>;
    /// Keeps answers; an outlived one under the same key is replaced.
    fn write_receipts(
        &mut self,
        answers: &[StoredAnswer<'_>],
        now: Timestamp,
    ) -> Result<(), StoreError>;
}

/// Loads, decides and writes one batch within an open transaction.
pub fn commit_batch(
    transaction: &mut dyn CommitTransaction,
    requests: &[CommandRequest],
    now: Timestamp,
) -> Result<Committed, StoreError> {
    let mut board = load(transaction, requests, now)?;
    let decisions: Vec<_> = requests.iter().map(|request| board.decide(request, now)).collect();
    write_subjects(transaction, &board)?;
    let committed = number(transaction, requests, decisions)?;
    if !committed.events.is_empty() {
        transaction.write_outbox(&committed.events)?;
    }
    keep_answers(transaction, requests, &committed, now)?;
    Ok(committed)
}

fn load(
    transaction: &mut dyn CommitTransaction,
    requests: &[CommandRequest],
    now: Timestamp,
) -> Result<Board, StoreError> {
    let needs = Needs::of(requests);
    let ids: Vec<_> = needs.jobs.into_iter().collect();
    let jobs = if ids.is_empty() { Vec::new() } else { transaction.load_jobs(&ids)? };
    let ids: Vec<_> = needs.contractors.into_iter().collect();
    let contractors =
        if ids.is_empty() { Vec::new() } else { transaction.load_contractors(&ids)? };
    let keys: Vec<_> = needs.keys.into_iter().collect();
    let not_before = now.saturating_add_millis(-super::IDEMPOTENCY_KEY_LIFETIME_MILLIS);
    let receipts =
        if keys.is_empty() { Vec::new() } else { transaction.load_receipts(&keys, not_before)? };
    let mut board = Board::new(jobs, contractors, receipts);
    let queries = board.busy_queries(requests);
    if !queries.is_empty() {
        board.set_busy(transaction.load_busy(&queries)?);
    }
    Ok(board)
}

fn write_subjects(
    transaction: &mut dyn CommitTransaction,
    board: &Board,
) -> Result<(), StoreError> {
    let contractors: Vec<_> = board.contractor_changes().collect();
    if !contractors.is_empty() {
        transaction.write_contractors(&contractors)?;
    }
    let changes: Vec<_> = board.job_changes().collect();
    if !changes.is_empty() {
        transaction.write_jobs(&changes)?;
    }
    Ok(())
}

/// Gives the events their sequences, and turns decisions into answers.
fn number(
    transaction: &mut dyn CommitTransaction,
    requests: &[CommandRequest],
    decisions: Vec<Result<Decision, Refusal>>,
) -> Result<Committed, StoreError> {
    let changed =
        |decision: &&Result<Decision, Refusal>| matches!(decision, Ok(Decision::Changed { .. }));
    let count = decisions.iter().filter(changed).count() as u64;
    let mut next = if count == 0 { 0 } else { transaction.take_sequences(count)? };
    let is_new = decisions.iter().map(is_new_answer).collect();
    let mut events = Vec::new();
    let mut answers: Vec<Result<Receipt, Refusal>> = Vec::with_capacity(decisions.len());
    for (request, decision) in requests.iter().zip(decisions) {
        let answer = match decision {
            Err(refusal) => Err(refusal),
            Ok(Decision::Changed { job, event, created }) => {
                let made = EventRef { event_id: event.event_id, sequence: next };
                events.push(CommittedEvent { trace: request.trace, ..event.committed(next) });
                next += 1;
                Ok(Receipt { subject: Subject::Job(*job), created, event: Some(made) })
            }
            Ok(Decision::Unchanged(job)) => {
                Ok(Receipt { subject: Subject::Job(*job), created: false, event: None })
            }
            Ok(Decision::ContractorCreated(contractor)) => {
                Ok(Receipt { subject: Subject::Contractor(contractor), created: true, event: None })
            }
            Ok(Decision::Repeated(receipt)) => Ok(*receipt),
            Ok(Decision::RepeatedInBatch(place)) => answers[place].clone(),
        };
        answers.push(answer);
    }
    Ok(Committed { answers, is_new, events })
}

/// Whether a command was accepted here, rather than repeated from an earlier one.
fn is_new_answer(decision: &Result<Decision, Refusal>) -> bool {
    match decision {
        Ok(Decision::Changed { .. } | Decision::Unchanged(_) | Decision::ContractorCreated(_)) => {
            true
        }
        Ok(Decision::Repeated(_) | Decision::RepeatedInBatch(_)) | Err(_) => false,
    }
}

/// Keeps the answers of accepted commands under their keys. A refusal is not kept:
/// it changed nothing, and the same request may be granted later.
fn keep_answers(
    transaction: &mut dyn CommitTransaction,
    requests: &[CommandRequest],
    Committed { answers, is_new, .. }: &Committed,
    now: Timestamp,
) -> Result<(), StoreError> {
    let kept: Vec<StoredAnswer<'_>> = requests
        .iter()
        .zip(answers)
        .zip(is_new)
        .filter(|(_, is_new)| **is_new)
        .filter_map(|((request, answer), _)| {
            let idempotency = request.idempotency.as_ref()?;
            Some(StoredAnswer {
                subject: &request.caller.actor.id,
                key: &idempotency.key,
                digest: idempotency.digest,
                receipt: answer.as_ref().ok()?,
            })
        })
        .collect();
    if kept.is_empty() { Ok(()) } else { transaction.write_receipts(&kept, now) }
}
