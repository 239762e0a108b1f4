"""One module for each kind of page: what of a run folder its template shows."""
