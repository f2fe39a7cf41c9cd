//! The command line: what can be typed, and the help that explains it.
//!
//! Each command has a module of its own in [`commands`](crate::commands).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use haechi_config::{ConfigError, Loaded};

/// A Matrix homeserver that keeps working when a data centre burns.
#[derive(Debug, Parser)]
#[command(name = "haechi", version, max_term_width = 100)]
#[command(after_help = "\
To start from nothing:
  1. cp haechi.example.toml haechi.toml, and set server_name in it
  2. haechi config check
  3. haechi user create NAME
  4. haechi serve
README.md goes on from there; docs/configuration.md explains every key.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve clients until told to stop (Ctrl-C or SIGTERM).
    Serve(ConfigFlags),
    /// Accounts.
    User {
        #[command(subcommand)]
        command: UserCommand,
        #[command(flatten)]
        flags: ConfigFlags,
    },
    /// Tokens that let people register.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
        #[command(flatten)]
        flags: ConfigFlags,
    },
    /// What users have reported.
    Report {
        #[command(subcommand)]
        command: ReportCommand,
        #[command(flatten)]
        flags: ConfigFlags,
    },
    /// What users have uploaded.
    Media {
        #[command(subcommand)]
        command: MediaCommand,
        #[command(flatten)]
        flags: ConfigFlags,
    },
    /// Payments between people.
    Pay {
        #[command(subcommand)]
        command: PayCommand,
        #[command(flatten)]
        flags: ConfigFlags,
    },
    /// The books: check them, write them out.
    Ledger {
        #[command(subcommand)]
        command: LedgerCommand,
        #[command(flatten)]
        flags: ConfigFlags,
    },
    /// Look at the configuration without starting anything.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print the version of this program.
    Version,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Tell all that is wrong with the configuration; exit code 0 when nothing is.
    Check(ConfigFlags),
    /// Print the configuration in force and where each value comes from, without passwords.
    Show(ConfigFlags),
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make an account. Its password is read from standard input.
    Create {
        /// The part before the colon: mina for @mina:haechi.example.
        name: String,
        /// Let the user use the operator's endpoints.
        #[arg(long)]
        admin: bool,
        /// Make up a password and print it, instead of reading one.
        #[arg(long)]
        random_password: bool,
    },
    /// List the accounts.
    List,
    /// Set a password, read from standard input, and log the user out everywhere.
    SetPassword {
        /// The user, short or whole: mina or @mina:haechi.example.
        name: String,
        /// Make up a password and print it, instead of reading one.
        #[arg(long)]
        random_password: bool,
    },
    /// Close an account for good. Its name stays taken.
    Deactivate {
        /// The user, short or whole: mina or @mina:haechi.example.
        name: String,
        /// Delete profile and account data as well.
        #[arg(long)]
        erase: bool,
    },
}

/// What can be done with registration tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it.
    Create {
        /// What people type in; made up when not given.
        #[arg(long)]
        token: Option<String>,
        /// How many accounts it may make; any number when not given.
        #[arg(long, value_name = "COUNT")]
        uses: Option<u32>,
        /// For how many hours it is good; for ever when not given.
        #[arg(long, value_name = "HOURS")]
        hours: Option<u32>,
    },
}

/// What can be done with reports.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// List the open reports, oldest first: when, by whom, what, why, and the media in it.
    List,
    /// Close a report that has been dealt with: it is not listed any more.
    Close {
        /// Its number in the list.
        number: i64,
    },
}

/// What can be done with media.
#[derive(Debug, Subcommand)]
pub(crate) enum MediaCommand {
    /// List what a user has uploaded, oldest first.
    List {
        /// The user, short or whole: mina or @mina:haechi.example.
        name: String,
    },
    /// Delete an upload for good. It is not served from now on; its bytes are deleted within
    /// minutes by the running server, unless another upload has the same.
    Delete {
        /// Its address, such as `mxc://haechi.example/AbC`.
        uri: String,
        /// Delete every upload with the same bytes as well, and take them from nobody again: for
        /// what must not be there at all.
        #[arg(long)]
        everywhere: bool,
    },
}

