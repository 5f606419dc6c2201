//! The one writer: many writes in one transaction, each answered when that transaction is on disk.
//!
//! Waiting for the disk is what a durable write costs. Writes that arrive meanwhile wait in a bounded
//! queue and share the next transaction; a savepoint before each keeps a refused one from touching
//! its neighbours. Statements that belong together go to the engine together: what a write costs
//! beside the disk is mostly the way there and back.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, timeout};

use crate::dialect::{BEGIN_BATCH, Connection};
use crate::error::StoreError;
use crate::open::StoreOptions;

/// How long a write of our own pipeline waits for a place in the queue.
const ADMISSION_TIMEOUT: Duration = Duration::from_secs(10);

/// After a write that wants to be kept: the savepoint of the next one.
const NEXT: &str = "RELEASE one_write; SAVEPOINT one_write";
/// After a write that failed: everything as before it, and its savepoint serves the next one.
const UNDO: &str = "ROLLBACK TO one_write";

/// What a write does with the connection.
pub(crate) type Working<'c, T> = BoxFuture<'c, Result<T, StoreError>>;

/// The sending side; the receiving side is a task of its own.
pub(crate) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Write>>>>,
    task: Mutex<Option<JoinHandle<()>>>,
    changes: watch::Sender<u64>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn start(
        connection: Connection,
        connect: SqliteConnectOptions,
        options: &StoreOptions,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(options.queue_capacity.max(1));
        let changes = watch::Sender::new(0);
        let batches = Batches {
            receiver,
            connection: Some(connection),
            connect,
            batch_max: options.batch_max.max(1),
            changes: changes.clone(),
        };
        let task = tokio::spawn(batches.run());
        Self { queue: Mutex::new(Some(sender)), task: Mutex::new(Some(task)), changes }
    }

    /// Carries out a write that can be refused at once when too many wait: for requests from outside.
    pub(crate) async fn write_or_refuse<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut Connection) -> Working<'c, T> + Send + 'static,
    {
        let queue = self.queue()?;
        let (write, answer) = Task::queued(work);
        queue.try_send(write).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Closed(_) => StoreError::Closed,
        })?;
        drop(queue);
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Carries out a write that waits a while for its place: for work that is already done and would be lost.
    pub(crate) async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut Connection) -> Working<'c, T> + Send + 'static,
    {
        let queue = self.queue()?;
        let (write, answer) = Task::queued(work);
        match timeout(ADMISSION_TIMEOUT, queue.send(write)).await {
            Err(_elapsed) => return Err(StoreError::Busy),
            Ok(Err(_closed)) => return Err(StoreError::Closed),
            Ok(Ok(())) => drop(queue),
        }
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Lets the queue run dry and waits for the last transaction.
    pub(crate) async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the writer of the database ended badly");
        }
    }

    fn queue(&self) -> Result<mpsc::Sender<Box<dyn Write>>, StoreError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.clone().ok_or(StoreError::Closed)
    }
}

/// One write in the queue.
trait Write: Send {
    /// Does the work and keeps its result for later.
    fn run(self: Box<Self>, connection: &mut Connection) -> BoxFuture<'_, Done>;
    /// Answers without having done anything.
    fn refuse(self: Box<Self>, error: StoreError);
}

/// A write whose work is done and whose caller does not know yet.
struct Done {
    /// Whether it wants to be committed.
    kept: bool,
    /// Tells the caller, given how the transaction ended.
    answer: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

struct Task<T, W> {
    work: W,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W> Task<T, W>
where
    T: Send + 'static,
    W: for<'c> FnOnce(&'c mut Connection) -> Working<'c, T> + Send + 'static,
{
    fn queued(work: W) -> (Box<dyn Write>, oneshot::Receiver<Result<T, StoreError>>) {
        let (answer, receiver) = oneshot::channel();
        (Box::new(Self { work, answer }), receiver)
    }
}

impl<T, W> Write for Task<T, W>
where
    T: Send + 'static,
    W: for<'c> FnOnce(&'c mut Connection) -> Working<'c, T> + Send + 'static,
{
    fn run(self: Box<Self>, connection: &mut Connection) -> BoxFuture<'_, Done> {
        let Self { work, answer } = *self;
        Box::pin(async move {
            let result = work(connection).await;
            let kept = result.is_ok();
            // A caller who has gone away does not want to know.
            let answer = Box::new(move |ended: Result<(), StoreError>| {
                drop(answer.send(ended.and(result)));
            });
            Done { kept, answer }
        })
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        drop(self.answer.send(Err(error)));
    }
}

/// The receiving side of the queue.
struct Batches {
    receiver: mpsc::Receiver<Box<dyn Write>>,
    connection: Option<Connection>,
    connect: SqliteConnectOptions,
    batch_max: usize,
    changes: watch::Sender<u64>,
}

impl Batches {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(self.batch_max);
        while self.receiver.recv_many(&mut batch, self.batch_max).await > 0 {
            self.carry_out(std::mem::take(&mut batch)).await;
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database did not close cleanly");
        }
    }

    async fn carry_out(&mut self, batch: Vec<Box<dyn Write>>) {
        let mut connection = match self.begun().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, writes = batch.len(), "no transaction could be begun");
                for write in batch {
                    write.refuse(error.clone());
                }
                return;
            }
        };
        let mut done = Vec::with_capacity(batch.len());
        let ended = match run_all(&mut connection, batch, &mut done).await {
            Ok(()) => execute(&mut connection, "COMMIT").await,
            Err(error) => Err(error),
        };
        if let Err(error) = &ended {
            // Whatever state the connection is in, a new one is in none.
            tracing::error!(%error, "a transaction was lost");
            drop(connection.close_hard().await);
        } else {
            self.connection = Some(connection);
            self.changes.send_modify(|count| *count = count.wrapping_add(1));
        }
        for Done { answer, .. } in done {
            answer(ended.clone());
        }
    }

    /// A connection with an open transaction.
    async fn begun(&mut self) -> Result<Connection, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect.connect().await?,
        };
        let begun = execute(&mut connection, BEGIN_BATCH).await;
        if let Err(error) = begun {
            self.connection = Some(connection);
            return Err(error);
        }
        Ok(connection)
    }
}

/// Runs each write behind its own savepoint. On an error the transaction is lost and the writes that
/// had not run are told so.
async fn run_all(
    connection: &mut Connection,
    batch: Vec<Box<dyn Write>>,
    done: &mut Vec<Done>,
) -> Result<(), StoreError> {
    let mut lost = None;
    let mut kept = None;
    for write in batch {
        if lost.is_none()
            && let Some(kept) = kept
        {
            lost = execute(connection, if kept { NEXT } else { UNDO }).await.err();
        }
        if let Some(error) = &lost {
            write.refuse(StoreError::clone(error));
            continue;
        }
        let ran = write.run(connection).await;
        kept = Some(ran.kept);
        done.push(ran);
    }
    match lost {
        Some(error) => Err(error),
        None if kept == Some(false) => execute(connection, UNDO).await,
        None => Ok(()),
    }
}

async fn execute(connection: &mut Connection, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}
