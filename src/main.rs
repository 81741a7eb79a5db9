//! The `claimgate` command.

use std::io::Write;
use std::process::ExitCode;

use claimgate::cli::{Cli, CommandError};

/// jemalloc instead of glibc's allocator, which keeps much freed memory if connections live long and
/// bodies differ in size.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::from_command_line();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(&format!("cannot start the async runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(cli.run());
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, CommandError::InvalidConfigPrinted) {
                print_error(&error.to_string());
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Writes to stderr. Ignores errors, because stderr may be closed.
fn print_error(message: &str) {
    let _ = writeln!(std::io::stderr(), "claimgate: {message}");
}
