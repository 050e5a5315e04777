//! What is this engine's alone; the conformance suite holds the rest.

mod disk;
mod marks;
mod rig;
mod speed;
mod sweep;
mod view;
