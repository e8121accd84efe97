//! What the system tells about processes and about itself.

use std::fs;
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// The core that the measured process runs on, alone as far as it is up to us.
pub const MEASURED_CORE: usize = 0;

/// The core that the load comes from.
pub const GENERATOR_CORE: usize = 1;

/// The ticks of `/proc/PID/stat`, which Linux fixes at 100 a second for programs.
const TICK: Duration = Duration::from_millis(10);

/// The CPU time that all threads of a process have used so far, to 10 ms.
pub fn cpu_time(pid: u32) -> Result<Duration, Failure> {
    // utime and stime.
    stat_ticks(&pid.to_string(), 2)
}

/// The same of a process and of all that it started, whether they have ended or not: of a
/// PostgreSQL, all that it does.
pub fn cpu_time_of_family(pid: u32) -> Result<Duration, Failure> {
    let mut time = stat_ticks(&pid.to_string(), 4)?;
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    for child in children.split_whitespace() {
        // One that has just ended is in its parent's time by the next reading.
        time += stat_ticks(child, 4).unwrap_or_default();
    }
    Ok(time)
}

/// The first `count` of the four times in a process's `stat`: its own time as a program
/// and in the system, then the same of its children that have ended.
fn stat_ticks(process: &str, count: usize) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the program's name in brackets, and may hold anything.
    let fields = stat.rsplit_once(')').ok_or("/proc/PID/stat has no name")?.1;
    // The first field here is number 3 of proc(5), and the times are numbers 14 to 17.
    let times = fields.split_whitespace().skip(11).take(count);
    let ticks: Vec<u32> = times.map(str::parse).collect::<Result<_, _>>()?;
    Ok(TICK * ticks.iter().sum())
}

/// Tells how much of the machine others took while something was measured, which is
/// what makes a figure worth less.
pub struct Neighbours {
    start: Instant,
    busy: Duration,
    own: Duration,
}

impl Neighbours {
    /// Watches from now on.
    pub fn watch() -> Result<Self, Failure> {
        Ok(Self { start: Instant::now(), busy: busy_time()?, own: stat_ticks("self", 4)? })
    }

    /// How many cores others kept busy on average. This process and its children are no
    /// others; the children have to have ended by now.
    pub fn cores(&self) -> Result<f64, Failure> {
        let busy = busy_time()?.saturating_sub(self.busy);
        let own = stat_ticks("self", 4)?.saturating_sub(self.own);
        Ok(busy.saturating_sub(own).as_secs_f64() / self.start.elapsed().as_secs_f64())
    }
}

/// The time that all cores together have spent on anything, here or, on a virtual
/// machine, for somebody else.
fn busy_time() -> Result<Duration, Failure> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or("/proc/stat is empty")?;
    // user, nice, system, idle, iowait, irq, softirq, steal: all but the two idle ones.
    let times = line.split_whitespace().skip(1).take(8).enumerate();
    let busy = times.filter(|(place, _)| !matches!(place, 3 | 4)).map(|(_, ticks)| ticks.parse());
    let ticks: Vec<u32> = busy.collect::<Result<_, _>>()?;
    Ok(TICK * ticks.iter().sum())
}

/// The memory of a process that is in RAM, in bytes.
pub fn resident_bytes(pid: u32) -> Result<u64, Failure> {
    status_bytes(pid, "VmRSS:")
}

/// The most that this ever was.
pub fn peak_resident_bytes(pid: u32) -> Result<u64, Failure> {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, name: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.ok_or_else(|| format!("/proc/PID/status has no {name}"))?.parse::<u64>()? * 1024)
}

/// Sends a signal, by its name without SIG, to a process that this one started.
pub fn signal(child: &std::process::Child, name: &str) -> Result<(), Failure> {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status()?;
    if status.success() { Ok(()) } else { Err(format!("kill -s {name}: {status}").into()) }
}

/// A command that runs on [`MEASURED_CORE`] only. `taskset` becomes the program, so
/// the child's id is the program's.
pub fn command_on_measured_core(program: &std::path::Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &MEASURED_CORE.to_string()]).arg(program);
    command
}

/// Keeps the calling thread, and the threads that it starts, on [`GENERATOR_CORE`].
fn move_to_generator_core() -> Result<(), Failure> {
    if std::thread::available_parallelism().map_or(1, NonZeroUsize::get) < 2 {
        return Err("needs two cores: one for the server, one for the load".into());
    }
    let thread = fs::read_link("/proc/thread-self")?;
    let id = thread.file_name().ok_or("/proc/thread-self names no thread")?;
    let status = Command::new("taskset")
        .args(["-cp", &GENERATOR_CORE.to_string()])
        .arg(id)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("cannot run taskset (of util-linux): {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("taskset: {status}").into()) }
}

/// Runs a bench on a thread of its own, kept on [`GENERATOR_CORE`] without keeping the
/// other benches there.
pub fn on_generator_core(
    bench: impl FnOnce() -> Result<(), Failure> + Send,
) -> Result<(), Failure> {
    let measured = std::thread::scope(|scope| {
        scope.spawn(|| move_to_generator_core().and_then(|()| bench())).join()
    });
    measured.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Lets this process, and the servers that it starts, open as many files as the
/// system allows: a connection is one here and two in the server.
pub fn raise_descriptor_limit() -> Result<(), Failure> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    Ok(())
}

/// Fails where that many open files are not allowed, with a word on what would help.
pub fn require_descriptors(count: usize) -> Result<(), Failure> {
    let (soft, _) = rlimit::getrlimit(rlimit::Resource::NOFILE)?;
    if soft >= count as u64 {
        return Ok(());
    }
    Err(format!("needs {count} open files, and {soft} are allowed: see `ulimit -Hn`").into())
}

/// The processor and the system, in one line.
pub fn machine() -> Result<String, Failure> {
    let cores = std::thread::available_parallelism()?;
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |line| line.trim_start_matches([' ', '\t', ':']));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("{cores} cores, {model}, Linux {}", kernel.trim()))
}

/// The load averages of 1, 5 and 15 minutes.
pub fn load() -> Result<String, Failure> {
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(load.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}
