//! Work that takes long (hashes of passwords, views of the swarms, waits for the disk), each kind so many at a time, on
//! threads of its own that live as long as the work.
//!
//! The permit is owned by the work and not by who asked for it: a request that is cancelled gives nothing back before its work
//! has ended. Nothing here uses the runtime's own blocking threads, which would panic in the caller when the system gives none.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::Builder;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

/// How long a request waits for a permit.
const WAIT_LIMIT: Duration = Duration::from_secs(5);

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JobError {
    /// No permit became free in time, or the system gave no thread. Nothing was done.
    #[error("busy")]
    Busy,
    /// The work panicked.
    #[error("the work panicked")]
    Panicked,
}

type Job = Box<dyn FnOnce() + Send>;

/// One kind of work.
#[derive(Clone, Debug)]
pub(super) struct Jobs {
    /// Name of its threads; the system shows 15 bytes.
    name: &'static str,
    permits: Arc<Semaphore>,
    /// Whether the log says that there is no thread: strangers ask for work and must not fill it.
    is_told: Arc<AtomicBool>,
    start: fn(&'static str, Job) -> io::Result<()>,
}

impl Jobs {
    /// Work of which `most` is done at a time.
    pub(super) fn new(name: &'static str, most: usize) -> Jobs {
        Jobs {
            name,
            permits: Arc::new(Semaphore::new(most)),
            is_told: Arc::default(),
            start,
        }
    }

    /// Does it as soon as it has a permit. Dropping the future leaves work that has begun alone, and its permit taken.
    ///
    /// # Errors
    /// [`JobError`].
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, JobError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        // Nobody waits for the result of a request that was cancelled.
        self.begin(move || drop(done.send(work()))).await?;
        result.await.map_err(|_| JobError::Panicked)
    }

    /// Begins it as soon as it has a permit, and waits for nothing more.
    ///
    /// # Errors
    /// [`JobError::Busy`].
    pub(super) async fn begin<F>(&self, work: F) -> Result<(), JobError>
    where
        F: FnOnce() + Send + 'static,
    {
        let permit = tokio::time::timeout(WAIT_LIMIT, Arc::clone(&self.permits).acquire_owned());
        let Ok(Ok(permit)) = permit.await else {
            return Err(JobError::Busy);
        };
        let job = move || {
            work();
            drop(permit);
        };
        if let Err(error) = (self.start)(self.name, Box::new(job)) {
            if !self.is_told.swap(true, Relaxed) {
                log::error!("the system gives no thread for {}: {error}", self.name);
            }
            return Err(JobError::Busy);
        }
        self.is_told.store(false, Relaxed);
        Ok(())
    }
}

fn start(name: &'static str, job: Job) -> io::Result<()> {
    Builder::new().name(name.into()).spawn(job).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::{Condvar, Mutex};
    use std::task::Context;

    /// Work that goes on until it is told to end, and how much of it is done at the moment and was at most.
    #[derive(Default)]
    struct Held {
        state: Mutex<(usize, usize, bool)>,
        changed: Condvar,
    }

    impl Held {
        fn work(self: &Arc<Self>) -> impl FnOnce() + Send + 'static {
            let held = Arc::clone(self);
            move || {
                let mut state = held.state.lock().unwrap();
                state.0 += 1;
                state.1 = state.1.max(state.0);
                held.changed.notify_all();
                let mut state = held.changed.wait_while(state, |state| !state.2).unwrap();
                state.0 -= 1;
                held.changed.notify_all();
            }
        }

        fn wait_until_running(&self, count: usize) {
            let state = self.state.lock().unwrap();
            drop(
                self.changed
                    .wait_while(state, |state| state.0 != count)
                    .unwrap(),
            );
        }

        fn end(&self) {
            self.state.lock().unwrap().2 = true;
            self.changed.notify_all();
        }

        fn most(&self) -> usize {
            self.state.lock().unwrap().1
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(future)
    }

    /// R27, W3
    #[test]
    fn work_that_was_cancelled_at_any_await_keeps_its_place_until_it_ends() {
        for most in [1, 4] {
            let (work, held) = (Jobs::new("test", most), Arc::new(Held::default()));
            block_on(async {
                // 200 callers, each polled so many times and then gone.
                for client in 0..200 {
                    let mut asked = pin!(work.run(held.work()));
                    let mut context = Context::from_waker(std::task::Waker::noop());
                    for _ in 0..client % 4 {
                        assert!(asked.as_mut().poll(&mut context).is_pending());
                    }
                }
                held.wait_until_running(most);
                assert_eq!(work.permits.available_permits(), 0);
                held.end();
                held.wait_until_running(0);
                assert_eq!(work.run(|| 7).await, Ok(7));
            });
            assert_eq!(held.most(), most);
        }
    }

    /// R27
    #[test]
    fn a_task_that_is_aborted_leaves_its_work_alone() {
        let (work, held) = (Jobs::new("test", 2), Arc::new(Held::default()));
        block_on(async {
            for _ in 0..50 {
                let (work, held) = (work.clone(), held.work());
                let task = tokio::spawn(async move { work.run(held).await });
                tokio::task::yield_now().await;
                task.abort();
                assert!(task.await.unwrap_err().is_cancelled());
            }
            held.wait_until_running(2);
            held.end();
            held.wait_until_running(0);
        });
        assert_eq!(held.most(), 2);
    }

    /// R27
    #[test]
    fn without_a_thread_nothing_is_done_and_the_place_comes_back() {
        let mut work = Jobs::new("test", 1);
        work.start = |_, _| Err(io::Error::from(io::ErrorKind::WouldBlock));
        block_on(async {
            for _ in 0..3 {
                assert_eq!(work.run(|| 7).await, Err(JobError::Busy));
            }
            work.start = start;
            assert_eq!(work.run(|| 7).await, Ok(7));
        });
    }

    #[test]
    fn a_panic_ends_the_work_and_not_the_caller() {
        let work = Jobs::new("test", 1);
        block_on(async {
            assert_eq!(
                work.run(|| panic!("lost")).await,
                Err::<(), _>(JobError::Panicked)
            );
            assert_eq!(work.run(|| 7).await, Ok(7));
        });
    }
}
