//! Signalbox: a realtime dispatch server for field service.
//!
//! Dispatchers create, assign, reschedule and cancel jobs over HTTP; dispatchers and
//! contractors see every change live, in any SignalR client; every event stands in
//! the event log. Publishing never blocks, slows or fails a command, and no
//! acknowledged command ever loses its event.
//!
//! The modules in reading order: [`jobs`] decides; [`store`] keeps; [`signalr`]
//! speaks to clients; [`pipeline`] is the way from a command to database,
//! connections and log; [`auth`], [`http`] and [`hub`] translate; [`tls`] has the
//! certificate; [`server`] wires.
//! `ARCHITECTURE.md` has the map.

pub mod jobs;

pub mod store;

pub mod signalr;

pub mod pipeline;

pub mod auth;

pub mod hub;

pub mod http;

pub mod tls;

pub mod server;

pub mod config;

pub mod telemetry;

pub mod demo;

pub mod cli;
