//! Signs of life on standard error for what takes longer than a second; none where nobody watches.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use tokio::time::timeout;

/// Awaits `work`; after a second, shows `what` and the time it has taken until it is done.
pub(crate) async fn during<T>(what: String, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if let Ok(done) = timeout(Duration::from_secs(1), &mut work).await {
        return done;
    }
    // Hidden by itself where standard error is not a terminal.
    let spinner = ProgressBar::new_spinner()
        .with_message(what)
        .with_elapsed(Duration::from_secs(1))
        .with_finish(ProgressFinish::AndClear);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(200));
    let done = work.await;
    spinner.finish_and_clear();
    done
}
