//! `berth serve`.

use std::{convert::Infallible, io::Write, process::ExitCode};

use clap::ArgMatches;
use tokio_util::sync::CancellationToken;

use super::{
    exit::{self, Failure},
    signals::{LevelSignals, Signals, Turn},
};
use crate::{
    config::{self, Config},
    server::{self, Ended, Server},
    telemetry::{self, Controls, Level, Traces},
};

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let settings = config::load(matches, config::environment()).map_err(|problems| {
        Failure::new(
            exit::CONFIG,
            format!("the configuration is wrong\n{problems}"),
        )
    })?;
    if config::print_wanted(matches) {
        write!(std::io::stdout(), "{}", settings.print())?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = settings.config();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let endpoint = config.otlp_endpoint.as_ref();
    let traces = {
        let _within = runtime.enter();
        endpoint.map(|endpoint| Traces::to(endpoint, &config.node))
    };
    let traces = traces.transpose().map_err(Failure::other)?;
    let logging = telemetry::init(&config.log_level, config.log_format, traces);
    let logging = logging.map_err(Failure::other)?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    server::adopt_orphans();
    let ended = runtime.block_on(serve(&config, logging.controls()));
    // What a library left in the blocking pool must not keep the process.
    runtime.shutdown_background();
    Ok(match ended? {
        Ended::Clean => ExitCode::SUCCESS,
        Ended::Forced => ExitCode::from(exit::FORCED),
    })
}

async fn serve(config: &Config, telemetry: Controls) -> Result<Ended, Failure> {
    let mut signals = Signals::listen()?;
    let turns = LevelSignals::listen()?;
    let level = telemetry.level.clone();
    let server = Server::start_with(config, telemetry).await;
    let server = server.map_err(Failure::other)?;
    let stop = CancellationToken::new();
    // One listener for both: the kernel and the runtime make one of two signals that nobody has
    // looked at between.
    let force = async {
        let signal = signals.next().await;
        tracing::info!(signal, "server.stop_asked");
        stop.cancel();
        // A second signal exits at once: browsers then end by their lifelines.
        let signal = signals.next().await;
        tracing::warn!(signal, "server.forced");
    };
    Ok(tokio::select! {
        ended = server.run(stop.cancelled()) => ended,
        () = force => Ended::Forced,
        never = turn_level(turns, level) => match never {},
    })
}

/// Changes the log level as signals ask for it.
async fn turn_level(mut turns: LevelSignals, level: Option<Level>) -> Infallible {
    loop {
        let turn = turns.next().await;
        let turned = level.as_ref().map(|level| match turn {
            Turn::More => level.more("SIGUSR1"),
            Turn::Back => level.reset("SIGUSR2"),
        });
        if let Some(Err(error)) = turned {
            tracing::warn!(%error, "the log level stays as it is");
        }
    }
}
