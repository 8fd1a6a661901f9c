//! The loop's one timer. Tokio's own has a resolution of a millisecond, a slot's length and more.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod timerfd;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use timerfd::Timer;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod sleep;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use sleep::Timer;
