//! `signalbox completions` and `signalbox manual`

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Outcome};

/// Flags of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

/// Flags of `manual`.
#[derive(Debug, Args)]
pub struct ManualArgs {
    /// Write a page per command into this folder, instead of the program's own page to
    /// standard output
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

/// Prints what a shell needs to complete the program's commands and flags.
pub fn completions(args: CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "signalbox", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}

/// Writes the manual, for `man`.
pub fn manual(args: ManualArgs) -> Outcome {
    let command = Cli::command();
    match args.into {
        Some(folder) => clap_mangen::generate_to(command, folder)?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            std::io::stdout().write_all(&page)?;
        }
    }
    Ok(())
}
