"""The text of résumés, read out of files that nobody can vouch for, in a process of its own."""
