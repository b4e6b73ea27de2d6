//! Samples of the broker: from the kernel, its own status, and its metrics.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::PathBuf,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use procfs::process::{Process, Stat, all_processes};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tonic::Request;

use super::{
    broker::directories,
    sample::{Gauge, Sample},
    stats::{float, whole},
};
use crate::{
    client::Connection,
    proto::{GetStatusRequest, Status, admin_service_client::AdminServiceClient},
};

/// Longest that the broker may take to tell how it is.
const ANSWER: Duration = Duration::from_secs(5);

/// Reads the figures of one broker.
#[derive(Debug)]
pub(super) struct Probe {
    admin: AdminServiceClient<Connection>,
    /// Host and port of its metrics, when known.
    ops: Option<String>,
    /// Its process and run directory, when it is our child.
    child: Option<(i32, PathBuf)>,
    /// Processor time at the last sample, in seconds, and when that was.
    cpu: Option<(Instant, f64)>,
    /// Dead children, by number and start, and when each was first seen.
    zombies: HashMap<(i32, u64), Instant>,
    /// The longest that one has been seen since the last sample, in seconds.
    oldest: f64,
}

impl Probe {
    pub(super) fn new(
        channel: Connection,
        ops: Option<String>,
        child: Option<(i32, PathBuf)>,
    ) -> Self {
        Self {
            admin: AdminServiceClient::new(channel),
            ops,
            child,
            cpu: None,
            zombies: HashMap::new(),
            oldest: 0.0,
        }
    }

    /// What the broker says of itself.
    pub(super) async fn status(&mut self) -> Result<Status, String> {
        let mut request = Request::new(GetStatusRequest {});
        request.set_timeout(ANSWER);
        match self.admin.get_status(request).await {
            Ok(answer) => Ok(answer.into_inner().status.unwrap_or_default()),
            Err(status) => Err(status.to_string()),
        }
    }

    /// Looks for dead children that are not reaped, to know how long each stays. Call it each
    /// second.
    pub(super) fn watch(&mut self) {
        let Some((pid, _)) = self.child else { return };
        let dead: HashSet<_> = stats()
            .filter(|(_, stat)| stat.ppid == pid && stat.state == 'Z')
            .map(|(_, stat)| (stat.pid, stat.starttime))
            .collect();
        self.zombies.retain(|zombie, _| dead.contains(zombie));
        for zombie in dead {
            let since = self.zombies.entry(zombie).or_insert_with(Instant::now);
            self.oldest = self.oldest.max(since.elapsed().as_secs_f64());
        }
    }

    /// Fills in every figure that can be had, and returns what did not answer.
    pub(super) async fn read(&mut self, sample: &mut Sample) -> Vec<String> {
        let mut silent = Vec::new();
        match self.status().await {
            Ok(status) => said(sample, &status),
            Err(error) => silent.push(format!("GetStatus: {error}")),
        }
        let mut cpu = None;
        if let Some(ops) = &self.ops {
            match timeout(ANSWER, get(ops, "/metrics")).await {
                Ok(Ok(text)) => {
                    sample.set(Gauge::CacheBytes, metric(&text, "berth_cache_bytes"));
                    sample.set(Gauge::FdsSaid, metric(&text, "process_open_fds"));
                    cpu = metric(&text, "process_cpu_seconds_total");
                }
                Ok(Err(error)) => silent.push(format!("/metrics: {error}")),
                Err(_late) => silent.push(format!("/metrics: no answer within {ANSWER:?}")),
            }
        }
        self.watch();
        if let Some((pid, run_dir)) = &self.child {
            cpu = seen(sample, *pid).or(cpu);
            let instances = std::fs::read_dir(run_dir).into_iter().flatten().flatten();
            let browsers = instances.map(|instance| directories(&instance.path()));
            sample.set(Gauge::Directories, Some(float(browsers.sum())));
            sample.set(Gauge::Zombies, Some(float(self.zombies.len())));
            let oldest = std::mem::take(&mut self.oldest);
            sample.set(Gauge::ZombieAge, Some(oldest));
        }
        let now = Instant::now();
        if let (Some((before, used)), Some(cpu)) = (self.cpu, cpu) {
            let wall = (now - before).as_secs_f64();
            sample.set(Gauge::Cpu, Some(100.0 * (cpu - used).max(0.0) / wall));
        }
        self.cpu = cpu.map(|cpu| (now, cpu));
        silent
    }
}

/// Every process that can be read.
fn stats() -> impl Iterator<Item = (Process, Stat)> {
    let all = all_processes().into_iter().flatten().flatten();
    all.filter_map(|process| process.stat().ok().map(|stat| (process, stat)))
}

