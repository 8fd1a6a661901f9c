//! The loop's own thread: priority and precision.

use thread_priority::{
    Error, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

use crate::Pacing;

/// Above ordinary threads, below the kernel's own (50) and audio servers.
const PRIORITY: u8 = 20;

/// Sets up the calling thread, and tells what it got.
pub(crate) fn claim(real_time: bool) -> Pacing {
    // Sleeps of a normal thread are otherwise rounded up by 50 microseconds. Best effort: it only costs precision.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));

    if !real_time {
        return Pacing::Normal { why: String::from("real-time priority was not asked for") };
    }
    let Ok(value) = ThreadPriorityValue::try_from(PRIORITY) else {
        return Pacing::Normal { why: String::from("this system has no real-time priorities") };
    };
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    match set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(value), policy) {
        Ok(()) => Pacing::RealTime { priority: i32::from(PRIORITY) },
        Err(error) => Pacing::Normal { why: refusal(&error) },
    }
}

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
