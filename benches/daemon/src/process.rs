//! CPU time and memory of a process, from Linux's /proc.

use std::fs;
use std::time::Duration;

use crate::Error;

/// `USER_HZ`, the unit of times in /proc. It is 100 on all common architectures.
const TICKS_PER_SECOND: f64 = 100.0;

/// Returns the CPU time of all threads in user and kernel mode (`man 5 proc_pid_stat`).
pub fn cpu(pid: u32) -> Result<Duration, Error> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command name may contain any characters, including parentheses.
    let (_, rest) = stat.rsplit_once(')').ok_or("no command in stat")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .ok_or("stat is short")?
            .parse()
            .map_err(Error::from)
    };
    let (user, system): (f64, f64) = (ticks(11)?, ticks(12)?);
    Ok(Duration::from_secs_f64((user + system) / TICKS_PER_SECOND))
}

/// Returns the current resident memory in KiB.
pub fn resident_kib(pid: u32) -> Result<u64, Error> {
    status(pid, "VmRSS:")
}

/// Returns the peak resident memory in KiB.
pub fn resident_peak_kib(pid: u32) -> Result<u64, Error> {
    status(pid, "VmHWM:")
}

fn status(pid: u32, key: &str) -> Result<u64, Error> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.ok_or_else(|| format!("no {key} in status"))?.parse()?)
}
