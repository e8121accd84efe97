//! What the operating system knows of the process, by the names that all Prometheus
//! clients give it. On Linux; elsewhere there is none of it.

use prometheus::proto::MetricFamily;

use super::{counter, gauge};

/// What `/proc` counts time in, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads a few files that the kernel makes up; none of it waits.
pub(super) fn families() -> Vec<MetricFamily> {
    [of_stat(), of_status(), descriptors()].into_iter().flatten().flatten().collect()
}

/// Processor time. The name in the parentheses may have anything in it.
fn of_stat() -> Option<Vec<MetricFamily>> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let user: f64 = fields.nth(11)?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    let (name, help) = ("process_cpu_seconds_total", "Processor time of the process.");
    Some(vec![counter(name, help, (user + system) / TICKS_PER_SECOND)])
}

fn of_status() -> Option<Vec<MetricFamily>> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let value = |key: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim_start_matches(':').split_ascii_whitespace().next()?.parse().ok()
    };
    let kilobytes = |key: &str| Some(value(key)? * 1024.0);
    Some(vec![
        gauge("process_resident_memory_bytes", "Memory in RAM.", kilobytes("VmRSS")?),
        gauge("process_virtual_memory_bytes", "Memory that is mapped.", kilobytes("VmSize")?),
        gauge("process_threads", "Threads of the process.", value("Threads")?),
    ])
}

fn descriptors() -> Option<Vec<MetricFamily>> {
    const FOLDER: &str = "/proc/self/fd";
    // The folder's size is their number since Linux 6.2; before, it is 0.
    let count = match std::fs::metadata(FOLDER).ok()?.len() {
        0 => std::fs::read_dir(FOLDER).ok()?.count() as f64,
        count => count as f64,
    };
    let (max, _) = rlimit::getrlimit(rlimit::Resource::NOFILE).ok()?;
    Some(vec![
        gauge("process_open_fds", "Descriptors that are open.", count),
        gauge("process_max_fds", "How many may be.", max as f64),
    ])
}
