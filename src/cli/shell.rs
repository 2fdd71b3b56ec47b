//! Shell completions and the man page, made from the same definitions that parse the arguments.

use clap::{Args, Command};
use clap_complete::Shell;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Print a shell completion script
///
/// Examples:
///   eyeline completions bash > /etc/bash_completion.d/eyeline
///   eyeline completions zsh > ~/.zfunc/_eyeline
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the man page
///
/// Example:
///   eyeline man > /usr/local/share/man/man1/eyeline.1
///   eyeline man process | man -l -
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct ManArgs {
    /// Subcommand to describe; the program itself without one
    subcommand: Option<String>,
}

/// Prints the completion script.
pub fn completions(args: &CompletionsArgs, mut program: Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "eyeline", &mut script);
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the man page.
pub fn man(args: &ManArgs, mut program: Command) -> anyhow::Result<ExitCode> {
    program.build();
    let page = match &args.subcommand {
        None => program,
        Some(name) => {
            let found = program.find_subcommand(name).cloned();
            found.ok_or_else(|| anyhow::anyhow!("no subcommand \"{name}\"; see `eyeline --help`"))?
        }
    };
    clap_mangen::Man::new(page).render(&mut io::stdout())?;
    Ok(ExitCode::SUCCESS)
}
