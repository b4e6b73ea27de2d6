//! The signals that end a process politely, and those that change what it logs.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// SIGTERM and SIGINT, heard from the moment this is made.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Resolves at the next one, with its name.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The first signal, for work that ends in order; the second is for whoever runs that work.
#[derive(Clone, Debug)]
pub(super) struct Asked(watch::Receiver<Option<&'static str>>);

impl Asked {
    /// Says when the first comes, and resolves at the second with its name.
    pub(super) fn once(mut signals: Signals) -> (Self, impl Future<Output = &'static str>) {
        let (first, asked) = watch::channel(None);
        let second = async move {
            first.send_replace(Some(signals.next().await));
            signals.next().await
        };
        (Self(asked), second)
    }

    /// Resolves once the first has come, with its name; at once when it has.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn stop(&mut self) -> &'static str {
        match self.0.wait_for(Option::is_some).await.map(|asked| *asked) {
            Ok(Some(name)) => name,
            // Nobody listens for signals any more.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

/// SIGUSR1 and SIGUSR2, heard from the moment this is made.
#[derive(Debug)]
pub(super) struct LevelSignals {
    more: Signal,
    back: Signal,
}

/// What a signal asks of the log.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// SIGUSR1: one level more.
    More,
    /// SIGUSR2: as configured.
    Back,
}

impl LevelSignals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            more: signal(SignalKind::user_defined1())?,
            back: signal(SignalKind::user_defined2())?,
        })
    }

    /// Resolves at the next one.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn next(&mut self) -> Turn {
        tokio::select! {
            _ = self.more.recv() => Turn::More,
            _ = self.back.recv() => Turn::Back,
        }
    }
}
