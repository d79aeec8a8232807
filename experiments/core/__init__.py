"""What all commands share: command lines, markets, presets, run folders, processes."""
