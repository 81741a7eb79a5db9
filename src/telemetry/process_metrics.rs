//! Reads the process_* metrics from /proc on every scrape
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).
//!
//! prometheus-client has no process collector. The crate `procfs` would only replace the parsing of five
//! lines, at the price of more dependencies.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Clock ticks per second in /proc, on every Linux platform that Rust supports.
const TICKS_PER_S: f64 = 100.0;

#[derive(Debug)]
pub(super) struct ProcessMetrics;

impl Collector for ProcessMetrics {
    /// Encodes nothing if /proc is unreadable.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(usage) = Usage::read() else {
            return Ok(());
        };
        ConstCounter::new(usage.cpu_s).encode(encoder.encode_descriptor(
            "process_cpu_seconds",
            "User and system CPU time spent",
            None,
            MetricType::Counter,
        )?)?;
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Resident memory size",
                usage.resident_bytes,
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory size",
                usage.virtual_bytes,
            ),
            (
                "process_start_time_seconds",
                "Start time of the process since the Unix epoch",
                usage.start_s,
            ),
            (
                "process_open_fds",
                "Open file descriptors",
                open_file_descriptors(),
            ),
            (
                "process_max_fds",
                "Maximum number of open file descriptors",
                max_file_descriptors(),
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}

struct Usage {
    cpu_s: f64,
    resident_bytes: f64,
    virtual_bytes: f64,
    /// Seconds since the Unix epoch.
    start_s: f64,
}

impl Usage {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // Field 3 of proc_pid_stat(5) follows the command's name, which is in parentheses.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let resident_kib: f64 = status.lines().find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })?;
        let boot_s: f64 = fs::read_to_string("/proc/stat")
            .ok()?
            .lines()
            .find_map(|line| line.strip_prefix("btime ")?.parse().ok())?;
        Some(Self {
            cpu_s: (field(14)? + field(15)?) / TICKS_PER_S,
            resident_bytes: resident_kib * 1024.0,
            virtual_bytes: field(23)?,
            start_s: boot_s + field(22)? / TICKS_PER_S,
        })
    }
}

fn open_file_descriptors() -> f64 {
    let count = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Returns the soft limit, or NaN if it is unreadable or unlimited.
fn max_file_descriptors() -> f64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok())
        .unwrap_or(f64::NAN)
}
