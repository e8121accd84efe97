//! Real faults under load: whatever breaks, nothing acknowledged is lost, every event is
//! in the log once and in sequence, and every subscriber gets each of its events once.
//!
//! A test lets a [`Load`](load::Load) write and [`Subscriber`](subscriber::Subscriber)s
//! follow while something goes wrong, and then holds what they noted against the database
//! ([`Outcome`](outcome::Outcome)). Each prints what it counted; `--no-capture` shows it.
//! Random numbers come from a seed that is printed and can be given again.

mod backup;
mod clock;
mod database_trouble;
mod disk;
mod kill;
mod load;
mod log_outage;
mod network;
mod outcome;
mod proxy;
mod scene;
mod services;
mod subscriber;
