"""What this machine and its neighbours offer: hardware, model files, the hub, an Ollama server's address."""