/// What can be done with payments. Each of these leaves a line in the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum PayCommand {
    /// Put money into a wallet, from the treasury.
    Issue {
        /// The user, short or whole: mina or @mina:haechi.example.
        name: String,
        /// The currency, such as KRW.
        currency: String,
        /// Whole minor units: won, cents.
        amount: i64,
        /// Your own name for it: with the same key it is done only once.
        #[arg(long)]
        key: String,
    },
    /// Let nothing in or out of a user's wallets.
    Freeze {
        /// The user, short or whole: mina or @mina:haechi.example.
        name: String,
        /// Why; it stands in the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Let a user's wallets go again.
    Unfreeze {
        /// The user, short or whole: mina or @mina:haechi.example.
        name: String,
        /// Why; it stands in the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Let a user try the payment PIN again.
    UnlockPin {
        /// The user, short or whole: mina or @mina:haechi.example.
        name: String,
        /// Why; it stands in the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Show what operators did, oldest first.
    Audit,
}

/// What can be done with the books. Both commands only read, and may run beside the server or on a
/// restored copy.
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Check that every entry stands as it was written, that all sums and balances follow from the
    /// entries, and that nothing is undecided past its time. Exit code 0 when all is well.
    #[command(after_help = "\
Keep the `root` that is printed, away from this machine: whoever has it can tell later whether
anything before it was changed. Receipts are checked against it.")]
    Verify {
        /// Only this ledger, such as 410; all when not given.
        #[arg(long, value_name = "NUMBER")]
        ledger: Option<u32>,
    },
    /// Write all entries of a ledger, oldest first.
    Export {
        /// The ledger, such as 410 for won (ISO 4217).
        #[arg(long, value_name = "NUMBER")]
        ledger: u32,
        /// How entries are written.
        #[arg(long, value_enum, default_value = "csv")]
        format: ExportFormat,
        /// Where to; standard output when not given.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// How entries of the books are written.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum ExportFormat {
    /// Fields separated by commas, with a line of names first.
    Csv,
    /// A JSON object on each line.
    Json,
}

/// The configuration's usual keys as flags. They win over the environment and the file.
#[derive(Args, Debug)]
pub(crate) struct ConfigFlags {
    /// The configuration file [default: haechi.toml here, else /etc/haechi/haechi.toml].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The part after the colon in user ids, such as haechi.example. It can never be changed.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Where clients reach the server from outside, such as `https://haechi.example`.
    #[arg(long, value_name = "URL")]
    public_base_url: Option<String>,
    /// An address and port to listen on, such as 0.0.0.0:8008; can be given several times.
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// An address and port for Prometheus metrics; keep it away from the public.
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: Option<String>,
    /// The folder for everything that is kept.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// `sqlite:` or `postgres://user@host/name`, without a password (see `database.password_file`).
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Who may register: open, token or closed.
    #[arg(long, value_name = "WHO")]
    registration: Option<String>,
    /// What is logged: error, warn, info, debug, trace, or by part as in `info,haechi_store=debug`.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How log lines look: text or json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl ConfigFlags {
    /// Loads and checks the configuration: file, environment, these flags.
    pub(crate) fn load(&self) -> Result<Loaded, ConfigError> {
        let environment = haechi_config::environment();
        let file = haechi_config::find_file(self.config.clone(), &environment);
        let listen = Some(self.listen.join(",")).filter(|text| !text.is_empty());
        let flags: Vec<(&str, String)> = [
            ("server_name", &self.server_name),
            ("public_base_url", &self.public_base_url),
            ("listen", &listen),
            ("metrics_listen", &self.metrics_listen),
            ("data_dir", &self.data_dir),
            ("database.url", &self.database_url),
            ("registration", &self.registration),
            ("log.level", &self.log_level),
            ("log.format", &self.log_format),
        ]
        .into_iter()
        .filter_map(|(key, text)| Some((key, text.clone()?)))
        .collect();
        haechi_config::load(file.as_deref(), environment, &flags)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
