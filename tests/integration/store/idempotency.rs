use super::site::{Site, create, hours, keyed, noon, outcomes, reschedule};
use signalbox::store::IDEMPOTENCY_KEY_LIFETIME_MILLIS;

#[test]
fn a_repeated_command_gets_the_stored_answer_and_makes_no_event() {
    let site = Site::new();
    let id = site.job(hours(9, 10), &[]);
    let first = site.accept(keyed(reschedule(id, hours(10, 11)), "key", 1));
    // Meanwhile the job moves on; the answer is still the one of then.
    site.accept(reschedule(id, hours(11, 12)));
    let again = site.commit(&[keyed(reschedule(id, hours(10, 11)), "key", 1)]);
    assert_eq!(again.answers, [Ok(first)]);
    assert!(again.events.is_empty());
    assert_eq!(site.read(id).window, hours(11, 12));
}

#[test]
fn a_command_repeated_within_its_batch_is_done_once() {
    let site = Site::new();
    let command = keyed(create("north", hours(9, 10), &[]), "key", 1);
    let committed = site.commit(&[command.clone(), command]);
    assert_eq!(committed.events.len(), 1);
    assert_eq!(committed.answers[0], committed.answers[1]);
}

#[test]
fn a_key_is_known_after_the_store_was_closed() {
    let site = Site::new();
    let command = keyed(create("north", hours(9, 10), &[]), "key", 1);
    let batch = std::slice::from_ref(&command);
    let first = site.commit(batch);
    let again = site.reopened().commit(batch);
    assert_eq!(again.answers, first.answers);
    assert!(again.events.is_empty());
}

#[test]
fn a_key_for_another_request_is_refused() {
    let site = Site::new();
    site.accept(keyed(create("north", hours(9, 10), &[]), "key", 1));
    let other = keyed(create("north", hours(10, 11), &[]), "key", 2);
    assert_eq!(site.refuse(other), "idempotency_key_reused");
}

#[test]
fn a_key_belongs_to_its_subject() {
    let site = Site::new();
    site.accept(keyed(create("north", hours(9, 10), &[]), "key", 1));
    let mut other = keyed(create("north", hours(10, 11), &[]), "key", 2);
    let mut caller = (*other.caller).clone();
    caller.actor.id = "admin-2".into();
    other.caller = caller.into();
    assert_eq!(outcomes(&site.commit(&[other]).answers), ["ok"]);
}

#[test]
fn a_key_that_outlived_its_time_can_be_used_again() {
    let site = Site::new();
    site.accept(keyed(create("north", hours(9, 10), &[]), "key", 1));
    let other = [keyed(create("north", hours(10, 11), &[]), "key", 2)];
    for (age, code) in [
        (IDEMPOTENCY_KEY_LIFETIME_MILLIS, "idempotency_key_reused"),
        (IDEMPOTENCY_KEY_LIFETIME_MILLIS + 1, "ok"),
    ] {
        let later = noon().saturating_add_millis(age);
        let committed = site.store.jobs.commit(&other, later).expect("the store works");
        assert_eq!(outcomes(&committed.answers), [code]);
    }
}

#[test]
fn old_keys_are_forgotten() {
    let site = Site::new();
    site.accept(keyed(create("north", hours(9, 10), &[]), "key", 1));
    let purge = |time| site.store.jobs.purge_idempotency_keys(time).expect("the store works");
    assert_eq!(purge(noon()), 0);
    assert_eq!(purge(noon().saturating_add_millis(1)), 1);
    site.accept(keyed(create("north", hours(10, 11), &[]), "key", 2));
}
