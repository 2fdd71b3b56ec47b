//! Events from tracks: life cycle now, zones and lines with the analytics.
