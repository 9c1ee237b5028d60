"""Files that leave a run: exports, the best policy, the errands that write them; and the deletion of a run."""
