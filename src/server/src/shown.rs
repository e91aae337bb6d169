//! What is shown over HTTP of the cores that this process runs.

use broker::metrics::{self, CoreMetrics};
use http_gateway::{Beat, Bound, Source};
use model::ShardId;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

/// All cores' numbers.
pub(crate) struct Shown {
    cores: Vec<Arc<CoreMetrics>>,
}

impl Shown {
    /// Of cores that are still to come up.
    pub(crate) fn new(cores: usize) -> Shown {
        Shown { cores: (0..cores).map(|_| Arc::default()).collect() }
    }

    /// Where a core counts.
    pub(crate) fn core(&self, shard: ShardId) -> Arc<CoreMetrics> {
        self.cores[usize::from(shard.0)].clone()
    }

    /// Takes the port of `flumen.http.listen` and serves there from now on, so that the start can be watched too. An
    /// empty address serves nothing.
    pub(crate) fn serve(self: Arc<Self>, listen: &str) -> Result<Option<SocketAddr>, String> {
        if listen.is_empty() {
            return Ok(None);
        }
        let address = listen.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        let address = address
            .ok_or_else(|| format!("'{listen}' is not an address: change flumen.http.listen or --http"))?;
        let bound = Bound::new(address).map_err(|error| error.to_string())?;
        let address = bound.address();
        bound.serve(self).map_err(|error| error.to_string())?;
        Ok(Some(address))
    }
}

impl Source for Shown {
    fn metrics(&self) -> String {
        metrics::expose(&self.cores)
    }

    fn ready(&self) -> Result<(), String> {
        metrics::ready(&self.cores)
    }

    fn beats(&self) -> Vec<Beat> {
        let beats = self.cores.iter().map(|core| core.beat());
        beats.map(|(turns, parked)| Beat { turns, parked }).collect()
    }
}
