use std::path::Path;
use std::{fs, io};

use clap_mangen::Man;

use super::error::CommandError;
use super::stdout;

/// Prints the page of `command`. With a directory, writes the pages of `command` and its subcommands into it.
pub(super) fn run(mut command: clap::Command, dir: Option<&Path>) -> Result<(), CommandError> {
    // Sets the names of the subcommands, for example `claimgate-serve`.
    command.build();
    let Some(dir) = dir else {
        let mut text = Vec::new();
        page(&command).render(&mut text)?;
        return Ok(stdout::print(&text)?);
    };
    fs::create_dir_all(dir)
        .and_then(|()| write_pages(&command, dir))
        .map_err(|error| CommandError::WriteManPages {
            dir: dir.to_owned(),
            error,
        })
}

fn write_pages(command: &clap::Command, dir: &Path) -> io::Result<()> {
    page(command).generate_to(dir)?;
    command
        .get_subcommands()
        .try_for_each(|command| write_pages(command, dir))
}

fn page(command: &clap::Command) -> Man {
    Man::new(command.clone())
        .source(concat!("claimgate ", env!("CARGO_PKG_VERSION")))
        // Not empty: roff leaves out an empty field, and the source would take its place.
        .date(" ")
}
