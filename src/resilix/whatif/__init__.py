"""What if, on the command line: ``resilix simulate`` and ``resilix replay``."""
