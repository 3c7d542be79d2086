//! A sidecar that does what the test says: a small service with the two methods.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use dapr::dapr::proto::runtime::v1::{
    TryLockRequest, TryLockResponse, UnlockRequest, UnlockResponse,
};
use futures_util::future::BoxFuture;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

/// What a call of the sidecar comes to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// `success` of a lock.
    Lock(bool),
    /// The same, after this long.
    LockLate(bool, Duration),
    /// `status` of an unlock.
    Unlock(i32),
    Refuse(Code),
    /// There is no answer.
    Silence,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) owner: String,
    pub(crate) seconds: Option<i32>,
    pub(crate) metadata: MetadataMap,
}

/// A handle to a sidecar that lives as long as the test's runtime.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    acts: VecDeque<Act>,
    calls: Vec<Call>,
}

impl Fake {
    /// Starts a sidecar that does these, in turn; afterwards it refuses to do more.
    pub(crate) async fn start(acts: impl IntoIterator<Item = Act>) -> (Self, SocketAddr) {
        let fake = Self::default();
        fake.then(acts);
        let address = fake.serve(Server::builder(), std::future::pending()).await;
        (fake, address)
    }

    /// Listens on one more port, until it is to go away: then it says so to its clients, answers
    /// what they have asked, and closes their connections.
    pub(crate) async fn serve(
        &self,
        mut server: Server,
        goes_away: impl Future<Output = ()> + Send + 'static,
    ) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = server.add_service(self.clone());
        let serving = server.serve_with_incoming_shutdown(TcpIncoming::from(listener), goes_away);
        drop(tokio::spawn(serving));
        address
    }

    pub(crate) fn then(&self, acts: impl IntoIterator<Item = Act>) {
        self.0.lock().unwrap().acts.extend(acts);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().calls.clone()
    }

    /// The methods that were called, in order.
    pub(crate) fn methods(&self) -> Vec<&'static str> {
        self.calls().iter().map(|call| call.method).collect()
    }

    fn take(&self, call: Call) -> Act {
        let mut state = self.0.lock().unwrap();
        state.calls.push(call);
        state.acts.pop_front().unwrap_or(Act::Refuse(Code::DataLoss))
    }
}

impl NamedService for Fake {
    const NAME: &'static str = "dapr.proto.runtime.v1.Dapr";
}

impl Service<http::Request<Body>> for Fake {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let fake = self.clone();
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            Ok(match path.rsplit('/').next() {
                Some("TryLockAlpha1") => {
                    Grpc::new(ProstCodec::default()).unary(TryLock(fake), request).await
                }
                Some("UnlockAlpha1") => {
                    Grpc::new(ProstCodec::default()).unary(Unlock(fake), request).await
                }
                _ => Status::unimplemented(path).into_http(),
            })
        })
    }
}

struct TryLock(Fake);

impl UnaryService<TryLockRequest> for TryLock {
    type Response = TryLockResponse;
    type Future = BoxFuture<'static, Result<Response<TryLockResponse>, Status>>;

    fn call(&mut self, request: Request<TryLockRequest>) -> Self::Future {
        let (metadata, _, message) = request.into_parts();
        let owner = message.lock_owner;
        let seconds = Some(message.expiry_in_seconds);
        let act = self.0.take(Call { method: "lock", owner, seconds, metadata });
        Box::pin(async move {
            let success = match act {
                Act::Lock(success) => success,
                Act::LockLate(success, after) => {
                    tokio::time::sleep(after).await;
                    success
                }
                other => return Err(refused(other).await),
            };
            Ok(Response::new(TryLockResponse { success }))
        })
    }
}

struct Unlock(Fake);

impl UnaryService<UnlockRequest> for Unlock {
    type Response = UnlockResponse;
    type Future = BoxFuture<'static, Result<Response<UnlockResponse>, Status>>;

    fn call(&mut self, request: Request<UnlockRequest>) -> Self::Future {
        let (metadata, _, message) = request.into_parts();
        let owner = message.lock_owner;
        let act = self.0.take(Call { method: "unlock", owner, seconds: None, metadata });
        Box::pin(async move {
            match act {
                Act::Unlock(status) => Ok(Response::new(UnlockResponse { status })),
                other => Err(refused(other).await),
            }
        })
    }
}

async fn refused(act: Act) -> Status {
    match act {
        Act::Refuse(code) => Status::new(code, "the fake was told so"),
        Act::Silence => std::future::pending().await,
        other => Status::data_loss(format!("the fake was told {other:?}, and asked for another")),
    }
}
