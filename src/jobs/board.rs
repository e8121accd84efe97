//! Where a command becomes a change or a refusal.
//!
//! A [`Board`] holds what a batch of commands touches, as one transaction loaded
//! it. Commands are decided against it one by one, in the order of their arrival;
//! each sees what those before it did, and a refused one leaves no trace. The
//! board then says what has to be written.
//!
//! Loading goes in two steps, since a job names the contractors whose time counts:
//! first what [`Needs::of`] lists, then the [`Board::busy_queries`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    AssignJob, Caller, CancelJob, Command, CommandRequest, Contractor, ContractorId,
    CreateContractor, CreateJob, Event, EventDetail, Idempotency, Job, JobId, JobStatus, Receipt,
    Refusal, RescheduleJob, Timestamp, Version, Window,
};

/// What must be loaded before a batch can be decided.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Jobs that are changed.
    pub jobs: BTreeSet<JobId>,
    /// Contractors that are named.
    pub contractors: BTreeSet<ContractorId>,
    /// Idempotency keys, each with the subject that used it.
    pub keys: BTreeSet<(String, String)>,
}

impl Needs {
    /// What these commands touch by name.
    #[must_use]
    pub fn of<'a>(requests: impl IntoIterator<Item = &'a CommandRequest>) -> Self {
        let mut needs = Self::default();
        for request in requests {
            if let Some(idempotency) = &request.idempotency {
                needs.keys.insert((request.caller.actor.id.clone(), idempotency.key.clone()));
            }
            match &request.command {
                Command::CreateJob(create) => needs.contractors.extend(&create.contractor_ids),
                Command::AssignJob(assign) => {
                    needs.jobs.insert(assign.job_id);
                    needs.contractors.extend(&assign.contractor_ids);
                }
                Command::RescheduleJob(reschedule) => {
                    needs.jobs.insert(reschedule.job_id);
                }
                Command::CancelJob(cancel) => {
                    needs.jobs.insert(cancel.job_id);
                }
                Command::CreateContractor(_) => {}
            }
        }
        needs
    }
}

/// A receipt as the database keeps it, younger than the keys' lifetime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReceipt {
    /// The subject that used the key.
    pub subject: String,
    /// The key.
    pub key: String,
    /// The digest of the request that used it.
    pub digest: [u8; 32],
    /// What it was answered.
    pub receipt: Receipt,
}

/// A live job that takes up a contractor's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusyWindow {
    /// Whose time.
    pub contractor_id: ContractorId,
    /// Which job.
    pub job_id: JobId,
    /// When.
    pub window: Window,
}

/// What became of a command that was not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The job changed; the event waits for its sequence.
    Changed {
        /// The job, after the change.
        job: Box<Job>,
        /// The fact to be announced.
        event: Box<Event>,
        /// Whether the command made the job.
        created: bool,
    },
    /// The job already was as asked: no event, same version.
    Unchanged(Box<Job>),
    /// A contractor was added.
    ContractorCreated(Contractor),
    /// The key was used for this request before: the same answer again.
    Repeated(Box<Receipt>),
    /// The same, by the command at this place of the same batch.
    RepeatedInBatch(usize),
}

/// A job to be written.
#[derive(Debug, Clone, Copy)]
pub struct JobChange<'a> {
    /// The version that was loaded, which the database must still have; none for a new job.
    pub loaded_version: Option<Version>,
    /// The job to be written.
    pub job: &'a Job,
    /// Whether its contractors, window or life changed, and so the time they take up.
    pub contractors_replaced: bool,
}

/// The state that one batch is decided on.
#[derive(Debug, Default)]
pub struct Board {
    jobs: BTreeMap<JobId, Slot>,
    contractors: HashMap<ContractorId, Contractor>,
    new_contractors: Vec<ContractorId>,
    busy: HashMap<ContractorId, BTreeMap<JobId, Window>>,
    receipts: HashMap<(String, String), Kept>,
    decided: usize,
}

#[derive(Debug)]
struct Slot {
    loaded: Option<Version>,
    contractors_replaced: bool,
    is_changed: bool,
    job: Job,
}

#[derive(Debug)]
enum Kept {
    Stored(Box<StoredReceipt>),
    InBatch { digest: [u8; 32], place: usize },
}

