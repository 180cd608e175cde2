"""Hold the subcommands of the command line, one a file, each imported when it is named."""
