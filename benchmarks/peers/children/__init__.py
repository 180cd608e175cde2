"""Run other tools in processes of their own: the only modules of the tool that load them."""
