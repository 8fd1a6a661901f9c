//! Standard output on a thread of its own: it may block for as long as its reader likes, and neither signals nor
//! sessions may wait for that.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::error::Error;
use crate::output::{self, note};
use crate::signal::Stop;

/// Lines waiting to be printed. Behind them the sessions' own flow control holds the peers back.
const WAITING: usize = 16;
/// How long a reader may take for the last lines before somebody is told what is being waited for; and all that it
/// gets when there is to be no waiting.
const SLOW: Duration = Duration::from_secs(1);

/// One line, or several that belong together.
struct Line {
    text: String,
    /// Whether it tells of a message, which its sender takes for arrived.
    message: bool,
    /// Its place among those waiting, unless it needs none.
    _place: Option<OwnedSemaphorePermit>,
}

/// Messages on their way to standard output.
#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    written: AtomicU64,
}

impl Counts {
    fn unwritten(&self) -> u64 {
        // In this order, since what is written was taken before.
        let written = self.written.load(Ordering::Acquire);
        self.taken.load(Ordering::Acquire).saturating_sub(written)
    }
}

/// Where lines are handed over.
#[derive(Clone, Debug)]
pub(crate) struct Outlet {
    lines: mpsc::UnboundedSender<Line>,
    places: Arc<Semaphore>,
    counts: Arc<Counts>,
}

impl Outlet {
    /// Hands over something to be printed, as soon as there is a place for it.
    pub(crate) async fn print(&self, text: String) {
        self.hand_over(text, false).await;
    }

    /// The same, of a message.
    pub(crate) async fn print_message(&self, text: String) {
        // Before there is a place for it: it has been taken from its session.
        self.counts.taken.fetch_add(1, Ordering::Release);
        self.hand_over(text, true).await;
    }

    async fn hand_over(&self, text: String, message: bool) {
        // Once the places are given up, none is needed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        // The thread ends after its outlets.
        let _ = self.lines.send(Line { text, message, _place: place });
    }

    /// From now on takes whatever comes at once. For sessions about to be closed: what they still bring has been
    /// confirmed, is no more than their windows, and must not wait for a reader.
    pub(crate) fn take_all(&self) {
        self.places.close();
    }
}

/// The thread that prints.
#[derive(Debug)]
pub(crate) struct Printer {
    failed: oneshot::Receiver<io::Error>,
    done: oneshot::Receiver<()>,
    error: Option<io::Error>,
    counts: Arc<Counts>,
}

impl Printer {
    /// Starts the thread. It ends with the last clone of its outlet.
    pub(crate) fn start() -> Result<(Outlet, Self), Error> {
        let (lines, mut waiting) = mpsc::unbounded_channel::<Line>();
        let (fail, failed) = oneshot::channel();
        let (finish, done) = oneshot::channel();
        let counts = Arc::new(Counts::default());
        let written = Arc::clone(&counts);
        let print = move || {
            let mut fail = Some(fail);
            while let Some(line) = waiting.blocking_recv() {
                // After a failure nothing more is written: a reader gets a beginning, without gaps.
                if fail.is_none() {
                    continue;
                }
                match output::write_line(&line.text) {
                    Ok(()) => _ = written.written.fetch_add(line.message.into(), Ordering::Release),
                    Err(error) => _ = fail.take().map(|fail| fail.send(error)),
                }
            }
            let _ = finish.send(());
        };
        thread::Builder::new().name("printer".into()).spawn(print).map_err(Error::io("starting a thread"))?;
        let outlet = Outlet { lines, places: Arc::new(Semaphore::new(WAITING)), counts: Arc::clone(&counts) };
        Ok((outlet, Self { failed, done, error: None, counts }))
    }

    /// Returns when writing has failed, once; [`finish`](Self::finish) tells of it.
    pub(crate) async fn broken(&mut self) {
        if self.error.is_none()
            && let Ok(error) = (&mut self.failed).await
        {
            self.error = Some(error);
            return;
        }
        pending::<()>().await;
    }

    /// Once every outlet is gone, or about to go: waits until all is printed, for as long as that takes unless asked to
    /// `stop`. Without it, waits for a moment.
    pub(crate) async fn finish(mut self, stop: Option<&mut Stop>) -> Result<(), Error> {
        if timeout(SLOW, &mut self.done).await.is_err()
            && let Some(stop) = stop
        {
            let count = self.counts.unwritten();
            note(format_args!(
                "{count} messages wait for the reader of standard output; another signal breaks the wait off"
            ));
            tokio::select! {
                _ = &mut self.done => {}
                () = stop.asked() => {}
            }
        }
        let failed = self.error.or_else(|| self.failed.try_recv().ok());
        match (self.counts.unwritten(), failed) {
            (0, None) => Ok(()),
            (0, Some(source)) => Err(Error::io("writing to standard output")(source)),
            (count, failed) => Err(Error::Unwritten { count, failed }),
        }
    }
}
