//! Holds the private server of a folder until its standard input ends. Tests kill it.

use std::io::{Read, Write};

use dagctl_postgres::{Options, PrivatePostgres, find_programs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: hold FOLDER")?;
    let server = PrivatePostgres::start(Options::new(folder.into(), find_programs(&[])?))?;
    writeln!(std::io::stdout(), "{}", server.pid())?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    server.stop()?;
    Ok(())
}
