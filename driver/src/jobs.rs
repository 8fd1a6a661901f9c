//! Threads for work too slow for a turn of the loop.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use b4ae_core::{Completion, Job, Limits};

use crate::sync::{Mutex, lock};

/// Stack of a worker. A job needs 256 KiB when optimised, and several times that when not.
const STACK: usize = 2 << 20;
/// Jobs that lie before the threads of a lane, so that these go on while the loop is at something else.
const AHEAD: usize = 16;

/// A few threads that run jobs, in two lanes: what waits in a hardware token keeps nothing else waiting. All ways are
/// bounded, and the loop waits for none.
///
/// Dropping it ends the threads. One that a signer does not give back ends with the process.
pub(crate) struct JobPool {
    computing: Lane,
    signing: Lane,
    done: Receiver<Done>,
}

/// The threads for jobs of one kind.
struct Lane {
    queue: SyncSender<Job>,
    /// Those that have no room in the queue.
    waiting: VecDeque<Job>,
    /// The most that an engine wants to have done at a time.
    most: usize,
}

/// What became of a job.
pub(crate) enum Done {
    Completed(Completion),
    /// It panicked, as a broken signer might; the handshake it belonged to times out.
    Panicked,
}

impl JobPool {
    /// Starts `threads` workers for the jobs of an engine with these limits, and as many for those that sign, if any
    /// do; each calls `wake` when a job is done.
    pub(crate) fn start(
        threads: usize,
        signs: bool,
        limits: &Limits,
        wake: &(impl Fn() + Clone + Send + 'static),
    ) -> io::Result<Self> {
        let (results, done) = sync_channel(2 * AHEAD);
        // Those for others, and one for each session of its own.
        let most = |others: u32| others.saturating_add(limits.sessions) as usize;
        let signers = if signs { threads } else { 0 };
        Ok(Self {
            computing: Lane::start("job", threads, most(limits.pending_jobs), &results, wake)?,
            signing: Lane::start("sign", signers, most(limits.pending_signatures), &results, wake)?,
            done,
        })
    }

    /// Takes jobs, and hands out what the threads have room for. Call this when some are done, too.
    pub(crate) fn submit(&mut self, jobs: impl Iterator<Item = Job>) {
        for job in jobs {
            let lane = if job.signs() { &mut self.signing } else { &mut self.computing };
            lane.push(job);
        }
        self.computing.feed();
        self.signing.feed();
    }

    /// The next finished job.
    pub(crate) fn take(&mut self) -> Option<Done> {
        self.done.try_recv().ok()
    }
}

impl Lane {
    fn start(
        name: &str,
        threads: usize,
        most: usize,
        results: &SyncSender<Done>,
        wake: &(impl Fn() + Clone + Send + 'static),
    ) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(AHEAD);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads {
            let (jobs, results, wake) = (Arc::clone(&jobs), results.clone(), wake.clone());
            thread::Builder::new()
                .name(format!("b4ae-{name}-{number}"))
                .stack_size(STACK)
                .spawn(move || work(&jobs, &results, &wake))?;
        }
        Ok(Self { queue, waiting: VecDeque::new(), most })
    }

    /// Takes a job. Where threads are stuck, those pile up whose handshakes have been given up since; without them
    /// there is always room, since the engine hands out no more at a time.
    fn push(&mut self, job: Job) {
        if self.waiting.len() >= self.most {
            self.waiting.retain(Job::is_wanted);
        }
        self.waiting.push_back(job);
    }

    fn feed(&mut self) {
        while let Some(job) = self.waiting.pop_front() {
            if !job.is_wanted() {
                continue;
            }
            match self.queue.try_send(job) {
                Ok(()) => {}
                Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                    self.waiting.push_front(job);
                    return;
                }
            }
        }
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
