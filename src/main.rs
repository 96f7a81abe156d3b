//! The binary `gatepost`: command line in, exit code out.
fn main() {}
