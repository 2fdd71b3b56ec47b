//! Pictures made up on the spot, for tests and benches.
