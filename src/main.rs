//! Parses the command line, runs it, says what went wrong, and ends with the exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use gatepost::cli::Arguments;
use gatepost::tls;

/// glibc keeps the memory of a crowd that left.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tls::install_provider();
    match Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody may be reading stderr; the exit code says enough then.
            let _ = writeln!(io::stderr(), "{failure}");
            failure.exit_code()
        }
    }
}
