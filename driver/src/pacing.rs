//! The loop's own thread: priority and precision.

use thread_priority::{Error, thread_native_id};

use crate::Pacing;

/// Above ordinary threads, below the kernel's own (50) and audio servers.
#[cfg(unix)]
const PRIORITY: u8 = 20;
/// What the highest priority of a thread is in an ordinary process.
#[cfg(windows)]
const PRIORITY: u8 = 15;

/// Sets up the calling thread, and tells what it got.
pub(crate) fn claim(real_time: bool) -> Pacing {
    // Sleeps of a normal thread are otherwise rounded up by 50 microseconds. Best effort: it only costs precision.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));

    if !real_time {
        return Pacing::Normal { why: String::from("real-time priority was not asked for") };
    }
    match raise() {
        Ok(()) => Pacing::RealTime { priority: i32::from(PRIORITY) },
        Err(error) => Pacing::Normal { why: refusal(&error) },
    }
}

#[cfg(unix)]
fn raise() -> Result<(), Error> {
    use thread_priority::{
        RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
        set_thread_priority_and_policy,
    };
    let priority = ThreadPriorityValue::try_from(PRIORITY).map_err(|_| Error::Priority("no real-time priorities"))?;
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(priority), policy)
}

#[cfg(windows)]
fn raise() -> Result<(), Error> {
    use thread_priority::{WinAPIThreadPriority, set_winapi_thread_priority};
    set_winapi_thread_priority(thread_native_id(), WinAPIThreadPriority::TimeCritical)
}

#[cfg(unix)]
fn refusal(error: &Error) -> String {
    match error {
        Error::OS(code) => format!(
            "the system refused SCHED_FIFO ({}); grant the process CAP_SYS_NICE, or a real-time priority limit \
             (RLIMIT_RTPRIO) of {PRIORITY} or more",
            std::io::Error::from_raw_os_error(*code)
        ),
        other => format!("SCHED_FIFO cannot be set here: {other}"),
    }
}

#[cfg(windows)]
fn refusal(error: &Error) -> String {
    format!("the system refused THREAD_PRIORITY_TIME_CRITICAL: {error}")
}
