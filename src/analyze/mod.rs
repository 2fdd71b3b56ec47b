//! Events from tracks: life cycle now, zones and lines with the analytics. Knows neither pixels nor where events go.

pub mod lifecycle;
