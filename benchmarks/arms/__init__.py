"""Our Multi-VAE beside those of RecBole and Cornac, and beside the machine it runs on: `python -m benchmarks.arms`."""
