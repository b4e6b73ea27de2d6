//! `PageService`: a browser driven by gRPC alone.

#[path = "../support/mod.rs"]
mod support;

mod beside;
mod client;
mod events;
mod failures;
mod walk;
