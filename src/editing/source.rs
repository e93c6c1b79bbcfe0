//! The source of an append, read in batches on a thread of its own.

use std::{fs::File, io::Read, path::PathBuf, sync::Arc};

use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    error::{Error, Result},
    model::layer::Layer,
    wire::append::{AppendRequest, SourceFeatures},
};

/// How many features are put at a time …
const MAX_FEATURES: usize = 10_000;
/// … and of how many bytes, but for the last of them.
const MAX_BYTES: usize = 8 << 20;

/// Where the features are.
#[derive(Clone)]
pub(crate) enum Source {
    /// In the file of an upload.
    File(PathBuf),
    /// In the request itself.
    Text(Arc<str>),
}

/// Features that can be read, from the first to the last, as often as is needed.
#[derive(Clone)]
pub(super) struct Features {
    layer: Arc<Layer>,
    request: Arc<AppendRequest>,
    source: Source,
    srid: i32,
    max_feature_bytes: usize,
}

/// Features while they are read.
pub(super) struct Batches {
    coming: mpsc::Receiver<SourceFeatures>,
    reading: JoinHandle<Result<()>>,
}

impl Source {
    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(match self {
            Source::File(path) => {
                Box::new(File::open(path).map_err(|error| Error::internal("reading an upload", error))?)
            }
            Source::Text(text) => Box::new(text.as_bytes()),
        })
    }
}

impl Features {
    /// The features of a source, of which no one may have more bytes than `max_feature_bytes`.
    pub(super) async fn of(
        layer: Arc<Layer>,
        request: Arc<AppendRequest>,
        source: Source,
        max_feature_bytes: usize,
    ) -> Result<Features> {
        let features = Features { layer, request, source, srid: 0, max_feature_bytes };
        blocking(move || {
            let srid = features.request.reading(&features.layer, max_feature_bytes).srid(features.source.open()?)?;
            Ok(Features { srid, ..features })
        })
        .await?
    }

    /// Reads them, a batch or two ahead of who takes them.
    pub(super) fn read(&self) -> Batches {
        let (sender, coming) = mpsc::channel(1);
        let features = self.clone();
        Batches { coming, reading: tokio::task::spawn_blocking(move || features.send(&sender)) }
    }

    fn send(&self, sender: &mpsc::Sender<SourceFeatures>) -> Result<()> {
        let Features { layer, request, .. } = self;
        let (mut batch, mut n_bytes) = (Vec::new(), 0);
        // Whoever does not listen any more has failed, and says so.
        let send = |batch: &mut Vec<_>| {
            sender.blocking_send(request.features(std::mem::take(batch), self.srid, layer)).is_ok()
        };
        let mut is_heard = true;
        request.reading(layer, self.max_feature_bytes).each(self.source.open()?, &mut |feature, n_more| {
            batch.push(feature);
            n_bytes += n_more;
            if batch.len() == MAX_FEATURES || n_bytes >= MAX_BYTES {
                n_bytes = 0;
                is_heard = send(&mut batch);
            }
            is_heard
        })?;
        if is_heard && !batch.is_empty() {
            send(&mut batch);
        }
        Ok(())
    }
}

impl Batches {
    /// The next features. `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<SourceFeatures>> {
        if let Some(features) = self.coming.recv().await {
            return Ok(Some(features));
        }
        (&mut self.reading).await.map_err(|error| Error::internal("reading the source of an append", error))??;
        Ok(None)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("reading the source of an append", error))
}
