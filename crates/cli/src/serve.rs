//! `lamp serve`.

use std::path::Path;
use std::time::Duration;

use lamplight_api::config_file;
use lamplight_api::serve::{GrpcAddress, ServeOptions, spawn_with};
use lamplight_engine::Engine;
use lamplight_engine::config::Config;
use serde::Serialize;

use crate::args::ServeArgs;
use crate::{output, reach};

/// Longest wait for the first look before the ready line; a longer import is told as such by the status.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// The line that says it is ready; scripts wait for it.
#[derive(Serialize)]
struct Ready<'a> {
    http: String,
    grpc: Option<String>,
    token_file: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    ui: Option<&'a str>,
}

/// Runs an engine and serves it until told to stop.
pub(crate) fn run(config: Config, args: &ServeArgs) -> anyhow::Result<()> {
    let runtime = reach::runtime()?;
    let inside = runtime.enter();
    // Before anything is started: a signal that comes early must still find us able to stop in order.
    let stop = reach::told_to_stop()?;
    drop(inside);
    let engine = Engine::start(config.clone()).map_err(|error| reach::serve_failure(&config, error))?;
    let data = args.data.clone();
    config_file::follow(&engine, move |name| crate::environment_over(name, data.as_deref()));
    let options = ServeOptions {
        http: args.http,
        explicit: args.http.is_some(),
        data_dir: config.data_dir,
        ui: args.ui,
    };
    let grpc = args.grpc.map_or(GrpcAddress::Default, GrpcAddress::At);
    let served = match spawn_with(engine.clone(), options, grpc) {
        Ok(served) => served,
        Err(error) => {
            engine.shutdown();
            return Err(error.into());
        }
    };
    if let Some(taken) = served.moved_from {
        output::warning(&format!(
            "{taken} is taken by another program; listening on {} instead. Sessions are watched all the same; \
             telemetry sent to {taken} does not arrive here.",
            served.http
        ));
    }
    // So that the first answer a script gets is not an empty status. A failure is told by what is asked next.
    let _ = engine.await_first_look(FIRST_LOOK);
    if let Some(taken) = served.grpc_taken {
        output::warning(&format!(
            "{taken} is taken by another program; telemetry sent to it over gRPC does not arrive here. Everything else \
             works."
        ));
    }
    let printed = output::print_json(&Ready {
        http: served.http.to_string(),
        grpc: served.grpc.map(|addr| addr.to_string()),
        token_file: &served.token_file,
        ui: served.ui_url.as_deref(),
    });
    // A closed standard output is no reason to stop serving.
    if let Err(error) = &printed
        && !output::is_closed_pipe(error)
    {
        output::error(error);
    }
    runtime.block_on(stop);
    served.shutdown();
    engine.shutdown();
    Ok(())
}
