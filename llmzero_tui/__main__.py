"""`python -m llmzero_tui` is `llmzero`, for an environment whose scripts are not on the path."""

import sys

from llmzero_tui.cli import main

if __name__ == "__main__":
    sys.exit(main())
