//! Many clients, slow ones and hostile ones: bounded in count and time, on loopback.

mod calls;
mod ports;
mod readers;
#[path = "../support/mod.rs"]
mod support;

use axum::{Router, routing::get};
use berth::{
    http_server,
    proto::{
        AcquireRequest, EndReason, FetchFormat, FetchManyRequest, FetchRequest, GetRequest,
        GetStatusRequest, HoldRelease, HoldRequest, HoldResponse, Lease, ListRequest,
        ReleaseRequest, WatchStatusRequest, admin_service_client::AdminServiceClient,
        fetch_service_client::FetchServiceClient, hold_request::Request as Ask,
        hold_response::Event, lease_service_client::LeaseServiceClient,
    },
};
use nix::sys::signal::Signal;
use procfs::process::Process;
use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use support::{BOUND, Broker, Cdp, Ground, Service, acquire, proto, reason, secs, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::HealthCheckRequest;
use tonic_types::StatusExt;

/// What the broker's memory may grow by under load, in bytes.
const GROWTH: u64 = 48 << 20;

/// Somebody else is served.
async fn lease_and_give_back(service: &Service) {
    let mut leases = service.leases().await;
    let lease = acquire(&mut leases, AcquireRequest::default()).await;
    let lease_id = lease.unwrap().id;
    let given_back = leases.release(ReleaseRequest { lease_id }).await;
    given_back.unwrap();
}

fn bounded<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(BOUND);
    request
}

/// The processor time that a process has taken, in seconds.
fn processor(pid: i32) -> f64 {
    let stat = Process::new(pid).unwrap().stat().unwrap();
    (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64
}
