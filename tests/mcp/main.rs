//! `berth mcp`: the shim between an agent's host and a broker, over both transports.

#[path = "../support/mod.rs"]
mod support;

mod hosts;
mod http;
mod raw;
mod sdk;
mod tools;
mod walk;
