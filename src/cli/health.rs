//! `berth health`: is it there, and does it take work?

use std::{io::Write, process::ExitCode, time::Duration};

use clap::Args;
use tonic::Request;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    client::{Target, parse_duration, runtime},
    exit::Failure,
};

/// Ask a broker how it is: exit 0 when it is serving, 1 when not, 69 when it cannot be reached
#[derive(Args, Clone, Debug)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    target: Target,
    /// What to ask about: empty for the whole, or berth.v1.LeaseService, browser-pool, http-client…
    #[arg(long, default_value = "", value_name = "NAME")]
    service: String,
    /// How long to wait for the answer
    #[arg(long, default_value = "3s", value_parser = parse_duration, value_name = "DURATION")]
    timeout: Duration,
}

pub(super) fn run(args: &HealthArgs) -> Result<ExitCode, Failure> {
    runtime()?.block_on(async {
        let mut client = HealthClient::new(args.target.connect().await?.connection());
        let mut request = Request::new(HealthCheckRequest {
            service: args.service.clone(),
        });
        request.set_timeout(args.timeout);
        let answer = client.check(request).await?.into_inner();
        let serving = answer.status() == ServingStatus::Serving;
        writeln!(std::io::stdout(), "{}", answer.status().as_str_name())?;
        Ok(ExitCode::from(u8::from(!serving)))
    })
}
