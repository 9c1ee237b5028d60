"""Files that leave a run: exports, the best policy, the jobs that write them; and the deletion of a run."""
