//! The simulated cloud as drills and runners meet it: a real process, its droplets as its children, over HTTP.

mod api;
mod complaints;
mod ends;
mod nodes;
mod world;
