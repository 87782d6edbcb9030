"""From a job to trained heads, here or on a cluster, anew or again; how long it takes, and comparisons."""
