//! Threads for work too slow for a turn of the loop.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use b4ae_core::{Completion, Job};

use crate::sync::{Mutex, lock};

/// Stack of a worker. A job needs 256 KiB when optimised, and several times that when not.
const STACK: usize = 2 << 20;

/// A few threads that run jobs. Both ways are bounded, and the loop waits for neither.
pub(crate) struct JobPool {
    /// `None` once the pool winds up, which ends the workers.
    jobs: Option<SyncSender<Job>>,
    done: Receiver<Done>,
    in_flight: usize,
    capacity: usize,
}

/// What became of a job.
pub(crate) enum Done {
    Completed(Completion),
    /// It panicked, as a broken signer might; the handshake it belonged to times out.
    Panicked,
}

impl JobPool {
    /// Starts `threads` workers for up to `capacity` jobs at a time; each calls `wake` when a job is done.
    pub(crate) fn start(threads: usize, capacity: usize, wake: impl Fn() + Clone + Send + 'static) -> io::Result<Self> {
        let (jobs, queue) = sync_channel(capacity);
        let (results, done) = sync_channel(capacity);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads {
            let (queue, results, wake) = (Arc::clone(&queue), results.clone(), wake.clone());
            thread::Builder::new()
                .name(format!("b4ae-job-{number}"))
                .stack_size(STACK)
                .spawn(move || work(&queue, &results, &wake))?;
        }
        Ok(Self { jobs: Some(jobs), done, in_flight: 0, capacity })
    }

    /// Whether another job can be handed out.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight < self.capacity
    }

    /// Hands out a job; call only with room.
    pub(crate) fn submit(&mut self, job: Job) {
        if let Some(jobs) = &self.jobs
            && jobs.try_send(job).is_ok()
        {
            self.in_flight += 1;
        }
    }

    /// The next finished job.
    pub(crate) fn take(&mut self) -> Option<Done> {
        let done = self.done.try_recv().ok()?;
        self.in_flight = self.in_flight.saturating_sub(1);
        Some(done)
    }
}

fn work(queue: &Mutex<Receiver<Job>>, results: &SyncSender<Done>, wake: &impl Fn()) {
    loop {
        // The lock is held while waiting: the other workers queue behind it, in the same state of having nothing.
        let job = lock(queue).recv();
        let Ok(job) = job else { return };
        let done = catch_unwind(AssertUnwindSafe(|| job.run())).map_or(Done::Panicked, Done::Completed);
        if results.send(done).is_err() {
            return;
        }
        wake();
    }
}
