//! A thread that is the parent of all sandboxes. Bubblewrap asks the kernel to kill it when its
//! parent dies, and the kernel means the *thread* that forked it: threads of an async runtime may end
//! while the process lives, this one ends with the evaluator. So a `kill -9` of the service leaves no
//! sandbox behind.

use std::io;
use std::sync::mpsc;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Order {
    command: Command,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

pub(crate) struct Spawner {
    orders: mpsc::Sender<Order>,
}

impl Spawner {
    pub(crate) fn start() -> io::Result<Self> {
        let (orders, received) = mpsc::channel::<Order>();
        std::thread::Builder::new().name("sandbox-parent".to_owned()).spawn(move || {
            for Order { mut command, runtime, reply } in received {
                let _inside = runtime.enter();
                // Nobody waits any more: the child is dropped, and dropping kills it.
                drop(reply.send(command.spawn()));
            }
        })?;
        Ok(Self { orders })
    }

    pub(crate) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, answer) = oneshot::channel();
        let gone = || io::Error::other("the sandbox's parent thread is gone");
        self.orders
            .send(Order { command, runtime: Handle::current(), reply })
            .map_err(|_order| gone())?;
        answer.await.map_err(|_source| gone())?
    }
}
