//! A line in the log and a count for each request, when the last of its answer is sent or its client has gone.
//!
//! Nothing of what a client sent is in that line but what names things of the server: the route as a pattern, the service, the
//! replica and the user. Query strings, and ids that open what they name, never are.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::Method,
    response::Response,
};
use http_body::{Frame, SizeHint};
use tracing::{Span, field::Empty};

use crate::{
    app::App,
    metrics::Metrics,
    model::{id::ReplicaId, principal::Principal},
    wire::params::Params,
};

use super::{
    books::Books,
    openapi,
    route::{OfService, Route},
};

/// The code of the error that a response tells, for whoever observes it.
#[derive(Clone, Copy)]
pub(super) struct Failed(pub(super) i64);

/// A request under observation. Dropped, it is over.
pub(super) struct Observed {
    metrics: Arc<Metrics>,
    slow: Duration,
    started: Instant,
    method: Method,
    route: &'static str,
    /// The line of the log; what is said while the request is answered says it there.
    pub(super) span: Span,
    answered: Option<Answered>,
}

/// What is known when the answer begins.
struct Answered {
    status: u16,
    error: Option<i64>,
    after: Duration,
    n_bytes: u64,
    /// Whether all of it was sent.
    whole: bool,
}

impl Observed {
    /// Begins to observe.
    pub(super) fn begin(app: &App, method: &Method, path: &str, request_id: &str) -> Observed {
        let known = Route::of(path);
        let route = match &known {
            Route::Unknown => "unknown",
            _ => openapi::template(path).unwrap_or("other"),
        };
        let span = tracing::info_span!(
            "request",
            request.id = request_id,
            http.method = %method,
            http.route = route,
            service.name = Empty,
            replica.id = Empty,
            user.name = Empty,
        );
        if let Route::Service(name, what) = &known {
            let name =
                app.store.catalogue().service(name).map_or("unknown", |service| service.name.as_str()).to_owned();
            span.record("service.name", name.as_str());
            if let Some(replica) = replica(what) {
                span.record("replica.id", tracing::field::display(replica));
            }
        }
        app.metrics.begin_request();
        Observed {
            metrics: Arc::clone(&app.metrics),
            slow: Duration::from_millis(app.config.slow_request_ms),
            started: Instant::now(),
            method: method.clone(),
            route,
            span,
            answered: None,
        }
    }

    /// Observes the rest of the answer, too.
    pub(super) fn answered(mut self, response: Response) -> Response {
        self.answered = Some(Answered {
            status: response.status().as_u16(),
            error: response.extensions().get::<Failed>().map(|failed| failed.0),
            after: self.started.elapsed(),
            n_bytes: 0,
            whole: response.body().is_end_stream() || self.method == Method::HEAD,
        });
        response.map(|inner| Body::new(ObservedBody { inner, observed: self }))
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let Answered { status, error, after, n_bytes, whole } = self.answered.take().unwrap_or(Answered {
            status: 0,
            error: None,
            after: self.started.elapsed(),
            n_bytes: 0,
            whole: false,
        });
        self.metrics.end_request(self.route, after, n_bytes);
        if let Some(code) = error {
            self.metrics.count_error(code);
        }
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let _entered = self.span.enter();
        // Tracing has no levels at run time.
        macro_rules! line {
            ($level:ident, $text:literal) => {
                tracing::$level!(http.status = status, error.code = error, n_bytes, duration_ms, $text)
            };
        }
        match (error, whole) {
            _ if status == 0 => line!(info, "the client went before it was answered"),
            (_, false) => line!(info, "the client went before it had the whole answer"),
            (Some(500..=599), _) => line!(warn, "failed"),
            _ if self.started.elapsed() >= self.slow => line!(warn, "answered slowly"),
            // Monitoring asks every few seconds.
            _ if matches!(self.route, "/healthz" | "/readyz" | "/metrics") => line!(debug, "answered"),
            _ => line!(info, "answered"),
        }
    }
}

/// Notes who asks, and the replica that a request names by a parameter.
pub(super) fn note(principal: &Principal, params: &Params) {
    let span = Span::current();
    if !principal.is_anonymous() {
        span.record("user.name", tracing::field::display(principal.name()));
    }
    // Looked up without a trace: what the request does with its parameters is another matter.
    let named = params.pairs().iter().find(|(name, _)| name.eq_ignore_ascii_case("replicaID"));
    if let Some(replica) = named.and_then(|(_, id)| ReplicaId::parse(id)) {
        span.record("replica.id", tracing::field::display(replica));
    }
}

/// The replica that an address names.
fn replica(what: &OfService) -> Option<ReplicaId> {
    match what {
        OfService::Replica(id)
        | OfService::ReplicaStatus(id)
        | OfService::Books(
            Books::Uploads(id)
            | Books::Upload(id, _)
            | Books::UndoUpload(id, _)
            | Books::Verify(id)
            | Books::Explain(id),
        ) => ReplicaId::parse(id),
        _ => None,
    }
}

/// The body of an answer, whose bytes are counted while they are sent.
struct ObservedBody {
    inner: Body,
    observed: Observed,
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        let ended = self.inner.is_end_stream();
        if let (Poll::Ready(frame), Some(answered)) = (&polled, &mut self.observed.answered) {
            match frame {
                Some(Ok(frame)) => {
                    answered.n_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                    answered.whole |= ended;
                }
                None => answered.whole = true,
                Some(Err(_)) => {}
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
