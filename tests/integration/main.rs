//! One binary for all tests that need more than one module: a link is the slow part.

mod admin;
mod auth;
mod authorisation;
mod cli;
mod dependencies;
mod failure_domains;
mod faults;
mod fuzz;
mod http;
mod hub;
mod layers;
mod logs;
mod retention;
mod schemas;
mod store;
mod support;
mod threats;
mod tls;