/// What the kernel shows of the broker and of what lives below it. Returns the broker's processor
/// time in seconds.
fn seen(sample: &mut Sample, pid: i32) -> Option<f64> {
    let all: Vec<_> = stats().collect();
    let mut below = HashSet::from([pid]);
    // Parents may come after their children in the list.
    loop {
        let known = below.len();
        let more = all.iter().filter(|(_, stat)| below.contains(&stat.ppid));
        let more: Vec<_> = more.map(|(_, stat)| stat.pid).collect();
        below.extend(more);
        if below.len() == known {
            break;
        }
    }
    below.remove(&pid);
    let living = all.iter().filter(|(_, stat)| stat.state != 'Z');
    let tree: Vec<_> = living
        .filter(|(_, stat)| below.contains(&stat.pid))
        .collect();
    let memory: u64 = tree.iter().map(|(process, _)| proportional(process)).sum();
    sample.set(Gauge::Processes, Some(float(tree.len())));
    sample.set(Gauge::Pss, Some(whole(memory)));
    let (broker, stat) = all.iter().find(|(_, stat)| stat.pid == pid)?;
    let fds = broker.fd_count().ok();
    sample.set(Gauge::Fds, fds.map(float));
    sample.set(Gauge::Rss, Some(whole(stat.rss * procfs::page_size())));
    Some(whole(stat.utime + stat.stime) / whole(procfs::ticks_per_second()))
}

/// The proportional set size in bytes; 0 of a process that has just ended.
fn proportional(process: &Process) -> u64 {
    let rollup = process.smaps_rollup().ok();
    let map = rollup.and_then(|rollup| rollup.memory_map_rollup.0.into_iter().next());
    map.and_then(|map| map.extension.map.get("Pss").copied())
        .unwrap_or_default()
}

/// What the broker says of itself; what the kernel shows comes after it and wins.
fn said(sample: &mut Sample, status: &Status) {
    let browsers = &status.browsers;
    let sum =
        |of: fn(&crate::proto::BrowserStatus) -> u64| Some(whole(browsers.iter().map(of).sum()));
    sample.set(Gauge::Browsers, Some(float(browsers.len())));
    sample.set(Gauge::Contexts, sum(|one| one.contexts.into()));
    sample.set(Gauge::Pss, sum(|one| one.memory_bytes));
    sample.set(Gauge::Processes, sum(|one| one.processes.into()));
    sample.set(Gauge::Leases, Some(float(status.leases.len())));
    sample.set(Gauge::Waiting, Some(status.waiting.into()));
    sample.set(Gauge::Fds, Some(status.open_fds.into()));
    sample.set(Gauge::Rss, Some(whole(status.resident_bytes)));
    sample.set(Gauge::Zombies, Some(status.zombies.into()));
    let fetches = status.fetches.unwrap_or_default();
    let connections = fetches.connections_active + fetches.connections_idle;
    sample.set(Gauge::HttpActive, Some(fetches.active.into()));
    sample.set(Gauge::HttpConnections, Some(connections.into()));
}

/// The value of a metric without labels, in the text format of Prometheus.
fn metric(text: &str, name: &str) -> Option<f64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
    lines.find_map(|rest| rest.strip_prefix(' ')?.trim().parse().ok())
}

/// Gets a page over HTTP.
async fn get(host: &str, path: &str) -> io::Result<String> {
    let stream = TcpStream::connect(host).await?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    let request = http::Request::get(path).header("host", host);
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let asking = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let status = answer.status();
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(io::Error::other)?;
        if !status.is_success() {
            return Err(io::Error::other(status.to_string()));
        }
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    };
    let mut asking = std::pin::pin!(asking);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        answer = &mut asking => answer,
        // It may end with its answer already here.
        _ended = &mut connection => asking.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_by_their_whole_name() {
        let text = "# HELP process_open_fds Open.\nprocess_open_fds 41\n\
                    berth_cache_bytes_more 7\nberth_cache_bytes 1.5e3\nberth_browsers{state=\"idle\"} 2\n";
        assert_eq!(metric(text, "process_open_fds"), Some(41.0));
        assert_eq!(metric(text, "berth_cache_bytes"), Some(1500.0));
        assert_eq!(metric(text, "berth_browsers"), None);
    }

    #[test]
    fn the_kernel_tells_of_this_very_process() {
        let mut sample = Sample::default();
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(seen(&mut sample, me).is_some());
        assert!(sample.gauge(Gauge::Fds).unwrap() > 2.0);
        assert!(sample.gauge(Gauge::Rss).unwrap() > 1e6);
    }
}
