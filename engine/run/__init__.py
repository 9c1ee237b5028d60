"""What a run is on disk and how it starts: run file, directory, checks, launch and the engine process."""
