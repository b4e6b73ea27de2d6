//! One direction of a relayed connection.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::{
    frame::{Control, Kind, Part, Peer, Scanner, Violation},
    head::{HEADROOM, head},
    inspector::Inspector,
};

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

/// Frames of our own on their way to one side. Of control frames the newest of a kind: a flood of
/// pings costs nothing, and the newest is the one to be answered (RFC 6455, section 5.5.3). Of
/// answers all: a lease that is given too many of them ends.
#[derive(Debug, Default)]
struct Outbox {
    ping: Mutex<Option<Control>>,
    pong: Mutex<Option<Control>>,
    waiting: AtomicBool,
    answers: Mutex<Vec<u8>>,
    answered: AtomicBool,
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

    /// Puts a whole message to a client.
    fn answer(&self, text: &str) {
        let mut message = vec![0; HEADROOM];
        message.extend_from_slice(text.as_bytes());
        let begin = head(Peer::Client, false, &mut message);
        self.answers.lock().extend_from_slice(&message[begin..]);
        self.answered.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether something may be put in where `scanner` is.
    fn is_due(&self, scanner: &Scanner) -> bool {
        scanner.at_boundary() && self.waiting.load(Ordering::Acquire)
            || scanner.between_messages() && self.answered.load(Ordering::Acquire)
    }

    /// Takes what may be put in where `scanner` is, at the end of a frame.
    fn take(&self, to: Peer, scanner: &Scanner, out: &mut Vec<u8>) {
        self.waiting.store(false, Ordering::Release);
        for slot in [&self.pong, &self.ping] {
            if let Some(control) = slot.lock().take() {
                control.encode(to, out);
            }
        }
        if scanner.between_messages() {
            self.answered.store(false, Ordering::Release);
            out.append(&mut self.answers.lock());
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

/// One direction: what `from` sends goes to `to`, with frames of our own put in between. What passes
/// an inspector goes there message by message, as the inspector has it; else byte by byte.
///
/// Everything is in here and nothing in a future, so that every wait can be given up at any point
/// and the direction taken to its close from where it stands.
#[derive(Debug)]
pub(super) struct Lane<'a, R, W> {
    sender: Peer,
    from: R,
    to: W,
    scanner: Scanner,
    /// `written..scanned` is to be written, `scanned..filled` to be scanned.
    buffer: Box<[u8]>,
    written: usize,
    scanned: usize,
    filled: usize,
    /// Frames of our own, which follow what is to be written, from the first byte that is not.
    own: Vec<u8>,
    sent: usize,
    inspector: Option<Inspector<'a>>,
}

impl<'a, R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Lane<'a, R, W> {
    /// A direction that begins with `early`, which was read already.
    pub(super) fn new(
        sender: Peer,
        from: R,
        to: W,
        early: &[u8],
        inspector: Option<Inspector<'a>>,
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
            sent: 0,
            inspector,
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
            if self.is_to_be_judged()
                && let Some(inspector) = &mut self.inspector
            {
                let (begin, answer) = inspector.judge(&mut self.own).await;
                self.sent = begin;
                if let Some(answer) = answer {
                    link.outbox(self.sender).answer(&answer);
                }
                continue;
            }
            if outbox.is_due(&self.scanner) {
                outbox.take(self.receiver(), &self.scanner, &mut self.own);
                continue;
            }
            if self.scanned < self.filled {
                match self.scan(|scanner| outbox.is_due(scanner)) {
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
            // Whoever gets whole messages is always between two.
            if self.scanner.at_boundary() || self.inspector.is_some() {
                break;
            }
            if self.scanned == self.filled {
                match self.from.read(&mut self.buffer).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => self.refilled(read),
                }
            }
            // What else the sender has to say is of no interest any more.
            self.scan(|_| true).map_err(io::Error::other)?;
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
        while self.sent < self.own.len() {
            self.sent += some(self.to.write(&self.own[self.sent..]).await?)?;
        }
        self.sent = 0;
        self.own.clear();
        self.own.shrink_to(BUFFER);
        if let Some(inspector) = &mut self.inspector {
            inspector.written();
        }
        // With TLS what is written may not be sent.
        self.to.flush().await
    }

    /// Scans what was read: to its end, to the first control frame, which is returned, to a message
    /// that is to be judged, or to a boundary at which `pause` wants to stop.
    fn scan(&mut self, pause: impl Fn(&Scanner) -> bool) -> Result<Option<Control>, Violation> {
        let mut data = false;
        let mut control = None;
        while self.scanned < self.filled && control.is_none() {
            let rest = &self.buffer[self.scanned..self.filled];
            let (taken, part) = self.scanner.scan(rest)?;
            match part {
                Part::Data { payload } => {
                    data = true;
                    if let Some(inspector) = &mut self.inspector {
                        let bytes = &rest[taken - payload..taken];
                        let ended = self.scanner.at_boundary();
                        inspector.take(self.scanner.frame(), bytes, ended)?;
                        self.leave_out(taken);
                    } else {
                        self.scanned += taken;
                    }
                }
                Part::Held => self.leave_out(taken),
                Part::Control(found) => {
                    self.leave_out(taken);
                    control = Some(found);
                }
            }
            if self.is_to_be_judged() || pause(&self.scanner) {
                break;
            }
        }
        if let (true, Some(inspector)) = (data, &self.inspector) {
            inspector.touch(Instant::now());
        }
        Ok(control)
    }

    fn is_to_be_judged(&self) -> bool {
        self.inspector.as_ref().is_some_and(Inspector::is_complete)
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

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    /// A frame from a browser.
    fn frame(length: u16) -> Vec<u8> {
        let mut bytes = vec![0x82, 126];
        bytes.extend(length.to_be_bytes());
        bytes.resize(4 + usize::from(length), 7);
        bytes
    }

    /// What a client reads: its data frames as they came, and its control frames.
    fn read(bytes: &[u8]) -> (Vec<u8>, Vec<Control>) {
        let mut scanner = Scanner::new(Peer::Browser);
        let (mut data, mut controls, mut rest) = (Vec::new(), Vec::new(), bytes);
        while !rest.is_empty() {
            let (taken, part) = scanner.scan(rest).unwrap();
            match part {
                Part::Data { .. } => data.extend_from_slice(&rest[..taken]),
                Part::Held => {}
                Part::Control(control) => controls.push(control),
            }
            rest = &rest[taken..];
        }
        assert!(scanner.at_boundary());
        (data, controls)
    }

    #[tokio::test]
    async fn own_frames_go_between_those_of_a_sender_that_never_pauses() {
        let ((mut sender, mut from), (mut to, mut receiver)) = (pair().await, pair().await);
        let (from, _) = from.split();
        let (_, to) = to.split();
        let sent: Vec<u8> = (0..2000).flat_map(|i| frame(1000 + i * 7)).collect();
        // A ping and a pong from the browser in between: neither is the client's business.
        let noise = [&b"\x89\x03abc"[..], b"\x8a\x00"].concat();
        let link = Link::new();
        let mut lane = Lane::new(Peer::Browser, from, to, &noise, None);
        let mut got = Vec::new();
        let end = async {
            let end = lane.run(&link).await;
            lane.shut().await;
            end
        };
        let (end, (), ()) = tokio::join!(
            end,
            async {
                // Pieces that do not fit the frames.
                for (count, piece) in sent.chunks(70_001).enumerate() {
                    link.to_client.put(Control::new(Kind::Ping, &[0; 9]));
                    if count == 0 {
                        link.to_client.put(Control::new(Kind::Pong, b"x"));
                    }
                    sender.write_all(piece).await.unwrap();
                }
                sender.shutdown().await.unwrap();
            },
            async {
                receiver.read_to_end(&mut got).await.unwrap();
            },
        );
        assert!(matches!(end, End::Sender), "{end:?}");
        let (data, controls) = read(&got);
        assert!(data == sent, "the data is not as it was sent");
        assert!(controls.len() > 2, "{}", controls.len());
        assert!(controls.contains(&Control::new(Kind::Pong, b"x")));
        let mut back = Vec::new();
        let scanner = Scanner::new(Peer::Client);
        link.to_browser.take(Peer::Client, &scanner, &mut back);
        assert_eq!(back, b"\x8a\x03abc");
    }

    #[tokio::test]
    async fn a_close_waits_for_the_end_of_the_frame_under_way() {
        let close = Control::close(4000, "released");
        for finished in [true, false] {
            let ((mut sender, mut from), (mut to, mut receiver)) = (pair().await, pair().await);
            let (from, _) = from.split();
            let (_, to) = to.split();
            let sent = frame(50_000);
            let (begin, rest) = sent.split_at(20_000);
            let link = Link::new();
            let mut lane = Lane::new(Peer::Browser, from, to, begin, None);
            let wait = Duration::from_millis(20);
            let run = tokio::time::timeout(wait, lane.run(&link));
            assert!(run.await.is_err(), "the sender is still there");
            if finished {
                sender.write_all(rest).await.unwrap();
                sender.write_all(&sent).await.unwrap();
            }
            drop(sender);
            let closed = lane.close(&close).await;
            lane.shut().await;
            let mut got = Vec::new();
            receiver.read_to_end(&mut got).await.unwrap();
            if finished {
                closed.unwrap();
                assert_eq!(read(&got), (sent, vec![close]));
            } else {
                assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
                assert_eq!(got, begin);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_three_pings_without_a_word() {
        let link = Link::new();
        let interval = Duration::from_secs(20);
        let begun = Instant::now();
        let talk = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(15)).await;
                link.hear(Instant::now());
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = link.silence(interval) => {}
            () = talk => {}
        }
        let silent = begun.elapsed() - Duration::from_secs(150);
        assert!((60..=80).contains(&silent.as_secs()), "{silent:?}");
        assert!(link.to_client.is_due(&Scanner::new(Peer::Browser)));
    }
}
