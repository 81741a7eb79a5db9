//! The process_* family, read from /proc when it is asked for
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use prometheus_client::collector::Collector as Collect;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Clock ticks a second in /proc, the same on every Linux that Rust supports.
const TICKS_PER_S: f64 = 100.0;

#[derive(Debug)]
pub(crate) struct Collector;

impl Collect for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(stat) = Stat::read() else {
            return Ok(());
        };
        let cpu = ConstCounter::new(stat.cpu_s);
        let encode = encoder.encode_descriptor(
            "process_cpu_seconds",
            "CPU time spent",
            None,
            MetricType::Counter,
        )?;
        cpu.encode(encode)?;
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Memory in RAM",
                stat.resident_bytes,
            ),
            (
                "process_virtual_memory_bytes",
                "Address space",
                stat.virtual_bytes,
            ),
            (
                "process_start_time_seconds",
                "Start, since the epoch",
                stat.start_s,
            ),
            ("process_open_fds", "Open file descriptors", open_files()),
            ("process_max_fds", "Most file descriptors", files_max()),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}

struct Stat {
    cpu_s: f64,
    resident_bytes: f64,
    virtual_bytes: f64,
    start_s: f64,
}

impl Stat {
    /// Fields are numbered as in proc(5), after the command's name in parentheses.
    fn read() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let statm = std::fs::read_to_string("/proc/self/status").ok()?;
        let resident_kib: f64 = statm.lines().find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })?;
        let boot_s: f64 = std::fs::read_to_string("/proc/stat")
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

fn open_files() -> f64 {
    let count = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn files_max() -> f64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok())
        .unwrap_or(f64::NAN)
}
