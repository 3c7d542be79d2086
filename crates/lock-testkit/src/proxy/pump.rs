//! The proxy's thread: accepts connections and moves their bytes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::fault::{Admission, ConnectionId, Direction};
use super::state::{Chunk, Ending, Lane, Shared, Step};

const READ_BYTES: usize = 16 * 1024;
/// A lane that keeps this many bytes reads no more, and TCP slows its sender down.
const KEPT_BYTES_LIMIT: usize = 16 * 1024 * 1024;
/// The pause after a failed accept (out of file descriptors), which would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves until the proxy is stopped.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut orders = shared.orders.subscribe();
    let mut links = JoinSet::new();
    while !shared.lock().stopped {
        tokio::select! {
            biased;
            _ = orders.changed() => {}
            Some(_) = links.join_next(), if !links.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => admit(client, &shared, &mut links),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

fn admit(client: TcpStream, shared: &Arc<Shared>, links: &mut JoinSet<()>) {
    let admitted = shared.count(|state| {
        if state.admission == Admission::Serve {
            return Ok(state.open());
        }
        state.stats.refused += 1;
        Err(state.admission)
    });
    match admitted {
        Ok(id) => {
            links.spawn(run_link(client, id, Arc::clone(shared)));
        }
        Err(Admission::Reset) => reset(&client),
        Err(Admission::Close | Admission::Serve) => {}
    }
}

/// Makes the close that follows a reset; a connection that is gone already needs none.
fn reset(stream: &TcpStream) {
    drop(stream.set_zero_linger());
}

/// Runs one connection to its end.
async fn run_link(mut client: TcpStream, id: ConnectionId, shared: Arc<Shared>) {
    let upstream = shared.lock().upstream;
    let server = tokio::select! {
        biased;
        _ = ordered_ending(&shared, id) => None,
        connected = TcpStream::connect(upstream) => Some(connected),
    };
    match server {
        Some(Ok(mut server)) => {
            if relay(&mut client, &mut server, id, &shared).await == Some(Ending::Reset) {
                reset(&client);
                reset(&server);
            }
        }
        Some(Err(_)) => {
            reset(&client);
            shared.count(|state| state.stats.unreachable += 1);
        }
        None => reset(&client),
    }
    // The sockets close before the connection counts as closed.
    drop(client);
    shared.count(|state| state.close(id));
}

/// Moves bytes both ways until both streams have ended or an order ends the connection.
async fn relay(
    client: &mut TcpStream,
    server: &mut TcpStream,
    id: ConnectionId,
    shared: &Shared,
) -> Option<Ending> {
    for stream in [&*client, &*server] {
        // Without it the proxy would add Nagle's delays; a failure costs only time.
        drop(stream.set_nodelay(true));
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let up = Pump::new(from_client, to_server, shared, Lane::new(id, Direction::ToServer));
    let down = Pump::new(from_server, to_client, shared, Lane::new(id, Direction::ToClient));
    tokio::select! {
        biased;
        ending = ordered_ending(shared, id) => Some(ending),
        _ = async { tokio::join!(up.run(), down.run()) } => None,
    }
}

async fn ordered_ending(shared: &Shared, id: ConnectionId) -> Ending {
    let mut orders = shared.orders.subscribe();
    loop {
        orders.mark_unchanged();
        let ending = shared.lock().links.get(&id).and_then(|link| link.ending);
        if let Some(ending) = ending {
            return ending;
        }
        if orders.changed().await.is_err() {
            return Ending::Close;
        }
    }
}

/// Moves the bytes of one direction of one connection.
struct Pump<'a> {
    reader: ReadHalf<'a>,
    /// `None` once the receiver has gone: what is still meant for it is dropped.
    writer: Option<WriteHalf<'a>>,
    shared: &'a Shared,
    orders: watch::Receiver<u64>,
    lane: Lane,
    buffer: Vec<u8>,
}

impl<'a> Pump<'a> {
    fn new(reader: ReadHalf<'a>, writer: WriteHalf<'a>, shared: &'a Shared, lane: Lane) -> Self {
        let orders = shared.orders.subscribe();
        Self { reader, writer: Some(writer), shared, orders, lane, buffer: vec![0; READ_BYTES] }
    }

    async fn run(mut self) {
        loop {
            self.orders.mark_unchanged();
            let step = self.shared.count(|state| state.plan(&mut self.lane, Instant::now()));
            match step {
                Step::Wait(until) => self.wait(until).await,
                Step::Send(bytes, then) => {
                    self.send(&bytes).await;
                    if let Some(then) = then {
                        self.shared.order(|state| state.fire(&self.lane, then));
                    }
                }
                Step::Finish => break,
            }
        }
        if let Some(writer) = &mut self.writer {
            // A receiver that has gone needs no end of stream.
            drop(writer.shutdown().await);
        }
    }

    /// Waits for bytes, for the instant, or for an order, whichever comes first.
    async fn wait(&mut self, until: Option<Instant>) {
        let may_read = !self.lane.ended && self.lane.kept_bytes() < KEPT_BYTES_LIMIT;
        tokio::select! {
            biased;
            _ = self.orders.changed() => {}
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
            read = self.reader.read(&mut self.buffer), if may_read => self.take_in(read),
        }
    }

    fn take_in(&mut self, read: io::Result<usize>) {
        // A sender that reset its connection has ended its stream, too.
        let size = read.unwrap_or(0);
        if size == 0 {
            self.lane.ended = true;
            let direction = self.lane.direction;
            self.shared.count(|state| state.stats.traffic_mut(direction).ended += 1);
            return;
        }
        let bytes = self.buffer[..size].to_vec();
        let lane = &mut self.lane;
        self.shared.count(|state| {
            state.stats.traffic_mut(lane.direction).read += size as u64;
            state.sight(lane, &bytes, false);
        });
        lane.inbox.push_back(Chunk { read_at: Instant::now(), bytes });
    }

    async fn send(&mut self, bytes: &[u8]) {
        let size = bytes.len() as u64;
        let mut on_its_way = Unsent { shared: self.shared, direction: self.lane.direction, size };
        let Some(writer) = &mut self.writer else { return };
        if writer.write_all(bytes).await.is_err() {
            self.writer = None;
            return;
        }
        on_its_way.size = 0;
        let lane = &mut self.lane;
        self.shared.count(|state| {
            state.stats.traffic_mut(lane.direction).forwarded += size;
            state.sight(lane, bytes, true);
        });
    }
}

impl Drop for Pump<'_> {
    /// Counts what the connection's end finds in the lane, so that `Traffic::held` stays true.
    fn drop(&mut self) {
        let lost = self.lane.clear();
        let direction = self.lane.direction;
        self.shared.count(|state| state.stats.traffic_mut(direction).dropped += lost);
    }
}

/// Counts bytes as dropped unless they were written, also when the write is cancelled.
struct Unsent<'a> {
    shared: &'a Shared,
    direction: Direction,
    size: u64,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if self.size > 0 {
            let Self { direction, size, .. } = *self;
            self.shared.count(|state| state.stats.traffic_mut(direction).dropped += size);
        }
    }
}
