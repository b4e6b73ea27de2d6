//! What is deployed, held against the program: every setting, metric, label, port, probe and time limit
//! that the files below `deploy/` name is looked up where it is defined, or tried.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub
)]

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod cluster;
mod dashboard;
mod effective;
mod files;
mod image;
mod pid1;
mod probes;
mod promql;
mod scrape;
mod unit;
