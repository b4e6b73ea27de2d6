//! One direction of a relayed connection.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::{ReadHalf, WriteHalf},
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::frame::{Control, Kind, Part, Peer, Scanner, Violation};
use crate::lease::Activity;

/// How much is read at once, in bytes.
const BUFFER: usize = 64 << 10;
/// How many pings a client may leave without an answer.
const MISSED_PINGS: u32 = 3;

/// How one direction ended.
#[derive(Debug)]
pub(super) enum End {
    /// Whoever sends is gone.
    Sender,
    /// Whoever receives is gone.
    Receiver,
    /// The sender broke the rules.
    Violation(Violation),
    /// The sender closed; everything before that has been passed on.
    Close(Control),
}

/// Control frames on their way to one side, the newest of a kind: a flood of pings costs nothing,
/// and the newest is the one to be answered (RFC 6455, section 5.5.3).
#[derive(Debug, Default)]
struct Outbox {
    ping: Mutex<Option<Control>>,
    pong: Mutex<Option<Control>>,
    waiting: AtomicBool,
    wake: Notify,
}

impl Outbox {
    fn put(&self, control: Control) {
        match control.kind() {
            Kind::Ping => *self.ping.lock() = Some(control),
            Kind::Pong => *self.pong.lock() = Some(control),
            Kind::Close => return,
        }
        self.waiting.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    fn take(&self, to: Peer, out: &mut Vec<u8>) {
        self.waiting.store(false, Ordering::Release);
        for slot in [&self.pong, &self.ping] {
            if let Some(control) = slot.lock().take() {
                control.encode(to, out);
            }
        }
    }
}

/// What the two directions tell one another.
#[derive(Debug)]
pub(super) struct Link {
    to_client: Outbox,
    to_browser: Outbox,
    epoch: Instant,
    /// When either side was last heard of, in milliseconds since `epoch`.
    heard: AtomicU64,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            to_client: Outbox::default(),
            to_browser: Outbox::default(),
            epoch: Instant::now(),
            heard: AtomicU64::new(0),
        }
    }

    const fn outbox(&self, to: Peer) -> &Outbox {
        match to {
            Peer::Client => &self.to_client,
            Peer::Browser => &self.to_browser,
        }
    }

    fn hear(&self, now: Instant) {
        let since = now.saturating_duration_since(self.epoch).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.heard.store(since, Ordering::Relaxed);
    }

    fn quiet_for(&self) -> Duration {
        let heard = Duration::from_millis(self.heard.load(Ordering::Relaxed));
        self.epoch.elapsed().saturating_sub(heard)
    }

    /// Pings the client each `interval`. Resolves once it answered none of some pings; a client
    /// busy with what the browser sends is not asked to answer in between.
    pub(super) async fn silence(&self, interval: Duration) {
        let interval = interval.max(Duration::from_millis(1));
        let mut tick = interval_at(Instant::now() + interval, interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if self.quiet_for() >= interval * MISSED_PINGS {
                return;
            }
            self.to_client.put(Control::new(Kind::Ping, b"berth"));
        }
    }
}

/// One direction: what `from` sends goes to `to`, with frames of our own put in between.
///
/// Everything is in here and nothing in a future, so that every wait can be given up at any point
/// and the direction taken to its close from where it stands.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    sender: Peer,
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    scanner: Scanner,
    /// `written..scanned` is to be written, `scanned..filled` to be scanned.
    buffer: Box<[u8]>,
    written: usize,
    scanned: usize,
    filled: usize,
    /// Frames of our own, which follow what is to be written.
    own: Vec<u8>,
    /// Where data of the sender is marked.
    activity: Option<&'a Activity>,
}

impl<'a> Lane<'a> {
    /// A direction that begins with `early`, which was read already.
    pub(super) fn new(
        sender: Peer,
        from: ReadHalf<'a>,
        to: WriteHalf<'a>,
        early: &[u8],
        activity: Option<&'a Activity>,
    ) -> Self {
        let mut buffer = vec![0; BUFFER.max(early.len())].into_boxed_slice();
        buffer[..early.len()].copy_from_slice(early);
        Self {
            sender,
            from,
            to,
            scanner: Scanner::new(sender),
            buffer,
            written: 0,
            scanned: 0,
            filled: early.len(),
            own: Vec::new(),
            activity,
        }
    }

