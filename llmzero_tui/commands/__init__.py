"""The commands of `llmzero`, one module for each kind; `llmzero_tui.cli` imports the one that is asked for.

Every command takes the parsed options and returns the exit code. None of them imports torch.
"""
