//! The driver on io_uring: the production side of the seam.
//!
//! - [`setup`]: what a driver is made with; which optional features this kernel gives it.
//! - [`ring`]: [`UringDriver`]: submission, the turn, completions.
//! - [`flight`]: an operation under way: what must stay where it is while the kernel looks at it.
//! - [`armed`], [`streams`]: accepts and receives that are armed once and complete many times.
//! - [`zero_copy`]: large sends without a copy.
//! - [`handles`]: what is remembered of each handle; registered files.
//! - [`arena`]: registered buffers.
//! - [`direct`]: what direct I/O asks for.
//! - [`slab`]: numbered places.
//! - [`lend`]: blocks lent to the kernel for receiving, so that an idle connection holds none.
//! - [`socket`]: addresses, listening.
//! - [`wake`]: waking a core from others: `MSG_RING` between cores, an eventfd from anywhere else.
//! - [`features`]: what is optional, found by asking the kernel, and switched off by name.
//!
//! One ring a core: single issuer, task work deferred to our own turns, so that the kernel interrupts nothing.
//! This crate is the only one beside `memory` and `mesh` that may use `unsafe`; each block says why it
//! is sound. The one rule behind most of them: memory that the kernel was told of belongs to a `Flight` or a
//! `ZeroCopySend`, and is dropped only when its last completion has come.

#![allow(unsafe_code)]

mod arena;
mod armed;
mod direct;
mod features;
mod flight;
mod handles;
mod lend;
mod ring;
mod setup;
mod slab;
mod socket;
mod streams;
mod wake;
mod zero_copy;

#[cfg(test)]
mod tests;

pub use features::Features;
pub use ring::UringDriver;
pub use setup::{UringError, UringOptions};
