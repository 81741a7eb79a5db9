//! Measures the CPU time and memory of the whole daemon, with and without rewriting, and of Envoy.
//!
//! This process is the control plane behind the proxy and also its clients, on one core. Each proxy is a
//! separate process on another core, and only that process is measured. The proxies take turns, each run in a
//! fresh process, and results are compared within a round.

mod backend;
mod client;
mod identities;
mod instructions;
mod list_and_get;
mod outages;
mod process;
mod proxy;
mod report;
mod watches;

use std::path::PathBuf;

use clap::Parser;

use backend::{Backend, GROUP, OTHER_GROUP};
use identities::Identities;
use proxy::{Programs, ProxyKind};

/// The daemon's allocator. This process buffers more than the proxies do.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Measures the whole daemon and prints tables.
#[derive(Debug, Parser)]
struct Options {
    /// The claimgate binary, built with the feature pass-through
    #[arg(long)]
    claimgate: PathBuf,
    /// The Envoy binary
    #[arg(long)]
    envoy: PathBuf,
    /// The directory for certificates and configuration files
    #[arg(long)]
    dir: PathBuf,
    /// The CPU core of the proxies
    #[arg(long)]
    core: usize,
    /// Number of runs of each proxy
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Number of watches to open
    #[arg(long, default_value_t = 10_000)]
    watches: usize,
    /// Part to measure; requests and watches by default
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Size in bytes of the control plane's DATA frames of a LIST; as large as the proxy accepts by default
    #[arg(long)]
    frame_bytes: Option<usize>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Part {
    Requests,
    Watches,
    /// Instructions of requests in table mode and in shared mode; needs valgrind
    Instructions,
    /// Latency of a control plane while another one has a fault
    Outages,
}

/// Everything that a proxy needs to start.
struct Environment {
    backend: Backend,
    /// A second control plane, which can have faults.
    other: Option<Backend>,
    identities: Identities,
    programs: Programs,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let options = Options::parse();
    let identities = Identities::write(&options.dir)?;
    let environment = Environment {
        backend: Backend::start(&identities, GROUP, options.frame_bytes).await?,
        other: match options.only {
            Some(Part::Outages) => Some(Backend::start(&identities, OTHER_GROUP, None).await?),
            _ => None,
        },
        identities,
        programs: Programs {
            claimgate: options.claimgate,
            envoy: options.envoy,
            dir: options.dir,
            core: options.core,
        },
    };
    if options.only == Some(Part::Instructions) {
        let mut counts = Vec::new();
        for kind in instructions::MODES {
            eprintln!("instructions: {kind}");
            counts.push((kind, instructions::count(&environment, kind).await?));
        }
        print!("{}", report::instructions(&counts));
        return Ok(());
    }
    if options.only == Some(Part::Outages) {
        let mut rounds = Vec::new();
        for round in 1..=options.rounds {
            let mut runs = Vec::new();
            for (behavior, name) in report::FAULTS {
                eprintln!("round {round} of {}: {name}", options.rounds);
                runs.push(outages::measure(&environment, behavior).await?);
            }
            rounds.push(runs);
        }
        print!("{}", report::outages(&rounds));
        return Ok(());
    }
    if options.only != Some(Part::Watches) {
        let mut rounds = Vec::new();
        for round in 1..=options.rounds {
            let mut runs = Vec::new();
            for kind in ProxyKind::ALL {
                eprintln!("round {round} of {}: {kind}", options.rounds);
                runs.push(list_and_get::measure(&environment, kind).await?);
            }
            rounds.push(runs);
        }
        print!("{}", report::requests(&rounds));
    }
    if options.only != Some(Part::Requests) {
        let mut runs = Vec::new();
        for kind in ProxyKind::ALL {
            eprintln!("{} watches: {kind}", options.watches);
            runs.push((
                kind,
                watches::measure(&environment, kind, options.watches).await?,
            ));
        }
        print!("\n{}", report::watches(&runs));
    }
    Ok(())
}
