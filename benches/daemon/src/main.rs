//! Measures the whole daemon: its CPU and memory, rewriting and passing through, beside Envoy.
//!
//! This process is both ends: the control plane behind a proxy and the clients before it, on one
//! core. The proxies are processes of their own on another core, and only what they use is counted.
//! They take turns, each run in a fresh process, and what is compared is compared within a round.

mod backend;
// The daemon's own file, linked: a crate that depended on all of the daemon would take minutes to
// build.
#[allow(dead_code)]
#[path = "../../../src/dev/certificates.rs"]
mod certificates;
mod client;
mod identities;
mod list_and_get;
mod process;
mod proxy;
mod report;
mod watches;

use std::path::PathBuf;

use clap::Parser;

use backend::Backend;
use identities::Identities;
use proxy::{Kind, Programs};

/// Both ends hold more than the proxies do.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Measures the whole daemon and prints tables.
#[derive(Debug, Parser)]
struct Options {
    /// claimgate, built with the feature pass-through
    #[arg(long)]
    claimgate: PathBuf,
    #[arg(long)]
    envoy: PathBuf,
    /// Where certificates and configurations are written
    #[arg(long)]
    dir: PathBuf,
    /// The core on which proxies run
    #[arg(long)]
    core: usize,
    /// How often each proxy gets its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Watches that are opened
    #[arg(long, default_value_t = 10_000)]
    watches: usize,
    /// What is measured, all unless it is said
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Bytes of a frame in which the control plane sends a LIST; as many as fit unless it is said
    #[arg(long)]
    frame_bytes: Option<usize>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Part {
    Requests,
    Watches,
}

/// What a proxy needs to start.
struct Bed {
    backend: Backend,
    identities: Identities,
    programs: Programs,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let options = Options::parse();
    let identities = Identities::write(&options.dir)?;
    let bed = Bed {
        backend: Backend::start(&identities, options.frame_bytes).await?,
        identities,
        programs: Programs {
            claimgate: options.claimgate,
            envoy: options.envoy,
            dir: options.dir,
            core: options.core,
        },
    };
    if options.only != Some(Part::Watches) {
        let mut rounds = Vec::new();
        for round in 1..=options.rounds {
            let mut runs = Vec::new();
            for kind in Kind::ALL {
                eprintln!("round {round} of {}: {kind}", options.rounds);
                runs.push(list_and_get::measure(&bed, kind).await?);
            }
            rounds.push(runs);
        }
        print!("{}", report::requests(&rounds));
    }
    if options.only != Some(Part::Requests) {
        let mut runs = Vec::new();
        for kind in Kind::ALL {
            eprintln!("{} watches: {kind}", options.watches);
            runs.push((kind, watches::measure(&bed, kind, options.watches).await?));
        }
        print!("\n{}", report::watches(&runs));
    }
    Ok(())
}
