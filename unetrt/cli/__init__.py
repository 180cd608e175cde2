"""The command line's subcommands, one a file; each imports its stages when it runs."""
