//! `syncline serve`

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::Args;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    app::App,
    config::Config,
    error::{Error, Result, chain},
    http,
};

use super::{database_url, say, stop};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The address to listen on [default: 127.0.0.1:6080]; port 0 chooses a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

impl Serve {
    /// Serves until a signal asks it to end; then requests that are under way are finished.
    pub(super) async fn run(self, mut config: Config) -> Result<()> {
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        // The address first: if it is taken, nothing has been started yet.
        let listener = TcpListener::bind(config.listen).await.map_err(|error| {
            Error::Unavailable(format!(
                "cannot listen on {}: {error}; choose another address with --listen",
                config.listen
            ))
        })?;
        let address = listener.local_addr().map_err(|error| Error::internal("listening", error))?;
        config.listen = address;
        let (url, cluster) = database_url(&config).await?;
        let served = serve(config, &url, listener, address).await;
        if let Some(cluster) = cluster {
            stop(cluster).await?;
        }
        served
    }
}

async fn serve(config: Config, url: &str, listener: TcpListener, address: SocketAddr) -> Result<()> {
    let ended = ended()?;
    let app = App::open(config, url).await?;
    let background = [tokio::spawn(Arc::clone(&app.store).follow_catalogue()), tokio::spawn(sweep(app.clone()))];
    say(format!("Syncline is ready at http://{address}/arcgis/rest/services"))?;
    let served = axum::serve(listener, http::router(app.clone()))
        .with_graceful_shutdown(ended)
        .await
        .map_err(|error| Error::internal("serving", error));
    background.iter().for_each(tokio::task::JoinHandle::abort);
    app.store.close().await;
    tracing::info!("ended");
    served
}

/// Resolves when the process is asked to end.
fn ended() -> Result<impl Future<Output = ()> + Send + 'static> {
    let watch = |kind| signal(kind).map_err(|error| Error::internal("watching for signals", error));
    let (mut terminate, mut interrupt) = (watch(SignalKind::terminate())?, watch(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("finishing the requests that are under way");
    })
}

async fn sweep(app: App) {
    let mut hourly = tokio::time::interval(Duration::from_hours(1));
    loop {
        hourly.tick().await;
        match app.sweep_exports().await {
            Ok(0) => {}
            Ok(n_files) => tracing::info!(n_files, "expired result files were deleted"),
            Err(error) => tracing::warn!(error = chain(&error), "expired result files could not be deleted"),
        }
    }
}
