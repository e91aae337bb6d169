//! What the tests share: a world with a node, and executors on it.

// Each test file uses a part of it.
#![allow(dead_code)]

use executor::{Executor, IdlePolicy, Options};
use memory::Pool;
use sim_driver::{NodeId, World, WorldOptions};
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::path::Path;

pub const POOL_BYTES: usize = 4 << 20;

/// A world with one node that has the directory `/d`.
pub fn world(seed: u64, options: WorldOptions) -> (World, NodeId) {
    let world = World::new(seed, options);
    let node = world.add_node();
    world.make_directory(node, Path::new("d"));
    (world, node)
}

pub fn pool() -> Pool {
    Pool::new(POOL_BYTES).expect("maps")
}

pub fn executor_with(world: &World, node: NodeId, pool: Pool) -> Executor {
    let seed = Some(world.random());
    Executor::new(world.driver(node, pool), Options { idle: IdlePolicy::Park, seed })
}

/// Executors whose tasks end with the test: what a task drops needs its executor.
pub struct Cores(pub Vec<Executor>);

impl Deref for Cores {
    type Target = Vec<Executor>;

    fn deref(&self) -> &Vec<Executor> {
        &self.0
    }
}

impl DerefMut for Cores {
    fn deref_mut(&mut self) -> &mut Vec<Executor> {
        &mut self.0
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        for executor in &self.0 {
            executor.drop_tasks();
        }
    }
}

pub fn executor(world: &World, node: NodeId) -> Executor {
    executor_with(world, node, pool())
}

/// Runs one task on a fresh core of a node.
pub fn run<T: 'static>(world: &World, node: NodeId, body: impl Future<Output = T> + 'static) -> T {
    let cores = Cores(vec![executor(world, node)]);
    match world.run(&cores, body) {
        Ok(result) => result,
        Err(error) => panic!("{error}"),
    }
}
