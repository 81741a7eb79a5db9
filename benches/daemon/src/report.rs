//! Formats the results as the tables of the README.

use std::fmt::Write;

use crate::backend::Behavior;
use crate::instructions::InstructionCounts;
use crate::list_and_get::RequestResults;
use crate::outages::OutageResults;
use crate::proxy::ProxyKind;
use crate::watches::WatchResults;

/// The results of one round, in the order of [`ProxyKind::ALL`].
type Round = Vec<RequestResults>;

/// The median with the smallest and the largest value.
struct Spread {
    least: f64,
    median: f64,
    greatest: f64,
}

fn spread(values: impl Iterator<Item = f64>) -> Spread {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    Spread {
        least: values[0],
        median: values[values.len() / 2],
        greatest: values[values.len() - 1],
    }
}

/// Formats the results of all rounds, with ratios between the rewriting daemon and the others of the same
/// round.
pub fn requests(rounds: &[Round]) -> String {
    let mut text = format!(
        "Medians of {} rounds (least to greatest):\n\n\
         | | LIST, CPU s/GB | rewriting / this | GET, CPU µs | rewriting / this | peak, MiB |\n\
         |---|---|---|---|---|---|\n",
        rounds.len()
    );
    for (at, kind) in ProxyKind::ALL.into_iter().enumerate() {
        let figure = |field: fn(&RequestResults) -> f64| {
            spread(rounds.iter().map(|round| field(&round[at])))
        };
        let ratio = |field: fn(&RequestResults) -> f64| {
            spread(
                rounds
                    .iter()
                    .map(|round| field(&round[0]) / field(&round[at])),
            )
        };
        let list = |run: &RequestResults| run.list_cpu_per_gb;
        let get = |run: &RequestResults| run.get_cpu_us;
        let (peak, gets) = (figure(|run| run.peak_mib), figure(get));
        let lists = figure(list);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {kind} | {:.2} ({:.2}–{:.2}) | {} | {:.1} ({:.1}–{:.1}) | {} | {:.0} |",
            lists.median,
            lists.least,
            lists.greatest,
            ratios(at, ratio(list)),
            gets.median,
            gets.least,
            gets.greatest,
            ratios(at, ratio(get)),
            peak.median,
        );
    }
    text
}

fn ratios(at: usize, of: Spread) -> String {
    match at {
        0 => String::new(),
        _ => format!("{:.2} ({:.2}–{:.2})", of.median, of.least, of.greatest),
    }
}

/// Formats the instruction counts, with ratios between each mode and the first.
pub fn instructions(counts: &[(ProxyKind, InstructionCounts)]) -> String {
    let mut text = String::from(
        "| | instructions of a LIST | this / rewriting | of a GET | this / rewriting |\n\
         |---|---|---|---|---|\n",
    );
    let (_, first) = &counts[0];
    for (kind, count) in counts {
        let _ = writeln!(
            text,
            "| {kind} | {} | {:.2} | {} | {:.2} |",
            count.list,
            count.list as f64 / first.list as f64,
            count.get,
            count.get as f64 / first.get as f64,
        );
    }
    text
}

/// The behaviors of the other control plane, the one without a fault first.
pub const FAULTS: [(Behavior, &str); 4] = [
    (Behavior::Healthy, "no fault"),
    (Behavior::Stalling, "stalls"),
    (Behavior::Slow, "slow"),
    (Behavior::Flooding, "floods"),
];

/// Formats the latencies of the healthy control plane. Each round is in the order of [`FAULTS`].
pub fn outages(rounds: &[Vec<OutageResults>]) -> String {
    let mut text = format!(
        "Medians of {} rounds (least to greatest):\n\n\
         | the other control plane | GET p50, ms | p99, ms | p99 / without fault | CPU, % | memory, MiB | its responses |\n\
         |---|---|---|---|---|---|---|\n",
        rounds.len()
    );
    for (at, (_, name)) in FAULTS.into_iter().enumerate() {
        let figure =
            |field: fn(&OutageResults) -> f64| spread(rounds.iter().map(|round| field(&round[at])));
        let p50 = figure(|run| run.p50.as_secs_f64() * 1e3);
        let p99 = figure(|run| run.p99.as_secs_f64() * 1e3);
        let ratio = spread(
            rounds
                .iter()
                .map(|round| round[at].p99.as_secs_f64() / round[0].p99.as_secs_f64()),
        );
        let other = rounds[0][at].other.iter();
        let other: Vec<String> = other
            .map(|(code, count)| format!("{count} × {code}"))
            .collect();
        let _ = writeln!(
            text,
            "| {name} | {:.2} | {:.2} ({:.2}–{:.2}) | {} | {:.1} | {:.1} | {} |",
            p50.median,
            p99.median,
            p99.least,
            p99.greatest,
            ratios(at, ratio),
            figure(|run| run.cpu * 100.0).median,
            figure(|run| run.resident_mib).median,
            other.join(", "),
        );
    }
    text
}

/// Formats the results of all proxies.
pub fn watches(runs: &[(ProxyKind, WatchResults)]) -> String {
    let mut text = String::from(
        "| | KiB a watch, idle | after events | opened in, s | its CPU, s | event p50, ms | p99, ms | CPU µs an event |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for (kind, run) in runs {
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        let _ = writeln!(
            text,
            "| {kind} | {:.1} | {:.1} | {:.1} | {:.2} | {:.1} | {:.1} | {:.0} |",
            run.idle_kib,
            run.after_events_kib,
            run.open.as_secs_f64(),
            run.open_cpu.as_secs_f64(),
            ms(run.latency_p50),
            ms(run.latency_p99),
            run.events_cpu.as_secs_f64() * 1e6 / run.events as f64,
        );
    }
    text
}