    const fn receiver(&self) -> Peer {
        match self.sender {
            Peer::Client => Peer::Browser,
            Peer::Browser => Peer::Client,
        }
    }

    /// Passes on what is sent until one side ends it. What is read is written before more is read.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn run(&mut self, link: &Link) -> End {
        let outbox = link.outbox(self.receiver());
        loop {
            if self.write_out().await.is_err() {
                return End::Receiver;
            }
            if self.scanner.at_boundary() && outbox.is_waiting() {
                outbox.take(self.receiver(), &mut self.own);
                continue;
            }
            if self.scanned < self.filled {
                match self.scan(|| outbox.is_waiting()) {
                    Ok(None) => {}
                    Ok(Some(control)) => match control.kind() {
                        Kind::Ping => {
                            let pong = Control::new(Kind::Pong, control.payload());
                            link.outbox(self.sender).put(pong);
                        }
                        Kind::Pong => {}
                        Kind::Close => {
                            // Whether it arrives or not, this is the end.
                            let _ = self.write_out().await;
                            return End::Close(control);
                        }
                    },
                    Err(violation) => return End::Violation(violation),
                }
                continue;
            }
            let at_boundary = self.scanner.at_boundary();
            tokio::select! {
                biased;
                read = self.from.read(&mut self.buffer) => match read {
                    Ok(0) | Err(_) => return End::Sender,
                    Ok(read) => {
                        self.refilled(read);
                        link.hear(Instant::now());
                    }
                },
                () = outbox.wake.notified(), if at_boundary => {}
            }
        }
    }

    /// Ends the direction with `close`, behind the frame under way. Without it when that cannot be
    /// finished.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn close(&mut self, close: &Control) -> io::Result<()> {
        loop {
            self.write_out().await?;
            if self.scanner.at_boundary() {
                break;
            }
            if self.scanned == self.filled {
                match self.from.read(&mut self.buffer).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => self.refilled(read),
                }
            }
            // What else the sender has to say is of no interest any more.
            self.scan(|| true).map_err(io::Error::other)?;
        }
        close.encode(self.receiver(), &mut self.own);
        self.write_out().await
    }

    /// Tells the receiver that nothing follows.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn shut(&mut self) {
        // A receiver that is gone needs not be told.
        let _ = self.to.shutdown().await;
    }

    /// Reads until the sender has ended and forgets what it reads: what is left unread when a
    /// socket is closed makes the kernel take back what was written last.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn exhaust(&mut self) {
        while matches!(self.from.read(&mut self.buffer).await, Ok(1..)) {}
    }

    const fn refilled(&mut self, read: usize) {
        self.written = 0;
        self.scanned = 0;
        self.filled = read;
    }

    async fn write_out(&mut self) -> io::Result<()> {
        while self.written < self.scanned {
            let run = &self.buffer[self.written..self.scanned];
            self.written += some(self.to.write(run).await?)?;
        }
        while !self.own.is_empty() {
            let written = some(self.to.write(&self.own).await?)?;
            self.own.drain(..written);
        }
        Ok(())
    }

    /// Scans what was read: to its end, to the first control frame, which is returned, or to a
    /// boundary at which `pause` wants to stop.
    fn scan(&mut self, pause: impl Fn() -> bool) -> Result<Option<Control>, Violation> {
        let mut data = false;
        let mut control = None;
        while self.scanned < self.filled && control.is_none() {
            let rest = &self.buffer[self.scanned..self.filled];
            let (taken, part) = self.scanner.scan(rest)?;
            match part {
                Part::Data => {
                    data = true;
                    self.scanned += taken;
                }
                Part::Held => self.leave_out(taken),
                Part::Control(found) => {
                    self.leave_out(taken);
                    control = Some(found);
                }
            }
            if self.scanner.at_boundary() && pause() {
                break;
            }
        }
        if let (true, Some(activity)) = (data, self.activity) {
            activity.touch(Instant::now());
        }
        Ok(control)
    }

    /// Takes the next `count` bytes out of what is to be written.
    fn leave_out(&mut self, count: usize) {
        // The run before them moves up over them, so that it stays one run, written at once.
        let run = self.written..self.scanned;
        self.buffer.copy_within(run, self.written + count);
        self.written += count;
        self.scanned += count;
    }
}

fn some(written: usize) -> io::Result<usize> {
    if written == 0 {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(written)
}
