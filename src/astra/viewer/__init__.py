"""Web pages over run folders: arenas, episodes, trajectories, tools, curves, comparisons.

Reads run folders and writes nothing into them. What it shows is untrusted: everything is escaped,
no page loads anything from elsewhere, and no path leads out of the folders that were given.
"""
