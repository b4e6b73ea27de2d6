//! `berth mcp`: the shim between an agent's host and a broker.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    client::{Credentials, Target},
    exit::{self, Failure},
    signals::Signals,
};
use crate::{
    auth,
    client::Client,
    config::{self, Config},
    mcp::{self, Options, Tools},
    server::{self, Server},
    telemetry,
};

/// Where a broker is looked for when nobody says where it is.
const USUAL: &str = "http://127.0.0.1:50051";

/// Serve the Model Context Protocol: tools for an AI agent, translated into calls of a broker
///
/// Speaks on standard input and output unless --http is given. Without --endpoint, and when no broker answers
/// where it usually is, one is started in this process.
#[derive(Args, Clone, Debug)]
pub(super) struct McpArgs {
    /// The broker's gRPC address; https:// for TLS [default: http://127.0.0.1:50051]
    #[arg(
        long,
        env = "BERTH_ENDPOINT",
        value_name = "URL",
        conflicts_with = "embedded"
    )]
    endpoint: Option<String>,
    #[command(flatten)]
    credentials: Credentials,
    /// Start a broker in this process, configured by BERTH_* variables as `berth serve` is
    #[arg(long)]
    embedded: bool,
    /// Serve streamable HTTP at /mcp of this address, which must be loopback's
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Which tools are offered
    #[arg(long, value_enum, default_value_t = Offer::Core, env = "BERTH_MCP_TOOLS")]
    tools: Offer,
    /// A browser that no tool was called on for so long is given back
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    idle_timeout: Duration,
}

/// Which tools are offered.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Offer {
    /// fetch, and what browsing takes
    Core,
    /// All of them
    All,
}

pub(super) fn run(args: McpArgs) -> Result<ExitCode, Failure> {
    if args.http.is_some_and(|address| !address.ip().is_loopback()) {
        let why = "--http serves this machine only: it asks nobody who they are. Put a proxy that does in front";
        return Err(Failure::new(exit::USAGE, why));
    }
    if args.idle_timeout < Duration::from_secs(1) {
        return Err(Failure::new(exit::USAGE, "--idle-timeout is 1s or more"));
    }
    // Standard output is the protocol's.
    let _logging =
        telemetry::init("error", telemetry::Format::Pretty, None).map_err(Failure::other)?;
    server::adopt_orphans();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(args));
    // Standard input is read by a thread that nothing else ends.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

async fn serve(args: McpArgs) -> Result<(), Failure> {
    let Some(target) = choose(&args).await else {
        return Box::pin(embedded(args)).await;
    };
    let broker = broker(&target)?;
    shim(broker, &args).await
}

/// The broker to use; `None` for one of our own.
async fn choose(args: &McpArgs) -> Option<Target> {
    if args.embedded {
        return None;
    }
    let credentials = args.credentials.clone();
    if let Some(endpoint) = args.endpoint.clone() {
        return Some(Target {
            endpoint,
            credentials,
        });
    }
    let target = Target {
        endpoint: USUAL.into(),
        credentials,
    };
    let answers = target.connect().await.is_ok();
    answers.then_some(target)
}

fn broker(target: &Target) -> Result<Client, Failure> {
    Ok(target.builder()?.connect_lazy()?)
}

/// A broker in this process, for as long as the shim runs.
async fn embedded(args: McpArgs) -> Result<(), Failure> {
    let wrong = |problems| {
        let what = format!("the configuration is wrong\n{problems}");
        Failure::new(exit::CONFIG, what)
    };
    let nothing = clap::Command::new("berth").args(config::args());
    let matches = nothing.get_matches_from(["berth"]);
    let settings = config::load(&matches, config::environment()).map_err(wrong)?;
    let anywhere = ([127, 0, 0, 1], 0).into();
    // In the usual run directory: what a killed one leaves there the next one sweeps.
    let config = Config {
        listen: anywhere,
        gateway_listen: anywhere,
        ops_listen: anywhere,
        gateway_public_url: None,
        auth: auth::Config::default(),
        ..settings.config()
    };
    let server = Server::start(&config).await.map_err(Failure::other)?;
    let address = server.addresses().grpc;
    // Where people look for it; standard output is the protocol's.
    say(format_args!(
        "no broker is configured: started one of its own at http://{address}"
    ));
    let served = match broker(&Target::open(format!("http://{address}"))) {
        Ok(broker) => shim(broker, &args).await,
        Err(failure) => Err(failure),
    };
    server.shut_down().await;
    served
}

fn say(what: std::fmt::Arguments<'_>) {
    // Nobody is left to tell when standard error is closed.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("berth mcp: {what}\n"));
}

async fn shim(broker: Client, args: &McpArgs) -> Result<(), Failure> {
    let tools = match args.tools {
        Offer::Core => Tools::Core,
        Offer::All => Tools::All,
    };
    let options = Options::new(tools, args.idle_timeout);
    let mut signals = Signals::listen()?;
    let served = match args.http {
        None => {
            let stop = async {
                signals.next().await;
            };
            mcp::serve_stdio(broker, options, stop).await
        }
        Some(address) => {
            let listener = TcpListener::bind(address).await;
            let listener = listener.map_err(|error| {
                Failure::new(exit::UNAVAILABLE, format!("--http {address}: {error}"))
            })?;
            let address = listener.local_addr()?;
            say(format_args!("serving MCP at http://{address}/mcp"));
            let stop = CancellationToken::new();
            let serve = mcp::serve_http(listener, broker, options, stop.clone());
            tokio::pin!(serve);
            tokio::select! {
                served = &mut serve => served,
                _ = signals.next() => {
                    stop.cancel();
                    serve.await
                }
            }
        }
    };
    served.map_err(Failure::other)
}
