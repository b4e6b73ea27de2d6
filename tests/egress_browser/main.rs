//! Where browsers may go, and that there is no way around it.

#[path = "../support/mod.rs"]
mod support;

mod around;
mod ground;
mod leases;
mod operators;
mod spellings;
mod through;
