"""Applications as data: what a definition holds, and how it is checked, drawn, described and rehearsed."""
