//! The `claimgate` command.

use std::io::Write;
use std::process::ExitCode;

use claimgate::cli::{Cli, Failure};
use clap::Parser;

/// Long-lived connections with bodies of all sizes are where glibc's allocator keeps memory that
/// nobody uses any more.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("no runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(cli.run());
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Checked) {
                complain(&failure.to_string());
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Says what is wrong, to whoever still listens.
fn complain(what: &str) {
    let _ = writeln!(std::io::stderr(), "claimgate: {what}");
}
