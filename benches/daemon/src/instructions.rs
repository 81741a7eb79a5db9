//! Counts the instructions of a LIST and of a GET with callgrind.
//!
//! Counts are stable on shared machines, where times are not. They do not contain the kernel's instructions, which all
//! modes of claimgate need. They contain a hash in software, because valgrind has no SHA instructions.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::backend::{CLAIM, CLAIMS};
use crate::client::Client;
use crate::list_and_get::{GETS_AT_ONCE, LISTS_AT_ONCE, check, many};
use crate::proxy::{Proxy, ProxyKind};
use crate::{Environment, Error};

/// The compared modes. Ratios are relative to the first.
pub const MODES: [ProxyKind; 2] = [ProxyKind::Rewriting, ProxyKind::Shared];

/// Number of counted requests.
const LISTS: usize = 4;
const GETS: usize = 4000;

/// Number of requests before the first counted ones, to open connections.
const LISTS_BEFORE: usize = 2;
const GETS_BEFORE: usize = 160;

/// Makes glibc copy memory without `rep movsb`, which callgrind counts as one instruction per byte.
const NO_STRING_MOVES: &str = "GLIBC_TUNABLES=glibc.cpu.hwcaps=-ERMS";

/// Instructions in user mode per request.
pub struct InstructionCounts {
    pub list: u64,
    pub get: u64,
}

pub async fn count(environment: &Environment, kind: ProxyKind) -> Result<InstructionCounts, Error> {
    let profile = environment.programs.dir.join(format!("{kind:?}.callgrind"));
    let out_file = format!("--callgrind-out-file={}", profile.display());
    let callgrind = [
        "env",
        NO_STRING_MOVES,
        "valgrind",
        "--quiet",
        "--tool=callgrind",
        &out_file,
    ];
    let proxy = Proxy::start_within(environment, kind, &callgrind).await?;
    let client = Client::connect(proxy.address, environment.identities.client()?).await?;
    check(&client, kind).await?;
    many(&client, LISTS_BEFORE, LISTS_AT_ONCE, CLAIMS).await?;
    control(&proxy, "--zero").await?;
    many(&client, LISTS, LISTS_AT_ONCE, CLAIMS).await?;
    control(&proxy, "--dump").await?;
    many(&client, GETS_BEFORE, GETS_AT_ONCE, CLAIM).await?;
    control(&proxy, "--zero").await?;
    many(&client, GETS, GETS_AT_ONCE, CLAIM).await?;
    control(&proxy, "--dump").await?;
    proxy.stop().await?;
    Ok(InstructionCounts {
        list: total(&profile, 1)? / LISTS as u64,
        get: total(&profile, 2)? / GETS as u64,
    })
}

/// Sets the counts of a proxy to zero, or writes them to the next file and sets them to zero.
async fn control(proxy: &Proxy, command: &str) -> Result<(), Error> {
    let mut control = Command::new("callgrind_control");
    control.args([command, &proxy.pid().to_string()]);
    let status = control.stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status.await?.success() {
        true => Ok(()),
        false => Err(format!("callgrind_control {command} failed").into()),
    }
}

/// Returns the number of instructions in a dump. Its number is the extension of its file.
fn total(profile: &Path, dump: usize) -> Result<u64, Error> {
    let dump = fs::read_to_string(format!("{}.{dump}", profile.display()))?;
    let total = dump.lines().find_map(|line| line.strip_prefix("summary: "));
    Ok(total.ok_or("callgrind wrote no summary")?.trim().parse()?)
}
