"""From a network and images to a smaller network: prune() and optimize_ratios()."""