impl Board {
    /// The board on what the first step loaded. What is absent does not exist.
    #[must_use]
    pub fn new(jobs: Vec<Job>, contractors: Vec<Contractor>, receipts: Vec<StoredReceipt>) -> Self {
        let slot = |job: Job| Slot {
            loaded: Some(job.version),
            contractors_replaced: false,
            is_changed: false,
            job,
        };
        let kept = |stored: StoredReceipt| {
            ((stored.subject.clone(), stored.key.clone()), Kept::Stored(Box::new(stored)))
        };
        Self {
            jobs: jobs.into_iter().map(|job| (job.id, slot(job))).collect(),
            contractors: contractors.into_iter().map(|one| (one.id, one)).collect(),
            receipts: receipts.into_iter().map(kept).collect(),
            ..Self::default()
        }
    }

    /// The second step: which windows of which contractors the commands may come to
    /// need. Every live job that overlaps one of them must be given to
    /// [`set_busy`](Self::set_busy).
    ///
    /// A job that several commands touch may meet any of their windows with any of
    /// their contractors, so all pairs are asked for.
    #[must_use]
    pub fn busy_queries<'a>(
        &self,
        requests: impl IntoIterator<Item = &'a CommandRequest>,
    ) -> Vec<(ContractorId, Window)> {
        let mut touched: BTreeMap<JobId, (BTreeSet<ContractorId>, HashSet<Window>)> =
            BTreeMap::new();
        for request in requests {
            let (job_id, contractors, window) = match &request.command {
                Command::CreateJob(create) => {
                    (create.id, create.contractor_ids.as_slice(), Some(create.window))
                }
                Command::AssignJob(assign) => {
                    (assign.job_id, assign.contractor_ids.as_slice(), None)
                }
                Command::RescheduleJob(reschedule) => {
                    (reschedule.job_id, [].as_slice(), Some(reschedule.window))
                }
                Command::CancelJob(_) | Command::CreateContractor(_) => continue,
            };
            let entry = touched.entry(job_id).or_insert_with(|| {
                let loaded = self.jobs.get(&job_id).map(|slot| &slot.job);
                let contractors = loaded.iter().flat_map(|job| job.contractor_ids.iter().copied());
                let windows = loaded.iter().map(|job| job.window);
                (contractors.collect(), windows.collect())
            });
            entry.0.extend(contractors);
            entry.1.extend(window);
        }
        touched
            .values()
            .flat_map(|(contractors, windows)| {
                contractors.iter().flat_map(|id| windows.iter().map(|window| (*id, *window)))
            })
            .collect()
    }

    /// Takes what the second step loaded; a window given twice counts once.
    pub fn set_busy(&mut self, windows: impl IntoIterator<Item = BusyWindow>) {
        for busy in windows {
            self.busy.entry(busy.contractor_id).or_default().insert(busy.job_id, busy.window);
        }
    }

    /// Decides the next command of the batch. Pure: the same board, command and
    /// time give the same answer.
    pub fn decide(
        &mut self,
        request: &CommandRequest,
        now: Timestamp,
    ) -> Result<Decision, Refusal> {
        let place = self.decided;
        self.decided += 1;
        // A key is no way around it: its answer was for a caller who might have it then.
        self.check_allowed(request)?;
        if let Some(repeated) = self.repeated(request)? {
            return Ok(repeated);
        }
        let decision = match &request.command {
            Command::CreateJob(create) => self.create_job(request, create, now),
            Command::AssignJob(assign) => self.assign_job(request, assign, now),
            Command::RescheduleJob(reschedule) => self.reschedule_job(request, reschedule, now),
            Command::CancelJob(cancel) => self.cancel_job(request, cancel, now),
            Command::CreateContractor(create) => Ok(self.create_contractor(create, now)),
        }?;
        if let Some(Idempotency { key, digest }) = &request.idempotency {
            let kept = Kept::InBatch { digest: *digest, place };
            self.receipts.insert((request.caller.actor.id.clone(), key.clone()), kept);
        }
        Ok(decision)
    }

    /// The jobs to be written, each once, as the batch leaves them.
    pub fn job_changes(&self) -> impl Iterator<Item = JobChange<'_>> {
        self.jobs.values().filter(|slot| slot.is_changed).map(|slot| JobChange {
            loaded_version: slot.loaded,
            job: &slot.job,
            contractors_replaced: slot.contractors_replaced,
        })
    }

    /// The contractors to be written.
    pub fn contractor_changes(&self) -> impl Iterator<Item = &Contractor> {
        self.new_contractors.iter().filter_map(|id| self.contractors.get(id))
    }

    /// Whether the caller may ask for it at all, whatever state the job is in.
    fn check_allowed(&self, request: &CommandRequest) -> Result<(), Refusal> {
        let caller = &request.caller;
        match &request.command {
            Command::CreateJob(CreateJob { region, .. })
            | Command::CreateContractor(CreateContractor { region, .. }) => {
                if caller.may_dispatch(region) {
                    return Ok(());
                }
                let text = format!("{} may not plan region {region}", caller.actor.id);
                Err(Refusal::Forbidden(text))
            }
            Command::AssignJob(AssignJob { job_id, .. })
            | Command::RescheduleJob(RescheduleJob { job_id, .. })
            | Command::CancelJob(CancelJob { job_id, .. }) => {
                self.planned(caller, *job_id).map(|_| ())
            }
        }
    }

    fn repeated(&self, request: &CommandRequest) -> Result<Option<Decision>, Refusal> {
        let Some(Idempotency { key, digest }) = &request.idempotency else {
            return Ok(None);
        };
        let (known, decision) = match self
            .receipts
            .get(&(request.caller.actor.id.clone(), key.clone()))
        {
            None => return Ok(None),
            Some(Kept::Stored(stored)) => {
                (stored.digest, Decision::Repeated(Box::new(stored.receipt.clone())))
            }
            Some(Kept::InBatch { digest, place }) => (*digest, Decision::RepeatedInBatch(*place)),
        };
        if known == *digest { Ok(Some(decision)) } else { Err(Refusal::IdempotencyKeyReused) }
    }

    fn create_job(
        &mut self,
        request: &CommandRequest,
        create: &CreateJob,
        now: Timestamp,
    ) -> Result<Decision, Refusal> {
        let job = Job {
            id: create.id,
            title: create.title.clone(),
            customer: create.customer.clone(),
            address: create.address.clone(),
            region: create.region.clone(),
            timezone: create.timezone.clone(),
            window: create.window,
            status: JobStatus::Scheduled,
            contractor_ids: create.contractor_ids.clone(),
            cancellation_reason: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        self.check_contractors(&job)?;
        self.check_free(&job)?;
        let event = event(request, &job, EventDetail::created(job.window));
        let slot = Slot { loaded: None, contractors_replaced: true, is_changed: true, job };
        Ok(self.put(slot, event, true))
    }

    fn assign_job(
        &mut self,
        request: &CommandRequest,
        assign: &AssignJob,
        now: Timestamp,
    ) -> Result<Decision, Refusal> {
        let before = self.changeable(request, assign.job_id)?.clone();
        let same = before.contractor_ids.len() == assign.contractor_ids.len()
            && assign.contractor_ids.iter().all(|id| before.contractor_ids.contains(id));
        if same {
            return Ok(Decision::Unchanged(Box::new(before)));
        }
        let mut job = changed(&before, now);
        job.contractor_ids.clone_from(&assign.contractor_ids);
        self.check_contractors(&job)?;
        self.check_free(&job)?;
        let detail = EventDetail::assigned(job.window, before.contractor_ids);
        Ok(self.change(request, job, detail, true))
    }

    fn reschedule_job(
        &mut self,
        request: &CommandRequest,
        reschedule: &RescheduleJob,
        now: Timestamp,
    ) -> Result<Decision, Refusal> {
        let before = self.changeable(request, reschedule.job_id)?;
        if before.window == reschedule.window {
            return Ok(Decision::Unchanged(Box::new(before.clone())));
        }
        let previous = before.window;
        let mut job = changed(before, now);
        job.window = reschedule.window;
        self.check_free(&job)?;
        let detail = EventDetail::rescheduled(previous, job.window, reschedule.reason.clone());
        Ok(self.change(request, job, detail, false))
    }

    fn cancel_job(
        &mut self,
        request: &CommandRequest,
        cancel: &CancelJob,
        now: Timestamp,
    ) -> Result<Decision, Refusal> {
        let before = self.changeable(request, cancel.job_id)?;
        let mut job = changed(before, now);
        job.status = JobStatus::Cancelled;
        job.cancellation_reason.clone_from(&cancel.reason);
        let detail = EventDetail::cancelled(job.window, cancel.reason.clone());
        Ok(self.change(request, job, detail, false))
    }

    fn create_contractor(&mut self, create: &CreateContractor, now: Timestamp) -> Decision {
        let contractor = Contractor {
            id: create.id,
            name: create.name.clone(),
            region: create.region.clone(),
            timezone: create.timezone.clone(),
            created_at: now,
        };
        self.contractors.insert(contractor.id, contractor.clone());
        self.new_contractors.push(contractor.id);
        Decision::ContractorCreated(contractor)
    }

    /// The job, if the caller may change it.
    fn planned(&self, caller: &Caller, job_id: JobId) -> Result<&Job, Refusal> {
        let job = self
            .jobs
            .get(&job_id)
            .map(|slot| &slot.job)
            .filter(|job| caller.may_see(job))
            .ok_or_else(|| Refusal::NotFound(format!("there is no job {job_id}")))?;
        if !caller.may_dispatch(&job.region) {
            let text = format!("{} may not change jobs of region {}", caller.actor.id, job.region);
            return Err(Refusal::Forbidden(text));
        }
        Ok(job)
    }

    /// The job, if the caller may change it, expects this version of it, and it is live.
    fn changeable(&self, request: &CommandRequest, job_id: JobId) -> Result<&Job, Refusal> {
        let job = self.planned(&request.caller, job_id)?;
        if request.if_match.is_some_and(|version| version != job.version) {
            return Err(Refusal::VersionMismatch(Box::new(job.clone())));
        }
        match job.status {
            JobStatus::Scheduled | JobStatus::InProgress => Ok(job),
            JobStatus::Completed => Err(Refusal::JobCompleted(job_id)),
            JobStatus::Cancelled => Err(Refusal::JobCancelled(job_id)),
        }
    }

    /// Every contractor of the job must exist and belong to its region.
    fn check_contractors(&self, job: &Job) -> Result<(), Refusal> {
        let stranger = job.contractor_ids.iter().find(|id| {
            self.contractors.get(id).is_none_or(|contractor| contractor.region != job.region)
        });
        match stranger {
            None => Ok(()),
            Some(id) => Err(Refusal::field(
                "contractorIds",
                format!("names {id}, who is no contractor of region {}", job.region),
            )),
        }
    }

    /// No contractor of the job may be busy with another one in its window.
    fn check_free(&self, job: &Job) -> Result<(), Refusal> {
        let conflicts: BTreeSet<JobId> = job
            .contractor_ids
            .iter()
            .filter_map(|id| self.busy.get(id))
            .flatten()
            .filter(|(other, window)| **other != job.id && window.overlaps(job.window))
            .map(|(other, _)| *other)
            .collect();
        if conflicts.is_empty() {
            Ok(())
        } else {
            Err(Refusal::ScheduleConflict(conflicts.into_iter().collect()))
        }
    }

    fn change(
        &mut self,
        request: &CommandRequest,
        job: Job,
        detail: EventDetail,
        contractors_replaced: bool,
    ) -> Decision {
        let event = event(request, &job, detail);
        let before = self.jobs.get(&job.id);
        let slot = Slot {
            loaded: before.and_then(|slot| slot.loaded),
            contractors_replaced: contractors_replaced
                || before.is_some_and(|slot| slot.contractors_replaced),
            is_changed: true,
            job,
        };
        self.put(slot, event, false)
    }

    /// Makes the job as it is the one that later commands see.
    fn put(&mut self, slot: Slot, event: Event, created: bool) -> Decision {
        let job = slot.job.clone();
        if let Some(before) = self.jobs.insert(job.id, slot) {
            for id in before.job.contractor_ids {
                if let Some(busy) = self.busy.get_mut(&id) {
                    busy.remove(&job.id);
                }
            }
        }
        if job.status.is_live() {
            for id in &job.contractor_ids {
                self.busy.entry(*id).or_default().insert(job.id, job.window);
            }
        }
        Decision::Changed { job: Box::new(job), event: Box::new(event), created }
    }
}

fn changed(before: &Job, now: Timestamp) -> Job {
    Job {
        version: before.version + 1,
        // A clock that was set back does not make a job older.
        updated_at: now.max(before.updated_at),
        ..before.clone()
    }
}

fn event(request: &CommandRequest, job: &Job, detail: EventDetail) -> Event {
    Event::of(
        job,
        detail,
        request.event_id,
        request.caller.actor.clone(),
        request.correlation_id.clone(),
    )
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
