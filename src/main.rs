//! The `eyeline` program; everything it does is in the library.

fn main() -> std::process::ExitCode {
    eyeline::cli::main()
}
