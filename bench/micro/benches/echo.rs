//! Small requests over loopback, answered by a server that does nothing else: what an executor costs.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use micro::echo::{CONNECTIONS, Echoes, Serve, serve_flumen};

fn echoes(c: &mut Criterion) {
    let mut group = c.benchmark_group("echo-100B");
    group.throughput(Throughput::Elements(CONNECTIONS as u64));
    for (name, serve) in servers() {
        match Echoes::start(serve) {
            Ok(mut echoes) => {
                group.bench_function(name, |b| b.iter(|| echoes.round().expect("echoes")));
                echoes.stop().expect("stops");
            }
            Err(why) => eprintln!("echo-100B/{name}: left out: {why}"),
        }
    }
    group.finish();
}

#[cfg(not(feature = "comparators"))]
fn servers() -> Vec<(&'static str, Serve)> {
    vec![("flumen", serve_flumen)]
}

#[cfg(feature = "comparators")]
fn servers() -> Vec<(&'static str, Serve)> {
    vec![("flumen", serve_flumen), ("tokio", others::serve_tokio), ("glommio", others::serve_glommio)]
}

#[cfg(feature = "comparators")]
mod others {
    use std::net::SocketAddr;
    use std::sync::mpsc::Sender;

    const BUFFER_BYTES: usize = 32 * 1024;

    fn text(error: impl std::fmt::Display) -> String {
        error.to_string()
    }

    fn pin(core: Option<usize>) -> Result<(), String> {
        core.map_or(Ok(()), load::os::pin).map_err(text)
    }

    /// tokio on one thread.
    pub fn serve_tokio(
        core: Option<usize>,
        connections: usize,
        tell: &Sender<SocketAddr>,
    ) -> Result<(), String> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        pin(core)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(text)?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
            tell.send(listener.local_addr().map_err(text)?).map_err(text)?;
            let mut tasks = Vec::new();
            for _ in 0..connections {
                let (mut socket, _) = listener.accept().await.map_err(text)?;
                socket.set_nodelay(true).map_err(text)?;
                tasks.push(tokio::spawn(async move {
                    let mut buffer = vec![0; BUFFER_BYTES];
                    while let Ok(count) = socket.read(&mut buffer).await {
                        if count == 0 || socket.write_all(&buffer[..count]).await.is_err() {
                            break;
                        }
                    }
                }));
            }
            for task in tasks {
                task.await.map_err(text)?;
            }
            Ok::<(), String>(())
        })
    }

    /// glommio, whose executor is a core's as ours is.
    pub fn serve_glommio(
        core: Option<usize>,
        connections: usize,
        tell: &Sender<SocketAddr>,
    ) -> Result<(), String> {
        use futures_lite::{AsyncReadExt, AsyncWriteExt};
        use glommio::{LocalExecutorBuilder, Placement};
        let placement = core.map_or(Placement::Unbound, Placement::Fixed);
        let executor = LocalExecutorBuilder::new(placement).make().map_err(text)?;
        executor.run(async {
            let listener = glommio::net::TcpListener::bind("127.0.0.1:0").map_err(text)?;
            tell.send(listener.local_addr().map_err(text)?).map_err(text)?;
            let mut tasks = Vec::new();
            for _ in 0..connections {
                let mut socket = listener.accept().await.map_err(text)?;
                socket.set_nodelay(true).map_err(text)?;
                tasks.push(glommio::spawn_local(async move {
                    let mut buffer = vec![0; BUFFER_BYTES];
                    while let Ok(count) = socket.read(&mut buffer).await {
                        if count == 0 || socket.write_all(&buffer[..count]).await.is_err() {
                            break;
                        }
                    }
                }));
            }
            for task in tasks {
                task.await;
            }
            Ok::<(), String>(())
        })
    }
}

criterion_group!(benches, echoes);
criterion_main!(benches);
