//! What users of comparable systems suffer from, one named test each; `docs/complaints.md` has the
//! list.

mod leases;
mod network;
mod pages;
mod processes;
#[path = "../support/mod.rs"]
mod support;

use berth::proto::{
    AcquireRequest, BrowserState, BrowserStatus, ContentVerdict as Verdict, DrainRequest,
    EndReason, FetchRequest, FetchStrategy, GetRequest, HoldRequest, LeaseState, OnDisconnect,
    hold_request::Request as Ask, hold_response::Event, lease_service_client::LeaseServiceClient,
};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use procfs::process::all_processes;
use serde_json::json;
use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use support::{
    BOUND, Broker, Cdp, Ground, Service, acquire, berth, left, proto, proxy, reason, retry, secs,
    until,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};
use tonic_types::StatusExt;

/// The processes of a browser of one type, such as `renderer`.
fn of_type(group: i32, kind: &str) -> Vec<i32> {
    let wanted = format!("--type={kind}");
    let processes = all_processes().unwrap().flatten();
    processes
        .filter(|process| process.stat().is_ok_and(|stat| stat.pgrp == group))
        .filter(|process| {
            process
                .cmdline()
                .is_ok_and(|line| line.join(" ").contains(&wanted))
        })
        .map(|process| process.pid)
        .collect()
}
